"""The pages with figures say what the saved results say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from benchmarks import performance, results
from benchmarks.results import Plot, Result, Row

RESULT = Result(
    name="x",
    says="Something was done.",
    does_not_say=["That it is fast."],
    at="clients",
    rows=[
        Row("ours", [{"CPU µs": 3.0}, {"CPU µs": 1.0}, {"CPU µs": 2.0}], 10),
        Row("node", [{"CPU µs": 4.0}], 10),
    ],
    plots=[Plot("A plot", ["CPU µs"], "µs")],
    versions={"peer": "1.2"},
)


def test_the_pages_have_the_figures_of_the_saved_results() -> None:
    """`make performance` would change nothing, and each picture of a page exists."""
    found, pages = results.load_all(), [path.read_text() for path in performance.pages()]
    assert pages == [performance.filled(page, found) for page in pages]
    pictures = [
        picture for page in pages for picture in re.findall(r"images/performance/\S+svg", page)
    ]
    assert pictures
    assert all((performance.DOCS / picture).exists() for picture in pictures)


def test_a_result_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    """A file has every round, and how it was measured."""
    assert results.load(results.save(RESULT, tmp_path)) == RESULT


def test_a_saved_row_replaces_only_the_row_of_its_server_and_size(tmp_path: Path) -> None:
    """So a benchmark can run in pieces. Rows of another machine do not stay."""
    results.save(RESULT, tmp_path)
    (new,) = rows = [Row("node", [{"CPU µs": 5.0}], 10)]
    path = results.save(replace(RESULT, rows=rows), tmp_path)
    assert results.load(path).rows == [RESULT.rows[0], new]
    path = results.save(replace(RESULT, rows=rows, machine={"cores": "64"}), tmp_path)
    assert results.load(path).rows == [new]


def test_a_part_of_the_page_has_the_table_the_spread_and_the_limits() -> None:
    """The cell of three rounds has the median, the lowest and the highest."""
    page = performance.filled("# T\n<!-- result: x -->\nold\n<!-- end -->\n", {"x": RESULT})
    assert "| ours | 10 | 2 (1–3) |" in page
    assert "| node | 10 | 4 |" in page
    assert "- That it is fast." in page
    assert "with peer 1.2" in page
    assert "old" not in page
    assert page.endswith("<!-- end -->\n")
