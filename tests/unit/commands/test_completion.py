"""The shell's completion of commands, options and values."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from sio_server.commands.program import program
from tests.support.processes import descendants, program_folder
from tests.support.server import ROOT, TIMEOUT

COMPLETION = 'eval "$(furniture-events-server completion {shell})"'
SESSIONS = {
    "bash": ["bash", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
"""Shells without the developer's own settings. One waits for each key, as in a terminal."""

SETUP = {"zsh": "autoload -Uz compinit && compinit -u -D; "}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a shell that finds the program by its installed name."""
    path = os.pathsep.join((str(program_folder(tmp_path)), os.environ["PATH"]))
    return {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TERM": "dumb"}


def skip_without(shell: str) -> None:
    """Skip the test if this machine does not have the shell."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is needed: install it (Debian: apt-get install {shell})")


class Terminal:
    """A shell in a terminal of its own.

    Args:
        command: the shell.
        environment: its environment variables.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=environment["HOME"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._shown = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def wait_for(self, pattern: str) -> None:
        """Wait until the terminal shows a text; forget everything up to its end."""
        end = time.monotonic() + TIMEOUT
        while (found := re.search(pattern, self._shown)) is None:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                pytest.fail(f"{pattern} is missing in {self._shown!r}")
            self._shown += os.read(self._master, 4096).decode()
        self._shown = self._shown[found.end() :]

    def close(self) -> None:
        """End the shell, and what it has started: a server, if the completion is broken."""
        for process in descendants(self._process.pid):
            os.kill(process, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.mark.parametrize("shell", SESSIONS)
def test_tab_completes_what_is_typed(shell: str, environment: dict[str, str]) -> None:
    """In an interactive shell, with the line of the documentation."""
    skip_without(shell)
    line = COMPLETION.format(shell=shell)
    assert f"`{line}`" in (ROOT / "docs/command-line.md").read_text()
    terminal = Terminal(SESSIONS[shell], environment)
    try:
        terminal.type(f"{SETUP.get(shell, '')}{line}; echo is-rea''dy\n")
        terminal.wait_for("is-ready")
        terminal.type("furniture-events-server publish furniture_d\t")
        terminal.wait_for("furniture_deleted ")
    finally:
        terminal.close()


def test_fish_completes_what_is_typed(environment: dict[str, str]) -> None:
    """Its own command ``complete -C`` returns what Tab shows, and the help of a command."""
    skip_without("fish")
    line = "furniture-events-server completion fish | source"
    assert f"`{line}`".replace("|", "\\|") in (ROOT / "docs/command-line.md").read_text()
    script = f"{line}; complete -C 'furniture-events-server pos'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    command, _, help_text = done.stdout.partition("\t")
    assert command == "position", done.stderr
    assert help_text.startswith("Print the position")


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
