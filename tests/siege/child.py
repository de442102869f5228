"""The processes of a siege besides the server: their start, their messages and their end.

A process reads JSON lines from its standard input and writes JSON lines to its standard output. It
ends when its input ends, so that it never outlives the siege.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.forks import ForkedProcess

END_SECONDS = 10
"""The time in which a process ends when it was told to."""


class ChildFailed(Exception):
    """A process of the siege has ended, or does not answer."""


class Child:
    """A process that runs a module of this folder.

    It is forked, so that its start does not hold up the siege.

    Args:
        module: the module's name.
        folder: its working directory.
        first_message: the first line that it reads.
    """

    def __init__(self, module: str, folder: Path, first_message: dict[str, Any]) -> None:
        self._module = module
        self._process = ForkedProcess(f"tests.siege.{module}", folder, {}, has_input=True)
        self.send(first_message)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        assert self._process.input is not None
        try:
            self._process.input.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise self._failed("has ended") from None

    def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message.

        Args:
            seconds: the time in which it is expected.

        Raises:
            ChildFailed: no message came.
        """
        if not select.select([self._process.output], [], [], seconds)[0]:
            self.kill()
            raise self._failed(f"does not answer within {seconds:.0f} s")
        line = self._process.output.readline()
        if not line.startswith("{"):  # it has ended, or this is its error output
            raise self._failed(f"has ended: {line}")
        message: dict[str, Any] = json.loads(line)
        return message

    def end(self) -> None:
        """Let the process end; kill it if it does not."""
        assert self._process.input is not None
        self._process.input.close()
        self._process.output.close()  # a full pipe would hold it up
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait(END_SECONDS)

    def _failed(self, what: str) -> ChildFailed:
        return ChildFailed(f"{self._module} {what}{self._process.output.read()[-2000:]}")


def write_message(message: dict[str, Any]) -> None:
    """Write a message to the siege, in a process of its own."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def read_message() -> dict[str, Any]:
    """Read a message of the siege; end this process if the siege has ended.

    It takes no byte of the next message, so that a loop can wait for it with ``select``.
    """
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            sys.exit(0)
        line += byte
    message: dict[str, Any] = json.loads(line)
    return message


def allow_many_files() -> None:
    """Raise this process's limit of open files as far as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
