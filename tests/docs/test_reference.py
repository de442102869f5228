"""Pages of errors and promises, and the map for programs: they name all that exists."""

from __future__ import annotations

import ast
import inspect
import re

import furniture_events
import pytest

from sio_server import settings
from sio_server.settings import PREFIX, Settings
from tests.conftest import load_contract
from tests.support.pages import ROOT, pages

ERRORS: dict[str, int] = load_contract()["errors"]
FOLDER = ROOT / "docs/errors"
PARTS = ("**When.** ", "**Why.** ", "**What to do.** ")


def test_every_error_has_a_page() -> None:
    """And no page is about an error that does not exist."""
    assert {page.stem for page in FOLDER.glob("*.md")} == {*ERRORS, "README"}


@pytest.mark.parametrize("code", ERRORS)
def test_the_page_of_an_error_says_when_why_and_what_to_do(code: str) -> None:
    """With its status, the exception of the Python client, and an example."""
    text = (FOLDER / f"{code}.md").read_text()
    assert text.startswith(f"# `{code}`\n")
    places = [text.index(part) for part in PARTS]
    assert places == sorted(places)
    row = re.search(r"^\| (\d+) \| `(\w+)` \| (Yes|No)", text, re.MULTILINE)
    assert row
    error = getattr(furniture_events, row[2])
    assert (error.code, error.http_status, int(row[1])) == (code, ERRORS[code], ERRORS[code])
    again = error("").temporary or code == "token_expired"
    assert row[3] == ("Yes" if again else "No")
    assert f'"code":"{code}"' in text
    listed = (FOLDER / "README.md").read_text()
    assert f"| [`{code}`]({code}.md) | {ERRORS[code]} | {row[3].lower()} |" in listed


def test_every_promise_has_its_parts_and_its_test_exists() -> None:
    """Trouble, mechanism, setting, figure and test, in this order."""
    text = (ROOT / "docs/promise.md").read_text()
    _, *promises, _ = re.split(r"^## .*$", text, flags=re.MULTILINE)
    parts = ["Trouble", "Mechanism", "Setting", "Figure", "Test"]
    for promise in promises:
        assert re.findall(r"^- \*\*(\w+)\.\*\*", promise, re.MULTILINE) == parts
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", text)
    assert len(named) >= len(promises)
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{file}::{name}"


def test_pages_name_only_settings_that_exist() -> None:
    """A setting that was renamed must not stay in a page."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r"SIO_\w+", inspect.getsource(settings)))
    for page in pages():
        named = set(re.findall(r"\bSIO_[A-Z_]*[A-Z]\b(?!_?\*)", page.read_text()))
        assert {it for it in named if not it.endswith("_FILE")} <= known, page


def test_the_map_for_programs_names_every_page() -> None:
    """``llms.txt`` has each page, but for the parts of folders that have a page of their own."""
    named = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "llms.txt").read_text()))
    shown = {str(page.relative_to(ROOT)) for page in pages()}
    parts = {it for it in shown if re.match(r"docs/(errors|decisions)/(?!README)", it)}
    assert named == shown - parts
