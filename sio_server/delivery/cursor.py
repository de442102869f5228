"""A consumer as a cursor over the log, and what it is written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sio_server.contract.events import Offset, Record

Write = Callable[[Any], bool]


class Outlet(Protocol):
    """A way to write events to one consumer."""

    @staticmethod
    def encode(record: Record) -> Any:
        """Return the frame for a record, one for every outlet of the class."""

    @property
    def write(self) -> Write:
        """Write a frame without waiting; False while the consumer's buffer is over its bound."""

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Write frames in one piece; see ``write``."""

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the consumer's machine has not taken yet."""

    async def drain(self) -> None:
        """Wait until the buffer is well below its bound, or the consumer is gone."""

    def drop(self) -> None:
        """End the transport: it fails, makes no progress, or the log has moved on without it."""


class Cursor:
    """One consumer's place in the log.

    Attributes:
        rooms: what it gets events of, each with the ``seq`` that it counts from: 0, unless the
            room was added later.
        position: the last offset that counts as delivered. Kept up to date while it is not live;
            a live cursor's position is the fan-out's.
        written: the ``seq`` of the last event that was written while it was not live.
        live: it is written to as events come.
        rooms_added: set with each new room: what was read from the log before is too little.
        left: it is gone, and gets nothing any more.
        task: what lets it catch up, while it is not live.
    """

    __slots__ = ("left", "live", "outlet", "position", "rooms", "rooms_added", "task", "written")

    def __init__(self, outlet: Outlet, rooms: Iterable[str], position: Offset) -> None:
        self.outlet = outlet
        self.rooms = dict.fromkeys(rooms, 0)
        self.position = position
        self.written = 0
        self.live = False
        self.left = False
        self.rooms_added = False
        self.task: asyncio.Task[None] | None = None
