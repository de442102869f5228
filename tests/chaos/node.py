"""One node of the server: a real process that is ended and started again on the same port."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.server import Server, wait_until

DISK_BYTES = 64 << 20
"""The size of the disk that can be filled."""

EXPECTED = (
    "event_log_failed",  # a full disk
    "event_log_unreachable",  # a log whose own process was killed
)
"""What a server may log as an error."""


class Disk:
    """Where a node keeps its data, which can be full.

    With a file system of its own in memory where that can be had, else by a bound on the size of
    the server's files.

    Args:
        folder: where.
        mounted: mount a file system there; that takes root.
    """

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted and _mount(folder)
        self._ballast = folder / "ballast"

    def fill(self, process: int) -> None:
        """Leave no space for what the process writes."""
        if not self.mounted:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self, process: int) -> None:
        """Give the space back."""
        if self.mounted:
            self._ballast.unlink()
        else:
            unbound = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process, resource.RLIMIT_FSIZE, unbound)

    def remove(self) -> None:
        """Let the file system go."""
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True, timeout=20)
            self.mounted = False


def _mount(folder: Path) -> bool:
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "chaos", str(folder)],
            check=False,
            capture_output=True,
            timeout=20,
        )
    except OSError:
        return False
    return done.returncode == 0


class Node:
    """A node that can be killed, frozen, drained and started again.

    Attributes:
        lines: what ended processes of it have logged.
        statuses: the exit statuses of those that were asked to stop.
    """

    def __init__(self, disk: Disk, settings: dict[str, Any]) -> None:
        self.disk = disk
        self._settings = settings
        self.lines: list[str] = []
        self.statuses: list[int] = []
        self.server = self._run()
        self._settings["port"] = self.server.port

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        return self.server.process.pid

    def _run(self) -> Server:
        # A transport that waits for a silent peer when the loop ends is a ResourceWarning; where
        # that is an error, uvloop does not end.
        return Server(self.disk.folder, **self._settings)

    async def kill(self) -> None:
        """End the process without warning."""
        await asyncio.to_thread(self.server.kill)

    async def stop(self) -> None:
        """Have the process drain."""
        self.statuses.append(await asyncio.to_thread(self.server.stop))

    async def start(self) -> None:
        """Start it again, on the same port and data."""
        self.lines += self.server.raw
        self.server = await asyncio.to_thread(self._run)

    def freeze(self) -> None:
        """Let the process do nothing."""
        self.server.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", "the process stands still")

    def thaw(self) -> None:
        """Let it go on."""
        self.server.process.send_signal(signal.SIGCONT)

    def troubles(self) -> list[str]:
        """Return the log lines that tell of a failure of the program."""
        lines = [*self.lines, *self.server.raw]
        return [
            line
            for line in lines
            if ("Traceback" in line or '"level": "error"' in line)
            and not any(expected in line for expected in EXPECTED)
        ]


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
