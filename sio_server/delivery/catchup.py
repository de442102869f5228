"""Brings a cursor that is not live to the head, at its consumer's pace."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Record
from sio_server.contract.rooms import CATALOG
from sio_server.delivery.cursor import Cursor, State
from sio_server.delivery.head import Head
from sio_server.delivery.recent import Chunk, Entry, EventRange, RecentEvents, chunked
from sio_server.eventlog.contract import EventLog, Page

PAGE_EVENTS = 100
"""The number of events that a cursor reads from the log at a time."""

TURN_EVENTS = 200
"""The number of events that a cursor gets from memory before the other tasks have a turn. However
many cursors catch up, they take their turns in different iterations of the event loop."""

RETRY_SECONDS = 1.0
"""The time that a cursor waits before it asks an unavailable log again."""


class CatchUp:
    """Writes missed events to a cursor.

    Args:
        log: the event log, for events that are not in memory.
        recent: the events right before the head.
        head: the position at which a cursor has caught up.
        slow_seconds: after this time without progress, a consumer is dropped.
        delivered: called with the number of written events.
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
        self._turn = asyncio.Lock()

    def begin(self, cursor: Cursor) -> int:
        """Write the first missed events at once if memory has them. Return their number."""
        missed = self._recent.after(cursor.position, TURN_EVENTS)
        if missed is None:
            return 0
        written, within_bound = self._write(cursor, missed)
        if within_bound:
            cursor.position = missed.end
        return written

    async def run(self, cursor: Cursor) -> int | None:
        """Write the events between a cursor and the head.

        If a number is returned, the cursor is at the head, until the next ``await``. While the
        consumer reads slowly, its buffer is all that is held for it.

        Returns:
            The number of events, or None if the outlet was dropped or the consumer is gone.
        """
        written = 0
        while cursor.position != self._head.position:
            cursor.rooms_added = False
            entries, page = await self._next_page(cursor)
            if page.gap:  # the retention has passed the cursor
                cursor.outlet.drop()
                return None
            if cursor.rooms_added:
                continue  # the page was read without the new rooms
            count, within_bound = self._write(cursor, entries)
            written += count
            if not within_bound:
                del entries, page  # only the buffer is held while the consumer is slow
                if not await self.drained(cursor):
                    return None
                continue
            cursor.position = page.position
            if page.at_end and cursor.position.seq > self._head.position.seq:
                await self._head.moved()  # the log is ahead of the head, which passes this soon
        return written

    async def drained(self, cursor: Cursor) -> bool:
        """Wait until the consumer has read most of its buffer.

        Returns:
            False if the consumer is gone, or was dropped because it made no progress.
        """
        outlet = cursor.outlet
        remaining = outlet.unacknowledged_bytes()
        while True:
            try:
                async with asyncio.timeout(self._slow_seconds):
                    await outlet.drain()
            except TimeoutError:
                if outlet.unacknowledged_bytes() >= remaining:  # no progress
                    outlet.drop()
                    return False
                remaining = outlet.unacknowledged_bytes()
            else:
                return cursor.state is not State.GONE

    async def _next_page(self, cursor: Cursor) -> tuple[Iterable[Entry], Page]:
        """Return the next events for a cursor, from memory if they are there."""
        async with self._turn:  # in one iteration of the loop, only one of all catch-ups continues
            await asyncio.sleep(0)
        missed = self._recent.after(cursor.position, TURN_EVENTS)
        if missed is None:
            page = await self._read(cursor)
            return _consume(page.records), page
        return missed, Page([], missed.end, at_end=missed.end == self._head.position)

    async def _read(self, cursor: Cursor) -> Page:
        """Read the next events for a cursor from the log. Wait while the log is unavailable."""
        while True:
            rooms = None if CATALOG in cursor.rooms else cursor.rooms.keys()
            try:
                return await self._log.read(cursor.position, rooms, PAGE_EVENTS)
            except LogUnavailable:
                await asyncio.sleep(RETRY_SECONDS)

    def _write(self, cursor: Cursor, entries: Iterable[Entry]) -> tuple[int, bool]:
        """Write the entries that are for a cursor, until its buffer is full.

        Returns:
            The number of written events, and False if the buffer is over its bound.
        """
        written = 0
        for frames, offset in _chunks(cursor, entries):
            within_bound = cursor.outlet.write_all(frames)
            cursor.position, cursor.last_written = offset, offset.seq
            written += len(frames)
            self._delivered(len(frames))
            if not within_bound:
                return written, False
        return written, True


def _chunks(cursor: Cursor, entries: Iterable[Entry]) -> Iterable[Chunk]:
    """Return the frames of the entries that are for a cursor, in chunks."""
    encoder = type(cursor.outlet)
    catalog_since = cursor.rooms.get(CATALOG, math.inf)
    if isinstance(entries, EventRange) and catalog_since <= cursor.position.seq:
        return entries.chunks(encoder)
    views = (
        entry.view(cursor.sees)
        for entry in entries
        if entry.record.offset.seq > catalog_since or _is_for(entry.record, cursor)
    )
    return chunked((view for view in views if view is not None), encoder)


def _consume(records: list[Record]) -> Iterator[Entry]:
    """Yield the records as entries, without keeping them: frames are larger than records."""
    records.reverse()
    while records:
        yield Entry(records.pop())


def _is_for(record: Record, cursor: Cursor) -> bool:
    return any(
        record.offset.seq > cursor.rooms[room] for room in record.rooms if room in cursor.rooms
    )
