"""Every code block of every page is at least code: it parses, and the names in it exist.

``tests/README.md`` says which blocks also run, and where.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from sio_server.contract.schemas import schemas
from tests.support.pages import ROOT, code, pages
from tests.support.server import python_path

CHECKED_ELSEWHERE = {
    "sh": ("tests/docs/test_shell_blocks.py", ""),
    "console": ("tests/docs/test_sessions.py", "docs/"),
    "wscat": ("tests/docs/test_sessions.py", "docs/|README"),
    "js": ("tests/docs/test_browser_scripts.py", "docs/"),
    "ts": (
        "tests/integration/test_javascript_client.py",
        "clients/javascript/|docs/javascript-api",
    ),
    "tsx": ("tests/integration/test_javascript_client.py", "clients/javascript/"),
}
"""The test that reads the blocks of a language, and the beginning of the pages where it does."""

DIRECTIVES = {"toctree", "eval-rst"}
"""Sphinx reads them, and takes a mistake for an error (``test_site.py``)."""

TEXTS = {
    "docs/architecture.md": (2, "tests/docs/test_blocks.py"),
    "docs/django.md": (2, "tests/docs/test_django_page.py"),
    "docs/logs.md": (1, "tests/unit/test_logs.py"),
    "docs/valkey.md": (2, "tests/docs/test_how_to.py"),
}
"""Pages with blocks ``text``: how many are no pictures, and the test that reads them."""


def of(*languages: str) -> Iterator[tuple[str, str, str]]:
    """Yield the page, the language and the text of each block in one of these languages."""
    for page in pages():
        for block in code(page):
            if block.language in languages:
                yield str(page.relative_to(ROOT)), block.language, block.text


def output(*command: str | Path, given: object) -> str:
    """Run a program with JSON on its standard input; return what it prints."""
    return subprocess.run(
        command,
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": python_path(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


def parse_ini(text: str) -> None:
    """Parse the unit of systemd."""
    configparser.RawConfigParser(strict=False).read_string(text)


PARSERS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "ini": parse_ini,
}


def is_picture(text: str) -> bool:
    """Tell whether a block ``text`` is a drawing with arrows."""
    return "─▶" in text


def test_every_language_is_checked() -> None:
    """A block in a new language needs a check here. A block without a language is not allowed."""
    found = {block.language for page in pages() for block in code(page) if not block.directive}
    assert found <= {*PARSERS, *CHECKED_ELSEWHERE, "css", "python", "html", "text"}
    for language, (test, place) in CHECKED_ELSEWHERE.items():
        assert (ROOT / test).is_file()
        assert [page for page, _, _ in of(language) if not re.match(place, page)] == []


def test_every_directive_is_known() -> None:
    """Sphinx would show an unknown one as code."""
    found = {block.directive for page in pages() for block in code(page)}
    assert found - {""} <= DIRECTIVES


def test_every_text_is_read_by_a_test() -> None:
    """All but pictures. In a picture, each file exists."""
    found: dict[str, int] = {}
    for page, _, text in of("text"):
        if is_picture(text):
            for file in re.findall(r"[\w/]+\.py", text):
                places = ("sio_server", "examples")
                assert any(any(ROOT.glob(f"{it}/**/{file}")) for it in places), f"{page}: {file}"
        else:
            found[page] = found.get(page, 0) + 1
    assert found == {page: count for page, (count, _) in TEXTS.items()}
    for page, (_, test) in TEXTS.items():
        assert Path(page).name in (ROOT / test).read_text(), f"{test} should read {page}"


def test_the_architecture_shows_the_folders_and_the_layers() -> None:
    """``architecture.md`` has each file and each layer, and no other one."""
    folders, layers = (
        text for page, _, text in of("text") if "architecture" in page and not is_picture(text)
    )
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert layers.splitlines() in [it.get("layers") for it in contracts["contracts"]]
    shown = {
        name
        for line in folders.splitlines()
        for name in re.findall(r"[\w.]+(?:\.py|/)(?=\s|$)", line.strip().partition("   ")[0])
    }
    server = ROOT / "sio_server"
    real = {it.name for it in server.glob("*.py")} | {
        f"{it.name}/" for it in server.iterdir() if it.is_dir() and it.name != "__pycache__"
    }
    assert shown - {"sio_server/", "clients/", "python/", "javascript/", "tests/"} == real - {
        "__init__.py"
    }


def test_no_block_is_indented() -> None:
    """The tests find only blocks that begin at the start of a line."""
    indented = re.compile(r"^[ >]+```", re.MULTILINE)
    assert [page for page in pages() if indented.search(page.read_text())] == []


def test_data_can_be_read() -> None:
    """JSON, YAML, TOML and units of systemd."""
    for _, language, text in of(*PARSERS):
        PARSERS[language](text)


def test_json_has_the_schema_that_it_names() -> None:
    """The word after ``json`` is the name of a schema of ``contract/schemas.py``."""
    whole = {"components": {"schemas": schemas()}}
    named = [
        (block.words, json.loads(block.text))
        for page in pages()
        for block in code(page)
        if block.language == "json" and block.words
    ]
    assert named
    for name, value in named:
        jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", **whole})


def test_python_templates_and_commands_of_django_exist() -> None:
    """Python code parses, and what it imports exists. Templates compile. Commands exist."""
    checker = ROOT / "tests/docs/django_blocks.py"
    assert output(sys.executable, checker, given=list(of("python", "html", "sh"))) == ""


def test_scripts_and_styles_have_no_syntax_error() -> None:
    """Node.js reads the scripts, esbuild the style sheets."""
    read = """
        const blocks = JSON.parse(require("fs").readFileSync(0));
        for (const [page, , text] of blocks)
            try { new (require("vm").Script)(`(async () => {${text}})`); }
            catch (error) { console.log(page, error.message, text); }
    """
    assert output("node", "-e", read, given=list(of("js"))) == ""
    esbuild = ROOT / "clients/javascript/node_modules/.bin/esbuild"
    styles = subprocess.run(
        [esbuild, "--loader=css", "--log-level=warning"],
        input="\n".join(text for _, _, text in of("css")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert styles.stderr == ""
