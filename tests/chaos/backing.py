"""Where a run's events are kept: what of it the servers share, and what of it can fail.

A log in a process of its own (Valkey with its append-only file synced at each write) is one more
class here: its URL is the nodes' ``SIO_EVENT_LOG``, it has several nodes, and the fault
``kill_log`` ends its process and starts it again on the same port and data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.chaos.faults import FAULTS


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


BACKINGS: dict[str, type[Backing]] = {"sqlite": SQLite}
