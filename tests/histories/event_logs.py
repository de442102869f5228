"""The product's own event logs, whose reads a test can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any, Literal

from sio_server.contract.events import Offset
from sio_server.eventlog.contract import EventLog, Page, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.eventlog.sqlite.jobs import Job
from sio_server.eventlog.sqlite.log import SqliteLog
from tests.histories.event_loop import SteppedLoop

SWEEP_SECONDS = 86_400
"""Seconds between two sweeps of old events: so long that only an append removes them."""

HoldPoint = Literal["before", "after"]
"""The moment at which a read is held: before it looks at the events, or after that."""


class ReadHold:
    """Holds the reads of a log at one point, or at none."""

    def __init__(self) -> None:
        self.point: HoldPoint | None = None
        self._released = asyncio.Event()

    def hold(self, point: HoldPoint) -> None:
        """Hold reads at this point from now on."""
        self.point = point
        self._released.clear()

    def release(self) -> None:
        """Let held reads and later reads continue."""
        self.point = None
        self._released.set()

    async def wait(self, point: HoldPoint) -> None:
        """Wait while reads are held at this point."""
        while self.point == point:
            await self._released.wait()


class _HeldLog(EventLog):
    """A log whose reads pass a ``ReadHold``."""

    reads: ReadHold

    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read for the rooms at the time of the call, even if the caller changes them meanwhile."""
        wanted = None if rooms is None else frozenset(rooms)
        if limit:
            await self.reads.wait("before")
        page = await super().read(after, wanted, limit)
        await self.reads.wait("after")
        return page


class HeldMemoryLog(_HeldLog, MemoryLog):
    """The log in memory."""


class HeldSqliteLog(_HeldLog, SqliteLog):
    """The log in a file. The event loop is not idle while the log's thread has a job."""

    async def open(self) -> None:
        """Open the file."""
        await _while_not_idle(super().open())

    async def close(self) -> None:
        """Close the file."""
        await _while_not_idle(super().close())

    def _submit(self, job: Job) -> None:
        super()._submit(job)
        _running_loop().wait_for_thread(job.answer)


def _running_loop() -> SteppedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    return loop


async def _while_not_idle(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _running_loop().wait_for_thread(task)
    await task


def make_log(
    path: Path | None, retention: Retention, clock: Callable[[], float], reads: ReadHold
) -> EventLog:
    """Return a log that is not open yet: in a file, or in memory if there is no path."""
    log: HeldMemoryLog | HeldSqliteLog
    if path is None:
        log = HeldMemoryLog(retention, clock=clock, sweep_seconds=SWEEP_SECONDS)
    else:
        log = HeldSqliteLog(path, retention, clock=clock, sweep_seconds=SWEEP_SECONDS)
    log.reads = reads
    return log
