"""Consumers as cursors over the log: live ones at its end, the others catching up.

Knows logs, rooms and outlets; nothing of sockets or protocols. Everything runs in one event loop,
and what must not be torn apart has no ``await`` in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import ChainMap, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from sio_server.contract.events import Offset, Record
from sio_server.delivery.catchup import CatchUp, Head
from sio_server.delivery.cursor import Cursor, Outlet, Write
from sio_server.delivery.recent import MAX_RECENT_EVENTS, RecentEvents
from sio_server.eventlog.contract import EventLog

logger = logging.getLogger(__name__)

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
        recent_events: int = MAX_RECENT_EVENTS,
    ) -> None:
        self._delivered = delivered
        self._parked = parked
        # Those who are live, by class of outlets and room. In an event's way to a consumer each
        # object that it touches counts.
        self._rooms: defaultdict[type[Outlet], dict[str, _Room]] = defaultdict(dict)
        self._recent = RecentEvents(recent_events)
        self._head = Head()
        self._catch_up = CatchUp(log, self._recent, self._head, slow_seconds, delivered)
        self.reach = self._head.reach

    @property
    def position(self) -> Offset:
        """The last event of the log that was delivered."""
        return self._head.position

    def deliver(self, record: Record) -> int:
        """Write a record to every live cursor in its rooms; return to how many.

        Records come in the log's order; one that came before is passed over.
        """
        epoch, seq = self.position
        if record.offset.epoch == epoch and record.offset.seq <= seq:
            return 0
        self._head.move(record.offset)
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

    def jump_to(self, position: Offset) -> None:
        """Go on elsewhere in the log: what was between is lost to those who are live.

        They are dropped, so that they come back and are told of a gap.
        """
        rooms = [room for kind in self._rooms.values() for room in kind.values()]
        for cursor in {member for room in rooms for member in room.members}:
            self.leave(cursor)
            cursor.outlet.drop()
        self._head.move(position)

    def join(
        self, cursor: Cursor, since: Offset | None, started: Started, *, kept: bool = False
    ) -> None:
        """Let a cursor begin: at the end, or with all that came after ``since``.

        Without ``since``, or where nothing has come after it, it is live on return, and ``started``
        has been called. Where ``since`` is ``kept``, the log has it for sure; it is live on return
        also if a page of memory has all that came.
        """
        cursor.position = self.position if since is None else since
        replayed = self._catch_up.begin(cursor) if kept else 0
        if cursor.position == self.position:
            started(cursor.position, False, replayed)
            self._go_live(cursor)
        else:
            self._start(cursor, self._replay(cursor, started, replayed, kept=kept))

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

    def last_seen(self, cursor: Cursor) -> tuple[Offset, int]:
        """Return up to where a cursor was written all that is for it, and the last such ``seq``."""
        if not cursor.live:
            return cursor.position, cursor.written
        rooms = self._rooms[type(cursor.outlet)]
        last = cursor.written
        for room, since in cursor.rooms.items():
            if rooms[room].last > since:  # before that it was for others alone
                last = max(last, rooms[room].last)
        return self.position, last

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
            cursor.position, cursor.written = self.last_seen(cursor)
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
        if await self._catch_up.drained(cursor) and await self._catch_up.run(cursor) is not None:
            self._go_live(cursor)

    async def _replay(self, cursor: Cursor, started: Started, replayed: int, *, kept: bool) -> None:
        gap = False
        if not kept:
            page = await self._catch_up.read(cursor, limit=0)
            gap = page.gap
        if gap:
            cursor.position = page.position
            started(cursor.position, bool(cursor.rooms), 0)
        more = await self._catch_up.run(cursor)
        if more is None or cursor.left:
            return
        if not gap:
            started(cursor.position, False, replayed + more)
        self._go_live(cursor)


def _recipients(rooms: Mapping[str, _Room], record: Record) -> dict[Cursor, Write]:
    concerned = [rooms[name] for name in record.rooms if name in rooms]
    for room in concerned:
        room.last = record.offset.seq
    members = [room.members for room in concerned]
    return members[0] if len(members) == 1 else dict(ChainMap(*members))
