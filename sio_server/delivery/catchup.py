"""Brings a cursor that is not live to the end of the log, at its consumer's pace."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import CATALOG
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.recent import Chunk, Entry, EventRange, RecentEvents, chunked
from sio_server.eventlog.contract import EventLog, Page

PAGE_EVENTS = 100
"""Events that a cursor reads at a time."""

TURN_EVENTS = 200
"""Events that a cursor gets from memory before everybody else has a turn."""

RETRY_SECONDS = 1.0
"""How long a cursor waits for a log that can't be reached."""


class Head:
    """How far the log's tail has been delivered.

    Attributes:
        position: the last event that was.
    """

    def __init__(self) -> None:
        self.position = Offset("", 0)
        self._move: asyncio.Future[None] | None = None

    def move(self, position: Offset) -> None:
        """Note how far the tail is now."""
        self.position = position
        if self._move is not None:
            self._move.set_result(None)
            self._move = None

    async def moved(self) -> None:
        """Wait for the next move."""
        if self._move is None:
            self._move = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._move)

    async def reach(self, position: Offset) -> None:
        """Wait until the tail has come up to a position of the log."""
        while self.position.epoch == position.epoch and self.position.seq < position.seq:
            await self.moved()


class CatchUp:
    """Writes to a cursor what it has missed.

    Args:
        log: what is read where memory does not have it.
        recent: the events right before the tip.
        tip: where a cursor has caught up.
        slow_seconds: how long a consumer may make no progress.
        delivered: called with a number of events written.
    """

    def __init__(
        self,
        log: EventLog,
        recent: RecentEvents,
        head: Head,
        slow_seconds: float,
        delivered: Callable[[int], object],
    ) -> None:
        self._log = log
        self._recent = recent
        self._head = head
        self._slow_seconds = slow_seconds
        self._delivered = delivered

    def begin(self, cursor: Cursor) -> int:
        """Write the next page at once where memory has it; return how many events."""
        stretch = self._recent.after(cursor.position, TURN_EVENTS)
        if stretch is None:
            return 0
        written, within = self._write(cursor, stretch)
        if within:
            cursor.position = stretch.end
        return written

    async def run(self, cursor: Cursor) -> int | None:
        """Write what lies between a cursor and the tip; return how many events, None if it ended.

        On return nothing lies between, until the next ``await``. While a consumer reads slowly, no
        more is held for it than its buffer does.
        """
        written = 0
        while cursor.position != self._head.position:
            cursor.rooms_added = False
            entries, page = await self._next(cursor)
            if page.gap:
                cursor.outlet.drop()
                return None
            if cursor.rooms_added:
                continue  # the page was read for fewer rooms than there are now
            count, within = self._write(cursor, entries)
            written += count
            if not within:
                del entries, page
                if not await self.drained(cursor):
                    return None
                continue
            cursor.position = page.position
            if page.at_end and cursor.position.seq > self._head.position.seq:
                await self._head.moved()
        return written

    async def drained(self, cursor: Cursor) -> bool:
        """Wait until a consumer has read on; False where it is gone, or makes no progress."""
        outlet = cursor.outlet
        left = outlet.unacknowledged_bytes()
        while True:
            try:
                async with asyncio.timeout(self._slow_seconds):
                    await outlet.drain()
            except TimeoutError:
                if outlet.unacknowledged_bytes() >= left:  # no progress
                    outlet.drop()
                    return False
                left = outlet.unacknowledged_bytes()
            else:
                return not cursor.left

    async def read(self, cursor: Cursor, limit: int) -> Page:
        """Read what follows a cursor's position, for its rooms, once the log can be reached."""
        while True:
            rooms = None if CATALOG in cursor.rooms else cursor.rooms.keys()
            try:
                return await self._log.read(cursor.position, rooms, limit)
            except LogUnavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _next(self, cursor: Cursor) -> tuple[Iterable[Entry], Page]:
        """Return the next page for a cursor, from memory where it is there."""
        stretch = self._recent.after(cursor.position, TURN_EVENTS)
        if stretch is None:
            page = await self.read(cursor, PAGE_EVENTS)
            return _taken(page.records), page
        await asyncio.sleep(0)  # a turn for everybody else
        return stretch, Page([], stretch.end, at_end=stretch.end == self._head.position)

    def _write(self, cursor: Cursor, entries: Iterable[Entry]) -> tuple[int, bool]:
        """Write those that concern a cursor, a piece at a time, until its buffer is full.

        Returns:
            How many were written, and whether all were.
        """
        written = 0
        for frames, offset in _chunks(cursor, entries):
            within = cursor.outlet.write_all(frames)
            cursor.position, cursor.written = offset, offset.seq
            written += len(frames)
            self._delivered(len(frames))
            if not within:
                return written, False
        return written, True


def _chunks(cursor: Cursor, entries: Iterable[Entry]) -> Iterable[Chunk]:
    """Return the frames of those that concern a cursor, in pieces."""
    kind = type(cursor.outlet)
    everything = cursor.rooms.get(CATALOG, math.inf)
    if isinstance(entries, EventRange) and everything <= cursor.position.seq:
        return entries.chunks(kind)
    concerned = (
        entry
        for entry in entries
        if entry.record.offset.seq > everything or _concerns(entry.record, cursor)
    )
    return chunked(concerned, kind)


def _taken(records: list[Record]) -> Iterator[Entry]:
    """Yield entries whose frames go with them: frames take several times what records do."""
    records.reverse()
    while records:
        yield Entry(records.pop())


def _concerns(record: Record, cursor: Cursor) -> bool:
    return any(
        record.offset.seq > cursor.rooms[room] for room in record.rooms if room in cursor.rooms
    )
