"""Write the figures into the documentation: ``python -m benchmarks.performance``.

Pages such as ``docs/performance.md`` are written by hand, except for the parts between
``<!-- result: NAME -->`` and ``<!-- end -->``. This program fills them with the table, the plots,
the command and the limits of a result. ``--plots`` draws the plots, too, which needs matplotlib.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks import results
from benchmarks.results import Result
from benchmarks.servers import NAMES

DOCS = Path(__file__).parent.parent / "docs"
IMAGES = DOCS / "images/performance"
_PART = re.compile(r"(<!-- result: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def images(result: Result) -> list[Path]:
    """Return the files of the result's plots, which may not exist yet."""
    many = len(result.plots) > 1
    return [
        IMAGES / f"{result.name}{f'-{number}' * many}.svg"
        for number in range(1, len(result.plots) + 1)
    ]


def part(result: Result) -> str:
    """Return the part of the page for a result, in Markdown."""
    pictures = [
        f"![{plot.title}]({path.relative_to(DOCS).as_posix()})\n\n"
        for plot, path in zip(result.plots, images(result), strict=True)
    ]
    rounds = {len(row.rounds) for row in result.rows}
    counted = (
        f"{min(rounds)} to {max(rounds)} rounds" if len(rounds) > 1 else f"{rounds.pop()} rounds"
    )
    counted = "one round" if counted == "1 rounds" else f"the median of {counted} (lowest–highest)"
    commands = "\n".join(dict.fromkeys(row.command for row in result.rows))
    commits = ", ".join(dict.fromkeys(row.commit for row in result.rows))
    dates = sorted({row.measured_at[:10] for row in result.rows})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    servers = dict.fromkeys(row.server for row in result.rows)
    named = [f"`{server}`: {NAMES[server]}" for server in servers if server in NAMES]
    legend = f" {'; '.join(named)}." if named else ""
    return (
        f"{result.says}{legend} Each figure is {counted}.\n\n"
        f"{''.join(pictures)}{results.table(result)}\n\n"
        "What these figures do not say:\n\n"
        + "".join(f"- {sentence}\n" for sentence in result.does_not_say)
        + f"\nMeasured on {when}, commit {commits}, on {machine(result)}"
        + f", with {versions}" * bool(versions)
        + f", by:\n\n```sh\n{commands}\n```\n"
    )


def machine(result: Result) -> str:
    """Describe the machine in a few words."""
    of = result.machine
    return (
        f"{of['cores']} cores ({of['processor']}), {of['memory']}, {of['system']}, "
        f"Python {of['python']}"
    )


def pages() -> list[Path]:
    """Return the pages with figures."""
    return [path for path in sorted(DOCS.glob("*.md")) if _PART.search(path.read_text())]


def filled(page: str, found: Mapping[str, Result]) -> str:
    """Return the page with the parts of all results that it names.

    Raises:
        KeyError: there is no such result.
    """
    return _PART.sub(lambda match: match[1] + part(found[match[2]]) + match[3], page)


def main() -> None:
    """Write the pages, and the plots if the arguments say so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance", description=__doc__)
    parser.add_argument("--plots", action="store_true", help="draw the plots, too")
    found = results.load_all()
    if parser.parse_args().plots:
        from benchmarks import plots  # noqa: PLC0415 - only this needs matplotlib

        for result in found.values():
            plots.draw(result, images(result))
    for path in pages():
        try:
            path.write_text(filled(path.read_text(), found))
        except KeyError as error:
            raise SystemExit(f"{path.name} needs the result {error}: run make bench") from None


if __name__ == "__main__":
    main()
