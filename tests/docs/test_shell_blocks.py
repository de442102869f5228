"""The shell commands of every page: a linter reads them, and each program knows its arguments.

Blocks ``console`` and those of the README, the tutorial and most how-to pages also run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path

import click
import pytest

import sio_server
from sio_server.commands import NAME
from sio_server.commands.program import program
from tests.support.pages import ROOT, code, commands, pages

MAKEFILE = (ROOT / "Makefile").read_text()
MAKE_TARGETS = {
    *re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE),
    *re.findall(r"call install,(\w+)", MAKEFILE),
}
WHEEL = f"furniture_events_server-{sio_server.__version__}"


def scripts() -> dict[str, str]:
    """Return the shell blocks of each page."""
    found = {
        str(page.relative_to(ROOT)): "\n".join(
            block.text for block in code(page) if block.language == "sh"
        )
        for page in pages()
    }
    return {page: text for page, text in found.items() if text}


def used(*first: str) -> list[tuple[str, list[str]]]:
    """Return the page and the arguments of each command that begins with these words."""
    found = []
    for page, text in scripts().items():
        for words in commands(text):
            start = len(first)
            if [Path(words[0]).name, *words[1:start]] == list(first):
                found.append((page, words[start:]))
    return found


def test_a_linter_has_no_complaint() -> None:
    """ShellCheck finds quotes, variables and syntax that do not mean what a reader expects."""
    script = "".join(f"# {page}\n{text}" for page, text in scripts().items())
    options = ("--shell=bash", "--format=gcc", "--exclude=SC1091")  # it cannot follow `activate`
    linter = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [linter, *options, "-"], input=script, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


@pytest.mark.parametrize(("page", "words"), used("make"))
def test_make_has_the_target(page: str, words: list[str]) -> None:
    """And the tests that an example names exist."""
    if "-C" in words:
        del words[words.index("-C") : words.index("-C") + 2]
    targets = {it for it in words if "=" not in it}
    assert targets
    assert targets <= MAKE_TARGETS, page
    for path in re.findall(r"\btests/[\w/.]+", " ".join(words)):
        assert (ROOT / path).exists(), page


@pytest.mark.parametrize(
    ("page", "words"), [*used(NAME), *used("python", "-m", "sio_server")], ids=str
)
def test_the_command_line_knows_the_arguments(
    page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Click parses them, and no command runs."""
    (tmp_path / "events.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    command: click.Command | None = program
    context: click.Context | None = None
    with ExitStack() as stack:
        while words and command:
            context = stack.enter_context(command.make_context("it", list(words), parent=context))
            if not isinstance(command, click.Group):
                break
            name, command, words = command.resolve_command(context, words)
            assert command is not None, f"{page}: {name}"


@pytest.mark.parametrize(("page", "words"), used("pip", "install"), ids=str)
def test_pip_finds_our_packages(page: str, words: list[str]) -> None:
    """No public index has them, so each is a folder, or a file that ``make dist`` makes."""
    for word in words:
        path, _, extras = word.replace("$BROKER", ".").rstrip("]").partition("[")
        if page.startswith("clients/python") and path == ".":
            path = "./clients/python"
        assert not path.startswith("furniture-events"), f"{page}: no index has it"
        if path.startswith("furniture_events_server-"):
            path = f"./{path}"
        if not path.startswith("."):
            continue
        file = Path(path).name
        if file.endswith(".whl"):
            assert file.startswith(("furniture_events_server-*", f"{WHEEL}-")), page
        folder = ROOT if file.endswith(".whl") else ROOT / path
        about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        known = {"", *about.get("optional-dependencies", ())}
        assert set(extras.split(",")) <= known, page
