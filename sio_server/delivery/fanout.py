"""Writes each event to every live cursor in one of its rooms, and brings the others to the head.

The states of a cursor::

    join ──▶ REPLAYING ─────────────▶ LIVE ◀────────────┐
      │      it reads the missed      it is written to  │ it reads the log from its position
      │      events                   as events come    │ to the head
      │                                 │               │
      │      (no missed events)         │ its buffer is │
      └────────────────────────────▶    │ over its bound│
                                        ▼               │
                                      PARKED ───────────┘
                                      it is not written to until it has read

    Every state leads to GONE: the connection ended, the consumer made no progress for too long, its
    outlet failed, or the retention has passed its position.

Knows logs, rooms and outlets; nothing of sockets or protocols. Everything runs in one event loop.
Code that must not be interrupted has no ``await`` in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import RoomFilter
from sio_server.delivery.catchup import CatchUp
from sio_server.delivery.cursor import NOWHERE, Cursor, State
from sio_server.delivery.head import Head
from sio_server.delivery.recent import MAX_RECENT_EVENTS, RecentEvents
from sio_server.delivery.resume import LastSeen, ResumeRequest, Start
from sio_server.delivery.rooms import Addressed, LiveRooms, together
from sio_server.eventlog.contract import Bounds, EventLog
from sio_server.logs import get_logger

logger = get_logger("sio_server")


class CaughtUp(NamedTuple):
    """The end of a cursor's replay, right before the cursor becomes live.

    Attributes:
        start: where the cursor started.
        position: the position of the head.
        replayed: the number of replayed events.
    """

    start: Start
    position: Offset
    replayed: int

    def ready_message(self, rooms: Iterable[str]) -> dict[str, Any]:
        """Return the ``ready`` message for a consumer in these rooms."""
        return {
            "type": "ready",
            "position": str(self.position),
            "rooms": sorted(rooms),
            "recovered": self.start.recovered,
            "gap": self.start.gap,
            "replayed": self.replayed,
        }


OnCaughtUp = Callable[[CaughtUp], object]


class Fanout:
    """Writes each event once to every live cursor in one of its rooms.

    Args:
        log: the event log. Cursors that are not live read it.
        slow_seconds: after this time without progress, a consumer that is not live is dropped.
        delivered: called with the number of written frames, one for each recipient.
        parked: called when a slow consumer stops being live.
        recent_events: the number of latest events to hold in memory.
        replayed: called with the number of frames written to a consumer that is not live. They are
            among the delivered ones.

    Attributes:
        parked_now: the number of parked consumers.
    """

    def __init__(
        self,
        log: EventLog,
        slow_seconds: float,
        delivered: Callable[[int], object] = lambda count: None,
        parked: Callable[[], object] = lambda: None,
        recent_events: int = MAX_RECENT_EVENTS,
        replayed: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._delivered = delivered
        self._replayed = replayed
        self.parked_now = 0
        self._parked = parked
        self._rooms = LiveRooms()
        self._recent = RecentEvents(recent_events)
        self._head = Head()
        self._catch_up = CatchUp(log, self._recent, self._head, slow_seconds, self._caught_up)
        self._log = log
        self._expected = self.position

    @property
    def position(self) -> Offset:
        """The head: the last delivered event of the log."""
        return self._head.position

    async def prepare(self, request: ResumeRequest) -> Bounds | None:
        """Wait until every event that is acknowledged by now, on any server, is delivered here.

        Returns:
            The log's bounds, for ``resume``. None if the client has no past and the log is not
            shared.

        Raises:
            LogUnavailable: the log cannot be asked for its bounds.
        """
        bounds = None
        if request.has_past or self._log.shared:
            bounds = await self._log.bounds()
        await self._head.reach(
            bounds.position if bounds is not None and self._log.shared else self._expected
        )
        return bounds

    def expect(self, position: Offset) -> None:
        """Note that events up to this position have been taken from the tail, to be delivered."""
        self._expected = position

    def deliver(self, records: Sequence[Record]) -> list[int]:
        """Write records to every live cursor in their rooms; several of them in one piece.

        Records come in the log's order. A record that was delivered before is ignored.

        Returns:
            The number of recipients of each record.
        """
        addressed = [self._address(record) for record in records]
        full: list[Cursor] = []
        failed: set[Cursor] = set()
        for written, recipients in addressed[0] if len(records) == 1 else together(addressed):
            for cursor, write in recipients.items():
                try:
                    within_bound = write(written)
                except Exception:  # one consumer's failure must not stop the others
                    logger.exception("outlet_failed")
                    failed.add(cursor)
                    continue
                if not within_bound:
                    full.append(cursor)
        counts = [
            sum(len(recipients) - len(failed & recipients.keys()) for _, recipients in frames)
            for frames in addressed
        ]
        self._delivered(sum(counts))
        for cursor in full:
            self._park(cursor)
        for cursor in failed:
            self._drop(cursor)
        return counts

    def _address(self, record: Record) -> list[Addressed]:
        """Move the head to a record. Return its frames, each with its live recipients."""
        epoch, seq = self.position
        if record.offset.epoch == epoch and record.offset.seq <= seq:
            return []
        self._head.move(record.offset)
        entry = self._recent.add(record)
        addressed: list[Addressed] = []
        try:
            addressed.extend(self._rooms.address(entry))
        except Exception:  # one event's failure must not stop the others
            logger.exception("encoding_failed", offset=str(record.offset))
        return addressed

    def _caught_up(self, count: int) -> None:
        self._delivered(count)
        self._replayed(count)

    def jump_to(self, position: Offset) -> None:
        """Move the head to another position, without the events in between.

        Live consumers may have missed events. They are dropped, so that they connect again and
        are told of a gap.
        """
        for cursor in self._rooms.members():
            self._drop(cursor)
        self._head.move(position)

    def join(self, cursor: Cursor, start: Start, on_caught_up: OnCaughtUp) -> None:
        """Let a cursor begin at its start.

        If no events were missed, or if memory has the few that were, the cursor is live on return.

        Args:
            cursor: a new one.
            start: the decision of ``resume``, made with the present head.
            on_caught_up: called once, right before the cursor becomes live. Never called if the
                consumer is gone before.
        """
        cursor.position = start.position
        replayed = self._catch_up.begin(cursor)
        if cursor.position == self.position:
            on_caught_up(CaughtUp(start, cursor.position, replayed))
            self._make_live(cursor)
        else:
            self._run(cursor, self._replay(cursor, start, on_caught_up, replayed))

    def leave(self, cursor: Cursor) -> None:
        """Remove a cursor. A second call does nothing."""
        self._stop_live(cursor, State.GONE)
        cursor.outlet = NOWHERE  # the consumer refers to its cursor: without this, it is a cycle
        if cursor.task is not None:
            cursor.task.cancel()
            cursor.task = None

    def _drop(self, cursor: Cursor) -> None:
        outlet = cursor.outlet
        self.leave(cursor)
        outlet.drop()

    def subscribe(self, cursor: Cursor, rooms: Iterable[str]) -> None:
        """Add rooms. The consumer receives their events after the present head."""
        added = dict.fromkeys(
            (room for room in rooms if room not in cursor.rooms), self.position.seq
        )
        cursor.rooms |= added
        cursor.rooms_added |= bool(added)
        if cursor.state is State.LIVE:
            self._rooms.add(cursor, added)

    def unsubscribe(self, cursor: Cursor, rooms: Iterable[str]) -> None:
        """Remove rooms."""
        removed = [room for room in rooms if cursor.rooms.pop(room, None) is not None]
        if cursor.state is State.LIVE:
            self._rooms.remove(cursor, removed)

    def change_sight(self, cursor: Cursor, sees: RoomFilter) -> None:
        """Change what a consumer may see, from the next event on."""
        is_live = cursor.state is State.LIVE
        if is_live:
            self._stop_live(cursor, State.REPLAYING)
        cursor.sees = None if sees.hides_nothing else sees
        if is_live:
            self._make_live(cursor)

    def room_sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the rooms with the number of their live members; see ``LiveRooms.sizes``."""
        return self._rooms.sizes()

    def last_seen(self, cursor: Cursor) -> LastSeen:
        """Return what a consumer has received so far, for its session."""
        if cursor.state is not State.LIVE:
            return LastSeen(cursor.position, cursor.last_written)
        return LastSeen(self.position, self._rooms.last_written(cursor))

    def _make_live(self, cursor: Cursor) -> None:
        if cursor.state is State.GONE:
            return
        self.parked_now -= cursor.state is State.PARKED
        cursor.state = State.LIVE
        self._rooms.add(cursor, cursor.rooms)

    def _stop_live(self, cursor: Cursor, state: State) -> None:
        """Take a cursor out of its rooms, if it is live, and set its next state."""
        if cursor.state is State.LIVE:
            cursor.position, cursor.last_written = self.last_seen(cursor)
            self._rooms.remove(cursor, cursor.rooms)
        self.parked_now += (state is State.PARKED) - (cursor.state is State.PARKED)
        cursor.state = state

    def _park(self, cursor: Cursor) -> None:
        self._stop_live(cursor, State.PARKED)
        self._parked()
        self._run(cursor, self._unpark(cursor))

    def _run(self, cursor: Cursor, work: Coroutine[Any, Any, None]) -> None:
        """Run the task that brings a cursor to the head."""

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                logger.error("catch_up_failed", exc_info=task.exception())
                cursor.outlet.drop()

        cursor.task = asyncio.ensure_future(work)
        cursor.task.add_done_callback(done)

    async def _unpark(self, cursor: Cursor) -> None:
        if await self._catch_up.drained(cursor) and await self._catch_up.run(cursor) is not None:
            self._make_live(cursor)

    async def _replay(
        self, cursor: Cursor, start: Start, on_caught_up: OnCaughtUp, replayed: int
    ) -> None:
        count = await self._catch_up.run(cursor)
        if count is not None and cursor.state is not State.GONE:
            on_caught_up(CaughtUp(start, cursor.position, replayed + count))
            self._make_live(cursor)
