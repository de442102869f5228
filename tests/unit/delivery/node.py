"""A log, outlets and a fan-out that a test drives step by step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Offset, Record
from sio_server.delivery.cursor import Cursor, State
from sio_server.delivery.fanout import CaughtUp, Fanout
from sio_server.delivery.resume import Start
from sio_server.eventlog import reading
from sio_server.eventlog.contract import AppendResult, Bounds, EventLog, Page, PiecePage

EPOCH = "epoch"
Check = Callable[[], object]


def offset(seq: int) -> Offset:
    """Return an offset in the log of the tests."""
    return Offset(EPOCH, seq)


class Log(EventLog):
    """A log that a test fills, trims, pauses or makes fail.

    Like a log on disk, it notes the rooms of a read at once, and looks at the events later.

    Attributes:
        oldest: the number of trimmed events.
        examined: the most events that one read looks at.
        available: whether reads succeed.
        gate: reads wait until it is set.
        reads: the number of reads until now.
        before_read: called right before a read looks at the events.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.oldest = 0
        self.examined = 1000
        self.available = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = 0
        self.before_read: Callable[[], None] = lambda: None

    def add(self, *rooms: str) -> Record:
        """Append a record for these rooms."""
        record = Record(offset(len(self.records) + 1), "furniture_created", rooms, "{}")
        self.records.append(record)
        return record

    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Wait for the gate, then read."""
        wanted = reading.selecting(rooms)
        self.reads += 1
        await self.gate.wait()
        await asyncio.sleep(0)
        self.before_read()
        if not self.available:
            raise LogUnavailable("the disk is away")
        bounds = reading.bounds(EPOCH, self.oldest, len(self.records))
        seqs = reading.plan(after, wanted, limit, bounds)
        if isinstance(seqs, Page):
            return seqs
        records = [self.records[seq - 1] for seq in seqs[: self.examined]]
        examined = [
            record if wanted is None or not wanted.isdisjoint(record.rooms) else None
            for record in records
        ]
        return reading.page(examined, seqs, limit, bounds)

    async def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        """Return no pieces: delivery reads none."""
        return PiecePage([], None)

    async def bounds(self) -> Bounds:
        """Return the offsets between which events are stored."""
        return reading.bounds(EPOCH, self.oldest, len(self.records))

    async def open(self) -> None:
        """Do nothing: the log is always open."""

    async def close(self) -> None:
        """Do nothing."""

    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Fail: the fan-out never appends."""
        raise NotImplementedError

    async def check_writable(self) -> None:
        """Fail: the fan-out never appends."""
        raise NotImplementedError

    def tail(self) -> AsyncIterator[list[Record]]:
        """Fail: records are delivered by the tests."""
        raise NotImplementedError


class Outlet:
    """A consumer that reads only when a test tells it to.

    Attributes:
        bound: the most unread frames that its buffer holds.
        seqs: the sequence numbers of the written events.
        frames: the written frames.
        writes: the number of calls that wrote them.
        closed: the number of times it was dropped.
    """

    def __init__(self, bound: int = 1000) -> None:
        self.bound = bound
        self.unread = 0
        self.seqs: list[int] = []
        self.frames: list[Any] = []
        self.writes = 0
        self.closed = 0
        self._read = asyncio.Event()

    @staticmethod
    def encode(record: Record) -> Any:
        """Return a frame for the record."""
        return [record]

    def write(self, frame: Any) -> bool:
        """Buffer a frame."""
        self.writes += 1
        self.frames.append(frame)
        self.seqs.append(frame[0].offset.seq)
        self.unread += 1
        return self.unread <= self.bound

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Buffer frames."""
        writes = self.writes + 1
        within = True
        for frame in frames:
            within = self.write(frame)
        self.writes = writes
        return within

    def unacknowledged_bytes(self) -> int:
        """Return the number of unread frames."""
        return self.unread

    async def drain(self) -> None:
        """Wait until the unread frames are within the bound."""
        while self.unread > self.bound:
            self._read.clear()
            await self._read.wait()

    def drop(self) -> None:
        """Count the call."""
        self.closed += 1

    def read(self) -> None:
        """Read all buffered frames."""
        self.unread = 0
        self._read.set()


class Node:
    """A log, the fan-out over it, and the numbers that the fan-out reports.

    Attributes:
        delivered: the number of written events, over all consumers.
        replayed: the number of those that were written to consumers that were not live.
        parked: the number of times a consumer was parked.
    """

    def __init__(self, slow_seconds: float = 30, recent_events: int = 0) -> None:
        self.log = Log()
        self.delivered = self.replayed = 0
        self.parked = 0
        self.fanout = Fanout(
            self.log, slow_seconds, self._count, self._park, recent_events, self._count_replayed
        )
        self.fanout.jump_to(offset(0))

    def _count(self, events: int) -> None:
        self.delivered += events

    def _count_replayed(self, events: int) -> None:
        self.replayed += events

    def _park(self) -> None:
        self.parked += 1

    def publish(self, *rooms: str) -> int:
        """Append a record and deliver it; return the number of recipients."""
        self.log.add(*rooms)
        (recipients,) = self.deliver()
        return recipients

    def deliver(self, most: int | None = None) -> list[int]:
        """Deliver the records that the fan-out lacks; return the number of recipients of each."""
        behind = self.log.records[self.fanout.position.seq :][:most]
        return [count for record in behind for count in self.fanout.deliver([record])]

    def deliver_together(self, most: int | None = None) -> list[int]:
        """Like ``deliver``, but all in one call."""
        return self.fanout.deliver(self.log.records[self.fanout.position.seq :][:most])

    def join(
        self,
        rooms: Iterable[str] = ("catalog",),
        since: int | None = None,
        outlet: Outlet | None = None,
        on_caught_up: Callable[[CaughtUp], object] = lambda caught_up: None,
    ) -> tuple[Cursor, Outlet]:
        """Join a consumer at the head, or after ``since``."""
        outlet = outlet or Outlet()
        cursor = Cursor(outlet, rooms, self.fanout.position)
        start = Start(self.fanout.position if since is None else offset(since))
        self.fanout.join(cursor, start, on_caught_up)
        return cursor, outlet


async def turns(count: int = 30) -> None:
    """Run the event loop this many times, so that ready tasks make progress."""
    for _ in range(count):
        await asyncio.sleep(0)


def is_live(cursor: Cursor) -> bool:
    """Tell whether the fan-out writes new events to a cursor at once."""
    return cursor.state is State.LIVE


async def until(condition: Check) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():
            await turns(1)
