"""The shell's completion of commands, options and values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from sio_server.commands.program import program
from tests.support.server import ROOT

SHELL = """
eval "$(furniture-events-server completion bash)"
COMP_WORDS=(furniture-events-server check) COMP_CWORD=1
_furniture_events_server_completion furniture-events-server
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_commands(tmp_path: Path) -> None:
    """It asks the program by its installed name."""
    installed = tmp_path / "furniture-events-server"
    installed.write_text(f'#!/bin/sh\nexec {sys.executable} -m sio_server "$@"\n')
    installed.chmod(0o700)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    environment = {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", SHELL], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["check", "check-token"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell: str) -> None:
    """It asks the program by its installed name."""
    result = CliRunner().invoke(program, ["completion", shell])
    assert result.exit_code == 0
    assert f"_FURNITURE_EVENTS_SERVER_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "check", ["check", "check-token"]),
        (["publish"], "furniture_c", ["furniture_created"]),
        (["publish", "furniture_created"], "an", ["ancho="]),
        (["run", "--log-level"], "", ["debug", "info", "warning", "error"]),
        (["run"], "--producer-keys", ["--producer-keys-file"]),
    ],
)
def test_commands_options_and_values_are_completed(
    words: list[str], incomplete: str, expected: list[str]
) -> None:
    """A secret is no option, so it is not offered."""
    complete = ShellComplete(program, {}, "furniture-events-server", "_COMPLETE")
    assert [it.value for it in complete.get_completions(words, incomplete)] == expected
