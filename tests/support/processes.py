"""A running program: its output, and the processes that it has started."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def program_folder(folder: Path) -> Path:
    """Put ``furniture-events-server`` into a folder, as pip would, and return the folder."""
    installed = folder / "furniture-events-server"
    installed.write_text(f'#!/bin/sh\nexec {sys.executable} -m sio_server "$@"\n')
    installed.chmod(0o700)
    return folder


def output_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the program's output, up to a line with this text."""
    output = ""
    for line in process.stdout or ():
        output += line
        if text in line:
            return output
    raise AssertionError(f"it ended without {text!r}: {output}")


def descendants(process: int) -> set[int]:
    """Return its child processes, and their descendants."""
    found = children(process)
    return found.union(*map(descendants, found))


def children(process: int) -> set[int]:
    """Return its child processes. A thread, or the process, may end meanwhile."""
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, task.read_text().split()))
    return found


def command_line(process: int) -> str:
    """Return a process's command line."""
    return Path(f"/proc/{process}/cmdline").read_text()


def runs(process: int) -> bool:
    """Tell whether this process exists."""
    return Path(f"/proc/{process}").exists()
