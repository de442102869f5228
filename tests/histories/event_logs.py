"""The logs of the histories: the product's own, whose reads a test can hold."""

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
from tests.histories.loop import QuietLoop

NEVER = 86_400
"""Seconds between two looks for events that grew too old: they go when something is appended."""

Hold = Literal["asked", "answered"]
"""Where a read is held: before it looks at the events, if it wants any, or after that."""


class Gate:
    """Holds the reads of a log while it is shut."""

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self._open = asyncio.Event()

    def shut(self, hold: Hold) -> None:
        """Hold reads from now on."""
        self.hold = hold
        self._open.clear()

    def open(self) -> None:
        """Let them go."""
        self.hold = None
        self._open.set()

    async def wait(self, hold: Hold) -> None:
        """Wait while reads are held there."""
        while self.hold == hold:
            await self._open.wait()


class _Gated(EventLog):
    """A log behind a gate."""

    gate: Gate

    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read, for the rooms that it was asked for."""
        wanted = None if rooms is None else frozenset(rooms)
        if limit:
            await self.gate.wait("asked")
        page = await super().read(after, wanted, limit)
        await self.gate.wait("answered")
        return page


class GatedMemoryLog(_Gated, MemoryLog):
    """The log in memory."""


class GatedSqliteLog(_Gated, SqliteLog):
    """The log in a file. The loop is not idle while its thread has a job."""

    async def open(self) -> None:
        """Open the file."""
        await _counted(super().open())

    async def close(self) -> None:
        """Close it."""
        await _counted(super().close())

    def _submit(self, job: Job) -> None:
        super()._submit(job)
        _loop().wait_for(job.answer)


def _loop() -> QuietLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, QuietLoop)
    return loop


async def _counted(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _loop().wait_for(task)
    await task


def make_log(
    path: Path | None, retention: Retention, clock: Callable[[], float], gate: Gate
) -> EventLog:
    """Make a log in a file, or without one in memory; it is not open yet."""
    log: GatedMemoryLog | GatedSqliteLog
    if path is None:
        log = GatedMemoryLog(retention, clock=clock, sweep_seconds=NEVER)
    else:
        log = GatedSqliteLog(path, retention, clock=clock, sweep_seconds=NEVER)
    log.gate = gate
    return log
