"""A consumer as a cursor over the log, and the outlet that its events are written to."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter

Write = Callable[[Any], bool]


class Outlet(Protocol):
    """A way to write events to one consumer."""

    @staticmethod
    def encode(record: Record) -> Any:
        """Return the frame of a record. All outlets of the class write the same frame."""

    @property
    def write(self) -> Write:
        """Write a frame without waiting. Return False while the buffer is over its bound."""

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Write several frames in one piece; see ``write``."""

    def unacknowledged_bytes(self) -> int:
        """Return how many written bytes the consumer's machine has not acknowledged."""

    async def drain(self) -> None:
        """Wait until the buffer is well below its bound, or the consumer is gone."""

    def drop(self) -> None:
        """End the transport, because it failed, is too slow, or the log has moved past it."""


class _Nowhere:
    """The outlet of a cursor whose consumer is gone."""

    @staticmethod
    def encode(record: Record) -> None:
        """Return nothing."""

    def write(self, frame: Any) -> bool:
        """Do nothing."""
        return True

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Do nothing."""
        return True

    def unacknowledged_bytes(self) -> int:
        """Return 0."""
        return 0

    async def drain(self) -> None:
        """Return at once."""

    def drop(self) -> None:
        """Do nothing."""


NOWHERE: Outlet = _Nowhere()


class State(enum.Enum):
    """The state of a cursor; ``fanout`` has a picture."""

    REPLAYING = enum.auto()
    LIVE = enum.auto()
    PARKED = enum.auto()
    GONE = enum.auto()


class Cursor:
    """One consumer's place in the log.

    Attributes:
        state: see ``State``.
        sees: what the consumer may see; None: every event.
        rooms: the rooms of the consumer, each with the ``seq`` from which it counts. That is 0,
            unless the room was added later.
        position: every event for the consumer, up to this offset, was written to it. While the
            cursor is live, the fan-out's position stands for it, and this is where it became live.
        last_written: the ``seq`` of the last event that was written while the cursor was not live.
        rooms_added: a room was added, so a page that was read before is incomplete.
        task: the task that brings the cursor to the head, while it is replaying or parked.
    """

    __slots__ = (
        "last_written",
        "outlet",
        "position",
        "rooms",
        "rooms_added",
        "sees",
        "state",
        "task",
    )

    def __init__(
        self,
        outlet: Outlet,
        rooms: Iterable[str],
        position: Offset,
        sees: RoomFilter = ALL_ROOMS,
    ) -> None:
        self.outlet = outlet
        self.sees = None if sees.hides_nothing else sees
        self.rooms = dict.fromkeys(rooms, 0)
        self.position = position
        self.last_written = 0
        self.state = State.REPLAYING
        self.rooms_added = False
        self.task: asyncio.Task[None] | None = None
