"""The reference of the JavaScript client, from the types that its package has.

``python -m tests.support.javascript_api`` writes ``docs/javascript-api.md``. It needs the built
package: ``make browser-client``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.server import ROOT

PAGE = ROOT / "docs/javascript-api.md"
TYPES = ROOT / "clients/javascript/dist"

HEAD = """# JavaScript API

The types of the package `furniture-events`, generated from it by `make docs`.
[Its page](../clients/javascript/README.md) explains the client with examples.
"""
ENTRIES = {
    "furniture-events": "index",
    "furniture-events/react": "react",
    "furniture-events/vue": "vue",
}
"""The modules that a program imports, and their files."""

_FROM = re.compile(r'^export (?:type )?(\*|\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_MODULE_COMMENT = re.compile(r"\A/\*\*.*?\*/\n", re.DOTALL)
_DECLARATION = re.compile(
    r"(?:^/\*\*(?:(?!\*/).)*\*/\n)?"
    r"^(?=export (?:declare )?(?:interface|type|function|class|const) (\w+))"
    r"(?:^[^\n]*\n)*?^(?! {4})(?:[^\n]*;|\})$",
    re.MULTILINE | re.DOTALL,
)
"""A declaration with its comment. It ends with the first line at its own indentation that can."""


def declarations(module: str) -> dict[str, str]:
    """Return the text of each declaration that a module exports, by its name."""
    text = _MODULE_COMMENT.sub("", (TYPES / f"{module}.d.ts").read_text())
    return {found[1]: found[0] for found in _DECLARATION.finditer(text)}


def exported(module: str) -> Iterator[str]:
    """Yield the declarations that a program can import from a module."""
    yield from declarations(module).values()
    for names, origin in _FROM.findall((TYPES / f"{module}.d.ts").read_text()):
        found = declarations(origin)
        wanted = found if names == "*" else re.findall(r"(?:type )?(\w+)(?:,|\s*\})", names)
        yield from (found[name] for name in wanted)


def page() -> str:
    """Return the text of the page."""
    sections = [
        f"\n## {entry}\n\n```ts\n" + "\n\n".join(exported(module)) + "\n```\n"
        for entry, module in ENTRIES.items()
    ]
    return HEAD + "".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page())
