"""The event logs of a run: how many servers share one, and how it can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from tests.chaos.faults import FAULTS
from tests.support.proxy import Proxy
from tests.support.valkey import Valkey

SHARED_LOG_FAULTS = ("roll", "kill_log", "log_cut", "log_silent", "log_ended")
"""Faults that need several servers with one log."""


class Backing(Protocol):
    """One kind of event log.

    Attributes:
        nodes: the number of servers that share it.
        faults: the names of the faults that are possible with it.
    """

    nodes: int
    faults: tuple[str, ...]

    async def start(self, folder: Path) -> str:
        """Start or restart it; return its URL."""

    async def kill(self) -> None:
        """Kill its process, if it has one."""

    async def make_unreachable(self, how: str) -> None:
        """Make it unreachable: ``cut`` off, ``silent`` or ``ended``."""

    async def make_reachable(self) -> None:
        """Make it reachable again."""

    async def stop(self) -> None:
        """Stop it."""


class SQLite:
    """A file in the folder of the only server. It fails with that server and its disk."""

    nodes = 1
    faults = tuple(name for name in FAULTS if name not in SHARED_LOG_FAULTS)

    async def start(self, folder: Path) -> str:
        """Return the URL. There is nothing to start."""
        return "sqlite:///events.db"

    async def kill(self) -> None:
        """Do nothing: there is no other process than the server."""

    async def make_unreachable(self, how: str) -> None:
        """Do nothing: there is no network in between."""

    async def make_reachable(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class SharedValkey:
    """A Valkey that syncs each write, with two servers over it. It can fail on its own."""

    nodes = 2
    faults = tuple(name for name in FAULTS if "disk" not in name)

    def __init__(self) -> None:
        self._server: Valkey | None = None
        self._proxy: Proxy

    async def start(self, folder: Path) -> str:
        """Start it, or restart it with the same port and data; return its URL."""
        if self._server is None:
            self._server = Valkey(folder / "valkey", appendonly="yes", appendfsync="always")
            self._proxy = Proxy(self._server.port)
            await self._proxy.start()
        await asyncio.to_thread(self._server.start)
        return f"redis://127.0.0.1:{self._proxy.port}/0"

    async def kill(self) -> None:
        """Kill its process."""
        assert self._server is not None
        await asyncio.to_thread(self._server.kill)

    async def make_unreachable(self, how: str) -> None:
        """Make it unreachable for both servers."""
        assert self._server is not None
        if how == "cut":
            self._proxy.open = False
            self._proxy.cut()
        elif how == "silent":
            self._proxy.mute = True
            self._proxy.silence()
        else:
            await asyncio.to_thread(self._server.stop)

    async def make_reachable(self) -> None:
        """Make it reachable again. Connections that went silent stay silent."""
        assert self._server is not None
        self._proxy.open, self._proxy.mute = True, False
        if self._server.process is None:
            await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        """Stop it and its proxy."""
        if self._server is not None:
            await self._proxy.stop()
            await asyncio.to_thread(self._server.stop)


BACKINGS: dict[str, type[Backing]] = {"sqlite": SQLite, "valkey": SharedValkey}
