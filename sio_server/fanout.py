"""Consumers as cursors over the log: live ones at its end, the others catching up.

Knows logs, rooms and outlets; nothing of sockets or protocols. Everything runs in one event loop,
and what must not be torn apart has no ``await`` in it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import ChainMap, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sio_server.errors import LogUnavailable
from sio_server.eventlog.base import EventLog, Page
from sio_server.events import Offset, Record
from sio_server.recent import EVENTS, Entry, Recent
from sio_server.rooms import CATALOG

logger = logging.getLogger(__name__)

PAGE_EVENTS = 100
"""Events that a cursor reads at a time while it catches up."""

PIECE_BYTES = 32_768
"""About how much of what a cursor has missed is written in one piece."""

RETRY_SECONDS = 1.0
"""How long a cursor that catches up waits for a log that can't be reached."""


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

    def unacknowledged(self) -> int:
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


Write = Callable[[Any], bool]

Started = Callable[[Offset, bool, int], None]
"""Called when a cursor has caught up for the first time, right before its first live event, with
the position, whether there was a gap, and how many events were replayed."""


class _Room:
    """A room of one class of outlets.

    Attributes:
        members: those who are live, each with how it is written to.
        last: the ``seq`` of the last event that was.
    """

    __slots__ = ("last", "members")

    def __init__(self) -> None:
        self.members: dict[Cursor, Write] = {}
        self.last = 0


class Fanout:
    """Writes each event once to every live cursor in one of its rooms.

    Args:
        log: what cursors that are not live read.
        slow_seconds: how long a consumer may make no progress.
        delivered: called with a number of events written.
        parked: called when a slow consumer stops being live.
        recent_events: how many of the latest events are held in memory.
    """

    def __init__(
        self,
        log: EventLog,
        slow_seconds: float,
        delivered: Callable[[int], object] = lambda count: None,
        parked: Callable[[], object] = lambda: None,
        recent_events: int = EVENTS,
    ) -> None:
        self._log = log
        self._slow_seconds = slow_seconds
        self._delivered = delivered
        self._parked = parked
        # Those who are live, by class of outlets and room. In an event's way to a consumer each
        # object that it touches counts.
        self._rooms: defaultdict[type[Outlet], dict[str, _Room]] = defaultdict(dict)
        self._recent = Recent(recent_events)
        self._move: asyncio.Future[None] | None = None
        self.position = Offset("", 0)

    def deliver(self, record: Record) -> int:
        """Write a record to every live cursor in its rooms; return to how many.

        Records come in the log's order.
        """
        self._move_to(record.offset)
        entry = self._recent.add(record)
        count = 0
        over: list[Cursor] = []
        failed: list[Cursor] = []
        for kind, rooms in self._rooms.items():
            recipients = _recipients(rooms, record)
            if not recipients:
                continue
            count += len(recipients)
            frame = entry.frame(kind)
            for cursor, write in recipients.items():
                try:
                    within = write(frame)
                except Exception:  # one consumer's failure is no other's
                    logger.exception("outlet_failed")
                    failed.append(cursor)
                    continue
                if not within:
                    over.append(cursor)
        for cursor in over:
            self._park(cursor)
        for cursor in failed:
            self.leave(cursor)
            cursor.outlet.drop()
        count -= len(failed)
        self._delivered(count)
        return count

    def go_on_from(self, position: Offset) -> None:
        """Go on elsewhere in the log: what was between is lost to those who are live.

        They are dropped, so that they come back and are told of a gap.
        """
        rooms = [room for kind in self._rooms.values() for room in kind.values()]
        for cursor in {member for room in rooms for member in room.members}:
            self.leave(cursor)
            cursor.outlet.drop()
        self._move_to(position)

    async def reach(self, position: Offset) -> None:
        """Wait until what lies up to a position of the log has been delivered."""
        while self.position.epoch == position.epoch and self.position.seq < position.seq:
            await self._moved()

    def _move_to(self, position: Offset) -> None:
        self.position = position
        if self._move is not None:
            self._move.set_result(None)
            self._move = None

    def join(
        self, cursor: Cursor, since: Offset | None, started: Started, *, kept: bool = False
    ) -> None:
        """Let a cursor begin: at the end, or with all that came after ``since``.

        Without ``since``, or where nothing has come after it, it is live on return, and ``started``
        has been called. Where ``since`` is ``kept``, the log has it for sure.
        """
        if since is None or since == self.position:
            cursor.position = self.position
            started(cursor.position, False, 0)
            self._go_live(cursor)
            return
        cursor.position = since
        self._start(cursor, self._replay(cursor, started, kept=kept))

    def leave(self, cursor: Cursor) -> None:
        """Forget a cursor. A second call does nothing."""
        cursor.left = True
        self._go_still(cursor)
        if cursor.task is not None:
            cursor.task.cancel()
            cursor.task = None

    def subscribe(self, cursor: Cursor, rooms: Iterable[str]) -> None:
        """Add rooms, which count from now on."""
        for room in rooms:
            if room not in cursor.rooms:
                cursor.rooms[room] = self.position.seq
                cursor.rooms_added = True
                if cursor.live:
                    self._add(cursor, room)

    def standing(self, cursor: Cursor) -> tuple[Offset, int]:
        """Return up to where a cursor was written all that is for it, and the last such ``seq``."""
        if not cursor.live:
            return cursor.position, cursor.written
        rooms = self._rooms[type(cursor.outlet)]
        return self.position, max([cursor.written, *(rooms[room].last for room in cursor.rooms)])

    def unsubscribe(self, cursor: Cursor, rooms: Iterable[str]) -> None:
        """Take rooms away."""
        removed = [room for room in rooms if cursor.rooms.pop(room, None) is not None]
        if cursor.live:
            self._remove(cursor, removed)

    def _go_live(self, cursor: Cursor) -> None:
        if cursor.left:
            return
        cursor.live = True
        for room in cursor.rooms:
            self._add(cursor, room)

    def _go_still(self, cursor: Cursor) -> None:
        if cursor.live:
            cursor.position, cursor.written = self.standing(cursor)
            cursor.live = False
            self._remove(cursor, cursor.rooms)

    def _add(self, cursor: Cursor, room: str) -> None:
        outlet = cursor.outlet
        rooms = self._rooms[type(outlet)]
        if room not in rooms:
            rooms[room] = _Room()
        rooms[room].members[cursor] = outlet.write

    def _remove(self, cursor: Cursor, names: Iterable[str]) -> None:
        rooms = self._rooms[type(cursor.outlet)]
        for room in names:
            members = rooms[room].members
            del members[cursor]
            if not members:
                del rooms[room]

    def _park(self, cursor: Cursor) -> None:
        self._go_still(cursor)
        self._parked()
        self._start(cursor, self._unpark(cursor))

    def _start(self, cursor: Cursor, work: Coroutine[Any, Any, None]) -> None:
        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                logger.error("catch_up_failed", exc_info=task.exception())
                cursor.outlet.drop()

        cursor.task = asyncio.ensure_future(work)
        cursor.task.add_done_callback(done)

    async def _unpark(self, cursor: Cursor) -> None:
        if await self._drained(cursor) and await self._catch_up(cursor) is not None:
            self._go_live(cursor)

    async def _replay(self, cursor: Cursor, started: Started, *, kept: bool) -> None:
        gap = False
        if not kept:
            page = await self._read(cursor, limit=0)
            gap = page.gap
        if gap:
            cursor.position = page.position
            started(cursor.position, bool(cursor.rooms), 0)
        replayed = await self._catch_up(cursor)
        if replayed is None or cursor.left:
            return
        if not gap:
            started(cursor.position, False, replayed)
        self._go_live(cursor)

    async def _catch_up(self, cursor: Cursor) -> int | None:
        """Write what lies between a cursor and the end; return how many events, None if it ended.

        On return nothing lies between, until the next ``await``. While a consumer reads slowly, no
        more is held for it than its buffer does.
        """
        written = 0
        while cursor.position != self.position:
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
                if not await self._drained(cursor):
                    return None
                continue
            cursor.position = page.position
            if page.at_end and cursor.position.seq > self.position.seq:
                await self._moved()
        return written

    async def _next(self, cursor: Cursor) -> tuple[list[Entry], Page]:
        """Return the next page for a cursor, from memory where it is there."""
        entries = self._recent.after(cursor.position, PAGE_EVENTS)
        if entries is None:
            page = await self._read(cursor, PAGE_EVENTS)
            return [Entry(record) for record in page.records], page
        await asyncio.sleep(0)  # a turn for everybody else
        position = entries[-1].record.offset
        return entries, Page([], position, at_end=position == self.position)

    def _write(self, cursor: Cursor, entries: Iterable[Entry]) -> tuple[int, bool]:
        """Write those that concern a cursor, a piece at a time, until its buffer is full.

        Returns:
            How many were written, and whether all were.
        """
        written = 0
        for frames, offset in _pieces(cursor, entries):
            within = cursor.outlet.write_all(frames)
            cursor.position, cursor.written = offset, offset.seq
            written += len(frames)
            self._delivered(len(frames))
            if not within:
                return written, False
        return written, True

    async def _moved(self) -> None:
        """Wait for the next ``deliver``: the log is ahead of its tail."""
        if self._move is None:
            self._move = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._move)

    async def _drained(self, cursor: Cursor) -> bool:
        outlet = cursor.outlet
        left = outlet.unacknowledged()
        while True:
            try:
                async with asyncio.timeout(self._slow_seconds):
                    await outlet.drain()
            except TimeoutError:
                if outlet.unacknowledged() >= left:  # no progress
                    outlet.drop()
                    return False
                left = outlet.unacknowledged()
            else:
                return not cursor.left

    async def _read(self, cursor: Cursor, limit: int) -> Page:
        while True:
            rooms = None if CATALOG in cursor.rooms else cursor.rooms.keys()
            try:
                return await self._log.read(cursor.position, rooms, limit)
            except LogUnavailable:
                await asyncio.sleep(RETRY_SECONDS)


def _recipients(rooms: Mapping[str, _Room], record: Record) -> dict[Cursor, Write]:
    concerned = [rooms[name] for name in record.rooms if name in rooms]
    for room in concerned:
        room.last = record.offset.seq
    members = [room.members for room in concerned]
    return members[0] if len(members) == 1 else dict(ChainMap(*members))


def _pieces(cursor: Cursor, entries: Iterable[Entry]) -> Iterator[tuple[list[Any], Offset]]:
    """Yield the frames of those that concern a cursor, some at a time, and the last offset."""
    kind = type(cursor.outlet)
    everything = cursor.rooms.get(CATALOG, math.inf)
    frames: list[Any] = []
    size = 0
    for entry in entries:
        record = entry.record
        if record.offset.seq <= everything and not _concerns(record, cursor):
            continue
        frames.append(entry.frame(kind))
        size += len(record.body)
        if size >= PIECE_BYTES:
            yield frames, record.offset
            frames, size = [], 0
        last = record.offset
    if frames:
        yield frames, last


def _concerns(record: Record, cursor: Cursor) -> bool:
    return any(
        record.offset.seq > cursor.rooms[room] for room in record.rooms if room in cursor.rooms
    )
