"""README.md as data: its code blocks, and its generated table of settings.

``python -m tests.support.readme`` writes the table.
"""

from __future__ import annotations

import re
from pathlib import Path

from sio_server.settings import PREFIX, Settings
from tests.support.server import ROOT

README = ROOT / "README.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(<!-- settings: make docs -->\n).*?(<!-- /settings -->)", re.DOTALL)


def blocks(language: str, page: Path = README) -> list[str]:
    """Return the code blocks of one language, in order."""
    return [code for found, code in _BLOCK.findall(page.read_text()) if found == language]


def languages() -> set[str]:
    """Return the languages of all code blocks."""
    return {language for language, _ in _BLOCK.findall(README.read_text())}


def settings_table() -> str:
    """Return the table of all settings, generated from the code that reads them."""
    rows = ["| Setting | Default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        is_none = default is None or default == ()
        shown = "" if is_none else str(default).lower() if default is False else str(default)
        rows.append(
            f"| `{PREFIX}{name.upper()}` | {f'`{shown}`' if shown else ''} | {field.description} |"
        )
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """Return the text of README.md with the generated table in it."""
    return _TABLE.sub(lambda found: found[1] + settings_table() + found[2], text)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
