"""Where a run's events are kept: what of it the servers share, and what of it can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from tests.chaos.faults import FAULTS
from tests.support.valkey import Valkey


class Backing(Protocol):
    """A kind of log.

    Attributes:
        nodes: how many servers share it.
        faults: the names of those that it can be put to.
    """

    nodes: int
    faults: tuple[str, ...]

    async def start(self, folder: Path) -> str:
        """Start it, or start it again; return its URL."""

    async def kill(self) -> None:
        """End it without warning, where it is a process."""

    async def stop(self) -> None:
        """End it."""


class SQLite:
    """A file of the one server's own, in its folder: it fails with it and its disk."""

    nodes = 1
    faults = tuple(name for name in FAULTS if name != "kill_log")

    async def start(self, folder: Path) -> str:
        """Return the URL; there is nothing to start."""
        return "sqlite:///events.db"

    async def kill(self) -> None:
        """Do nothing: it ends with the server."""

    async def stop(self) -> None:
        """Do nothing."""


class SharedValkey:
    """A Valkey that syncs each write, and two servers over it: it fails without them."""

    nodes = 2
    faults = tuple(name for name in FAULTS if "disk" not in name)

    def __init__(self) -> None:
        self._server: Valkey | None = None

    async def start(self, folder: Path) -> str:
        """Start it, or start it again on the same port and data; return its URL."""
        if self._server is None:
            self._server = Valkey(folder / "valkey", appendonly="yes", appendfsync="always")
        await asyncio.to_thread(self._server.start)
        return self._server.url

    async def kill(self) -> None:
        """End it without warning."""
        assert self._server is not None
        await asyncio.to_thread(self._server.kill)

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)


BACKINGS: dict[str, type[Backing]] = {"sqlite": SQLite, "valkey": SharedValkey}
