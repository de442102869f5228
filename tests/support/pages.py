"""The documentation as data: its pages, their code blocks, and the table of settings.

``python -m tests.support.pages`` writes the table into ``docs/settings.md``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sio_server.settings import GROUPS, PREFIX, Settings
from tests.support.server import ROOT

README = ROOT / "README.md"
SETTINGS = ROOT / "docs/settings.md"
_FOLDERS = (".", "docs", "docs/*", "clients/*", "examples/*", "tests")

_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(<!-- settings: make docs -->\n).*?(<!-- /settings -->)", re.DOTALL)


class Block(NamedTuple):
    """A code block: its language, the words after it in the first line, and its text."""

    language: str
    words: str
    text: str

    @property
    def directive(self) -> str:
        """Return the name of a directive of Sphinx; empty if this block is code."""
        found = re.fullmatch(r"\{([\w-]+)\}.*", self.words)
        return found[1] if found and not self.language else ""


class Step(NamedTuple):
    """A command of a block ``console``, and the output that the page shows."""

    command: str
    output: str


def pages() -> list[Path]:
    """Return all pages of the documentation."""
    return sorted(
        page
        for folder in _FOLDERS
        for page in ROOT.glob(f"{folder}/*.md")
        if "_build" not in page.parts
    )


def code(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, in order."""
    for language, words, text in _BLOCK.findall(page.read_text()):
        yield Block(language, words.strip(), text)


def blocks(language: str, page: Path = README) -> list[str]:
    """Return the code blocks of one language, in order."""
    return [block.text for block in code(page) if block.language == language]


def steps(text: str) -> Iterator[Step]:
    """Yield the commands of a block ``console``: after ``$``, until their quotes are closed."""
    command, output = "", ""
    for line in text.splitlines(keepends=True):
        if command and not _is_complete(command):
            command += line
        elif line.startswith("$ "):
            if command:
                yield Step(command, output)
            command, output = line[2:], ""
        else:
            output += line
    if command:
        yield Step(command, output)


def _is_complete(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\\n")


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell script: no variables, no redirections."""
    text = re.sub(r"(^|\s)#.*$", r"\1", text.replace("\\\n", " "), flags=re.MULTILINE)
    lines = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lines.whitespace, lines.commenters, lines.whitespace_split = " \t", "", True
    words: list[str] = []
    for word in [*lines, "\n"]:
        if set(word) <= set("();<>|&\n"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", word):
            words.append(word)


def shows(expected: str, actual: str) -> bool:
    """Tell whether an output is as shown; ``…`` stands for any text."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


def settings_tables() -> str:
    """Return a table for each group of settings, generated from the code that reads them."""
    return "".join(_table(title, names) for title, names in _groups())


def _groups() -> Iterator[tuple[str, list[str]]]:
    names = list(Settings.model_fields)
    starts = [names.index(first) for first in GROUPS]
    ends = [*starts[1:], len(names)]
    for title, start, end in zip(GROUPS.values(), starts, ends, strict=True):
        yield title, names[start:end]


def _table(title: str, names: Iterable[str]) -> str:
    rows = [f"\n## {title}\n", "| Setting | Default | |", "| --- | --- | --- |"]
    for name in names:
        field = Settings.model_fields[name]
        default = field.default
        shown = "" if default in ((), None) else "false" if default is False else str(default)
        rows.append(
            f"| `{PREFIX}{name.upper()}` | {f'`{shown}`' if shown else ''} | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def with_tables(text: str) -> str:
    """Return the text of the page of settings with the generated tables in it."""
    return _TABLE.sub(lambda found: found[1] + settings_tables() + "\n" + found[2], text)


if __name__ == "__main__":
    SETTINGS.write_text(with_tables(SETTINGS.read_text()))
