"""Every code block of every page is at least code: it parses, and the names in it exist.

``tests/README.md`` says which blocks also run, and where.
"""

from __future__ import annotations

import configparser
import json
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

CHECKED_ELSEWHERE = {
    "console": "tests/docs/test_sessions.py",
    "wscat": "tests/docs/test_sessions.py and tests/integration/test_readme.py",
    "ts": "tests/integration/test_javascript_client.py",
    "tsx": "tests/integration/test_javascript_client.py",
}
NOT_CODE = {"", "text", "nginx", "caddyfile", "dockerfile", "promql"}
"""Pictures, and files that other tests read where they are."""

MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | set(
    re.findall(r"call install,(\w+)", (ROOT / "Makefile").read_text())
)


def of(*languages: str) -> Iterator[tuple[str, str, str]]:
    """Yield the page, the language and the text of each block in one of these languages."""
    for page in pages():
        for block in code(page):
            if block.language in languages:
                yield str(page.relative_to(ROOT)), block.language, block.text


def output(*command: str | Path, given: object) -> str:
    """Run a program with JSON on its standard input; return what it prints."""
    return subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=True, cwd=ROOT
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


def test_every_language_is_checked() -> None:
    """A block in a new language needs a check here."""
    found = {block.language for page in pages() for block in code(page)}
    known = {*PARSERS, *CHECKED_ELSEWHERE, *NOT_CODE, "sh", "js", "css", "python", "html"}
    assert found <= known


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


def test_shell_commands_have_no_syntax_error_and_make_has_the_targets() -> None:
    """``bash -n`` reads all blocks, and the Makefile has each target that a line begins with."""
    scripts = [text for _, _, text in of("sh")]
    subprocess.run(["bash", "-n"], input="\n".join(scripts), text=True, check=True)
    named = set(
        re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", "\n".join(scripts), re.MULTILINE)
    )
    assert named <= MAKE_TARGETS


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
