"""One node: a real server process that can be stopped and restarted on the same port."""

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

EXPECTED_ERRORS = (
    "event_log_failed",  # a full disk
    "event_log_unreachable",  # a log whose own process was killed
)
"""Events that a server may log as errors."""


class Disk:
    """The storage of a node's data, which can be filled.

    If possible, it is a file system of its own in memory. Otherwise a limit on the size of the
    server's files replaces a full disk.

    Args:
        folder: the folder of the data.
        mounted: try to mount a file system there, which only root may do.
    """

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted and _mount(folder)
        self._ballast = folder / "ballast"

    def fill(self, process: int) -> None:
        """Leave no space for the writes of the process."""
        if not self.mounted:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self, process: int) -> None:
        """Make space again."""
        if self.mounted:
            self._ballast.unlink()
        else:
            unbound = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process, resource.RLIMIT_FSIZE, unbound)

    def remove(self) -> None:
        """Unmount the file system."""
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
    """A node that can be killed, frozen, drained and restarted.

    Attributes:
        lines: the log lines of its earlier processes.
        statuses: the exit statuses of its processes that were asked to stop.
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
        """Return the id of its present process."""
        return self.server.process.pid

    def _run(self) -> Server:
        # If the loop ends while a transport waits for a silent peer, that is a ResourceWarning. If
        # warnings are errors, uvloop then does not end.
        return Server(self.disk.folder, **self._settings)

    async def kill(self) -> None:
        """Send SIGKILL to the process."""
        await asyncio.to_thread(self.server.kill)

    async def stop(self) -> None:
        """Let the process drain and end."""
        self.statuses.append(await asyncio.to_thread(self.server.stop))

    async def start(self) -> None:
        """Restart it with the same port and data."""
        self.lines += self.server.raw
        self.server = await asyncio.to_thread(self._run)

    def freeze(self) -> None:
        """Send SIGSTOP to the process."""
        self.server.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", "the process is stopped")

    def thaw(self) -> None:
        """Send SIGCONT to the process."""
        self.server.process.send_signal(signal.SIGCONT)

    def troubles(self) -> list[str]:
        """Return the log lines of unexpected errors."""
        lines = [*self.lines, *self.server.raw]
        return [
            line
            for line in lines
            if ("Traceback" in line or '"level": "error"' in line)
            and not any(expected in line for expected in EXPECTED_ERRORS)
        ]


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
