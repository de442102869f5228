"""``README.es.md`` says the same as ``README.md``: parts, commands, tables and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import README, ROOT, code

SPANISH = ROOT / "README.es.md"
COMMENT = re.compile(r"\s+# .*")


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    """Return the levels of the headings."""
    return re.findall(r"^(#+) ", prose(page), re.MULTILINE)


def commands(page: Path) -> list[tuple[str, str]]:
    """Return the code blocks, without comments."""
    return [(block.language, COMMENT.sub("", block.text)) for block in code(page)]


def rows(page: Path) -> list[int]:
    """Return the number of cells of each row of a table."""
    return [line.count(" | ") for line in prose(page).splitlines() if line.startswith("|")]


def links(page: Path) -> list[str]:
    """Return the targets of links and pictures, except those from one README to the other."""
    found = re.findall(r"\]\(([^)]+)\)|<(http[^>]+)>|<img src=\"([^\"]+)\"", prose(page))
    return sorted({"".join(it) for it in found} - {README.name, SPANISH.name})


def names(page: Path) -> set[str]:
    """Return the names in the text, such as commands and settings."""
    return set(re.findall(r"`([^`]+)`", prose(page)))


@pytest.mark.parametrize("part", [headings, commands, rows, links, names])
def test_both_readmes_have_the_same(part: object) -> None:
    """A change of one needs the same change of the other."""
    assert callable(part)
    assert part(SPANISH) == part(README)


@pytest.mark.parametrize(("page", "other"), [(README, SPANISH), (SPANISH, README)])
def test_each_readme_leads_to_the_other(page: Path, other: Path) -> None:
    """In its first lines."""
    assert f"]({other.name})" in "\n".join(page.read_text().splitlines()[:6])
