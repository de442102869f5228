"""The event log in memory: for one process, for as long as it lives. No I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import NamedTuple

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.appending import AppendPlan
from sio_server.eventlog.contract import AppendResult, Bounds, EventLog, Page, Retention
from sio_server.eventlog.memory.sessions import MemorySessions
from sio_server.eventlog.tails import Tails

TRIMMED = 1_000
"""How many events beyond the retention go at a time, so that no append waits for more."""


class _Kept(NamedTuple):
    record: Record
    id: str
    milliseconds: int


class MemoryLog(EventLog):
    """An event log that ends with the process.

    Args:
        retention: how long events are kept.
        clock: seconds since the Unix epoch.
        sweep_seconds: how often events that grew too old are looked for while nobody appends.
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
        self._sweep_seconds = sweep_seconds
        self._epoch = reading.new_epoch()
        self._kept: dict[int, _Kept] = {}
        self._seqs: dict[str, int] = {}
        self._states: dict[str, tuple[str, ...]] = {}
        self._oldest = self._end = self._milliseconds = 0
        self._tails: Tails[Record] = Tails()
        self._sessions = self.sessions = MemorySessions(retention.seconds, clock)
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_open = False

    @override
    async def open(self) -> None:
        self._is_open = True
        self._sweep()

    @override
    async def close(self) -> None:
        self._is_open = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        for held in (self._kept, self._seqs, self._states):
            held.clear()
        self._tails.end()
        self._sessions.close()

    @override
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        self._check_open()
        self._trim(TRIMMED)
        step = AppendPlan(
            Offset(self._epoch, self._end),
            max(self._milliseconds, int(self._clock() * 1000)),
            find=self._find,
            last_state=lambda piece: self._states.get(piece, ()),
        )
        answers = [step.add(event) for event in events]
        self._take(step)
        self._trim(TRIMMED + len(step.records))
        if step.records:
            self._tails.publish(step.records.values())
            await asyncio.sleep(0)  # the tails' consumers first, then whoever appended
        return answers

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        kept = await self.bounds()
        seqs = reading.plan(after, rooms, limit, kept)
        if isinstance(seqs, Page):
            return seqs
        wanted = None if rooms is None else frozenset(rooms)
        records = (self._kept[seq].record for seq in seqs)
        found = (it for it in records if wanted is None or not wanted.isdisjoint(it.rooms))
        return reading.page(found, seqs, limit, kept)

    @override
    async def bounds(self) -> Bounds:
        self._check_open()
        self._trim(TRIMMED)
        return reading.bounds(self._epoch, self._oldest, self._end)

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    def _check_open(self) -> None:
        if not self._is_open:
            raise LogUnavailable("the event log is closed")

    def _find(self, id: str) -> Record | None:
        seq = self._seqs.get(id)
        return None if seq is None else self._kept[seq].record

    def _take(self, step: AppendPlan) -> None:
        self._milliseconds = step.milliseconds
        for event_id, record in step.records.items():
            self._end = record.offset.seq
            self._seqs[event_id] = self._end
            self._kept[self._end] = _Kept(record, event_id, step.milliseconds)
        for piece, state in step.states.items():
            if state is None:
                self._states.pop(piece, None)
            else:
                self._states[piece] = state

    def _trim(self, at_most: int) -> bool:
        """Let go of the oldest events beyond the retention; True where more may have to go."""
        by_count = self._end - self._retention.events
        by_age = (self._clock() - self._retention.seconds) * 1000
        last = min(self._oldest + at_most, self._end)
        while self._oldest < last:
            seq = self._oldest + 1
            if seq > by_count and self._kept[seq].milliseconds >= by_age:
                return False
            del self._seqs[self._kept.pop(seq).id]
            self._oldest = seq
        return self._oldest < self._end

    def _sweep(self) -> None:
        more = self._trim(TRIMMED)
        self._sweeper = asyncio.get_running_loop().call_later(
            0 if more else self._sweep_seconds, self._sweep
        )
