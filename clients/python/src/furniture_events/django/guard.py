"""Stops processes whose program has died without stopping them, as by ``kill -9``. For POSIX.

The guard is a process of its own: this file. Its input is a pipe that only the program holds, so
the input ends when the program ends, however that happens. Linux could also send a child a signal
at the death of its parent. But macOS cannot, and children of children would not get it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

STOP_SECONDS = 10
"""How long a process may take to stop before it is killed."""


class Guard:
    """The program's side. Every process that it adds leads a process group of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # neither Ctrl-C nor a closed terminal ends it
        )

    def add(self, group: int) -> None:
        """Stop this process group if the program dies."""
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        """Forget a process group, because it has ended."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard."""
        assert self._process.stdin is not None  # noqa: S101 - for the type
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type
        with suppress(OSError):  # without a guard, the program stops its processes itself
            os.write(self._process.stdin.fileno(), line.encode())


def watch(lines: Iterable[str]) -> None:
    """Note the process groups until the input ends; then stop those that are left."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    _signal(groups, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while _signal(groups, 0) and time.monotonic() < end:
        time.sleep(0.05)
    _signal(groups, signal.SIGKILL)


def _signal(groups: Iterable[int], number: int) -> bool:
    """Send a signal to process groups; return whether one of them still exists."""
    exists = False
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses it for a dead group
            os.killpg(group, number)
            exists = True
    return exists


if __name__ == "__main__":
    watch(sys.stdin)
