"""Where a run's events are kept: what of it the servers share, and what of it can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from tests.chaos.faults import FAULTS
from tests.support.proxy import Proxy
from tests.support.valkey import Valkey

SHARED = ("roll", "kill_log", "log_cut", "log_silent", "log_ended")
"""Faults of what several servers share."""


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

    async def take(self, how: str) -> None:
        """Put it out of reach: ``cut`` off, ``silent`` or ``ended``."""

    async def bring(self) -> None:
        """Let it be reached again."""

    async def stop(self) -> None:
        """End it."""


class SQLite:
    """A file of the one server's own, in its folder: it fails with it and its disk."""

    nodes = 1
    faults = tuple(name for name in FAULTS if name not in SHARED)

    async def start(self, folder: Path) -> str:
        """Return the URL; there is nothing to start."""
        return "sqlite:///events.db"

    async def kill(self) -> None:
        """Do nothing: it ends with the server."""

    async def take(self, how: str) -> None:
        """Do nothing: there is no way to it."""

    async def bring(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class SharedValkey:
    """A Valkey that syncs each write, and two servers over it: it fails without them."""

    nodes = 2
    faults = tuple(name for name in FAULTS if "disk" not in name)

    def __init__(self) -> None:
        self._server: Valkey | None = None
        self._proxy: Proxy

    async def start(self, folder: Path) -> str:
        """Start it, or start it again on the same port and data; return its URL."""
        if self._server is None:
            self._server = Valkey(folder / "valkey", appendonly="yes", appendfsync="always")
            self._proxy = Proxy(self._server.port)
            await self._proxy.start()
        await asyncio.to_thread(self._server.start)
        return f"redis://127.0.0.1:{self._proxy.port}/0"

    async def kill(self) -> None:
        """End it without warning."""
        assert self._server is not None
        await asyncio.to_thread(self._server.kill)

    async def take(self, how: str) -> None:
        """Put it out of reach."""
        assert self._server is not None
        if how == "cut":
            self._proxy.open = False
            self._proxy.cut()
        elif how == "silent":
            self._proxy.mute = True
            self._proxy.silence()
        else:
            await asyncio.to_thread(self._server.stop)

    async def bring(self) -> None:
        """Let it be reached again; what went silent stays so."""
        assert self._server is not None
        self._proxy.open, self._proxy.mute = True, False
        if self._server.process is None:
            await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await self._proxy.stop()
            await asyncio.to_thread(self._server.stop)


BACKINGS: dict[str, type[Backing]] = {"sqlite": SQLite, "valkey": SharedValkey}
