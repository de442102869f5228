"""The log in memory beyond the common contract: what it lets go of, and when."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from sio_server.contract.events import Event, Record
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.log import MemoryLog


async def append_one(log: MemoryLog, event: Event) -> weakref.ref[Record]:
    """Append an event and return a reference that does not hold its record."""
    await log.append([event])
    return weakref.ref((await log.read(None, None, 1)).records[0])


async def test_what_grew_too_old_is_let_go_while_nobody_calls(event: Callable[..., Event]) -> None:
    """Memory is given back at a quiet time too."""
    now = 1_000_000.0
    log = MemoryLog(Retention(seconds=60), clock=lambda: now, sweep_seconds=0.01)
    await log.open()
    record = await append_one(log, event())
    now += 61
    async with asyncio.timeout(20):
        while True:
            if record() is None:
                break
            await asyncio.sleep(0.002)
    await log.close()


async def test_a_closed_log_holds_nothing(event: Callable[..., Event]) -> None:
    """Closing gives the memory back, whoever still refers to the log."""
    log = MemoryLog(Retention())
    await log.open()
    record = await append_one(log, event())
    assert record() is not None
    await log.close()
    assert record() is None
