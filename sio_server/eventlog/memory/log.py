"""The event log in memory: for one process, while it lives. No I/O."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import NamedTuple

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.appending import AppendPlan, PieceState
from sio_server.eventlog.clock import LogClock
from sio_server.eventlog.contract import (
    AppendResult,
    Bounds,
    EventLog,
    Page,
    PiecePage,
    Retention,
)
from sio_server.eventlog.memory.revocations import MemoryRevocations
from sio_server.eventlog.memory.sessions import MemorySessions
from sio_server.eventlog.tails import Tails

MAX_TRIMMED_EVENTS = 1_000
"""How many events beyond the retention one step removes at most, so that appends wait little."""


class _StoredEvent(NamedTuple):
    record: Record
    id: str
    milliseconds: int


class _StoredPiece(NamedTuple):
    seq: int
    state: PieceState


class MemoryLog(EventLog):
    """An event log that ends with the process.

    Args:
        retention: the bounds of the log.
        clock: returns the seconds since the Unix epoch.
        sweep_seconds: how often the log looks for events that are too old while no call comes.
    """

    def __init__(
        self,
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
        sweep_seconds: float = 1.0,
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._timestamps = LogClock(clock)
        self._sweep_seconds = sweep_seconds
        self._epoch = reading.new_epoch()
        self._events: dict[int, _StoredEvent] = {}
        self._seqs: dict[str, int] = {}
        self._pieces: dict[str, _StoredPiece] = {}
        self._changes: list[tuple[int, str]] = []  # the last event of each piece, in order
        self._oldest = self._end = self._milliseconds = 0
        self._tails: Tails[Record] = Tails()
        self._sessions = self.sessions = MemorySessions(retention, clock)
        self._revocations = self.revocations = MemoryRevocations(retention, clock, self._check_open)
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_open = False
        self._read_turn = asyncio.Lock()

    @override
    async def open(self) -> None:
        self._is_open = True
        self._sweep()

    @override
    async def close(self) -> None:
        self._is_open = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        async with self._read_turn:  # the reads that have started come first
            pass
        for contents in (self._events, self._seqs, self._pieces, self._changes):
            contents.clear()
        self._tails.end()
        self._sessions.close()

    @override
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        self._check_open()
        self._trim(MAX_TRIMMED_EVENTS)
        plan = AppendPlan(
            Offset(self._epoch, self._end),
            self._timestamps.next(self._milliseconds),
            find=self._find,
            last_state=self._last_state,
        )
        results = [plan.add(event) for event in events]
        self._store(plan)
        self._trim(MAX_TRIMMED_EVENTS + len(plan.records))
        if plan.records:
            self._tails.publish(plan.records.values())
            await asyncio.sleep(0)  # the consumers of the tails run before the caller continues
        return results

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        self._check_open()
        wanted = reading.selecting(rooms)
        async with self._read_turn:  # many reads at once take one short turn after another
            await asyncio.sleep(0)
            return self._read(after, wanted, limit)

    def _read(self, after: Offset | None, wanted: frozenset[str] | None, limit: int) -> Page:
        bounds = self._bounds()
        seqs = reading.plan(after, wanted, limit, bounds)
        if isinstance(seqs, Page):
            return seqs
        records = (self._events[seq].record for seq in seqs)
        examined = (
            record if wanted is None or not wanted.isdisjoint(record.rooms) else None
            for record in records
        )
        return reading.page(examined, seqs, limit, bounds)

    @override
    async def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        self._check_open()
        async with self._read_turn:
            await asyncio.sleep(0)
            if before is not None and before.epoch != self._epoch:
                return PiecePage([], None)
            changes = self._changes
            end = len(changes) if before is None else bisect_left(changes, (before.seq, ""))
            most = min(limit, reading.MAX_EXAMINED_EVENTS)
            newest = changes[max(0, end - most) : end]
            examined = ((seq, piece, self._pieces[piece].state) for seq, piece in reversed(newest))
            return reading.piece_page(self._epoch, examined, most, at_end=len(newest) == end)

    @override
    async def bounds(self) -> Bounds:
        self._check_open()
        return self._bounds()

    def _bounds(self) -> Bounds:
        self._trim(MAX_TRIMMED_EVENTS)
        return reading.bounds(self._epoch, self._oldest, self._end)

    @override
    async def check_writable(self) -> None:
        self._check_open()

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    def _check_open(self) -> None:
        if not self._is_open:
            raise LogUnavailable("the event log is closed")

    def _find(self, id: str) -> Record | None:
        seq = self._seqs.get(id)
        return None if seq is None else self._events[seq].record

    def _last_state(self, piece: str) -> PieceState | None:
        stored = self._pieces.get(piece)
        return None if stored is None else stored.state

    def _store(self, plan: AppendPlan) -> None:
        self._milliseconds = plan.milliseconds
        committed_at = time.monotonic()
        for event_id, record in plan.records.items():
            record.note_commit(committed_at)
            self._end = record.offset.seq
            self._seqs[event_id] = self._end
            self._events[self._end] = _StoredEvent(record, event_id, plan.milliseconds)
        for piece, new in plan.states.items():
            self._forget(piece)
            if new.state is not None:
                self._pieces[piece] = _StoredPiece(new.seq, new.state)
                self._changes.append((new.seq, piece))
        while len(self._pieces) > self._retention.pieces:
            self._forget(self._changes[0][1])

    def _forget(self, piece: str) -> None:
        """Forget the last state of a piece, if the log knows it."""
        stored = self._pieces.pop(piece, None)
        if stored is not None:
            del self._changes[bisect_left(self._changes, (stored.seq, piece))]

    def _trim(self, max_events: int) -> bool:
        """Remove the oldest events beyond the retention; return whether there may be more."""
        by_count = self._end - self._retention.events
        by_age = (self._clock() - self._retention.seconds) * 1000
        last = min(self._oldest + max_events, self._end)
        while self._oldest < last:
            seq = self._oldest + 1
            if seq > by_count and self._events[seq].milliseconds >= by_age:
                return False
            del self._seqs[self._events.pop(seq).id]
            self._oldest = seq
        return self._oldest < self._end

    def _sweep(self) -> None:
        may_have_more = self._trim(MAX_TRIMMED_EVENTS)
        self._revocations.trim()
        self._sweeper = asyncio.get_running_loop().call_later(
            0 if may_have_more else self._sweep_seconds, self._sweep
        )
