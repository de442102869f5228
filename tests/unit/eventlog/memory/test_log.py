"""The memory log beyond the common contract: when it frees memory."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from sio_server.contract.events import Event, Record
from sio_server.eventlog.contract import Page, Retention
from sio_server.eventlog.memory.log import MAX_TRIMMED_EVENTS, MemoryLog
from tests.unit.eventlog.waiting import until


async def append_one(log: MemoryLog, event: Event) -> weakref.ref[Record]:
    """Append an event and return a weak reference to its record."""
    await log.append([event])
    return weakref.ref((await log.read(None, None, 1)).records[0])


async def test_an_event_that_is_too_old_is_freed_although_no_call_comes(
    event: Callable[..., Event],
) -> None:
    """The sweeper frees memory at quiet times too."""
    now = 1_000_000.0
    log = MemoryLog(Retention(seconds=60), clock=lambda: now, sweep_seconds=0.01)
    await log.open()
    record = await append_one(log, event())
    now += 61
    await until(lambda: record() is None)
    await log.close()


async def test_one_call_trims_a_bounded_number_of_events(event: Callable[..., Event]) -> None:
    """If very many events are too old, each call removes one step of them."""
    now = 1_000_000.0
    log = MemoryLog(Retention(seconds=60), clock=lambda: now, sweep_seconds=3_600)
    await log.open()
    await log.append([event() for _ in range(3 * MAX_TRIMMED_EVENTS)])
    now += 61
    assert (await log.bounds()).oldest.seq == MAX_TRIMMED_EVENTS
    assert (await log.bounds()).oldest.seq == 2 * MAX_TRIMMED_EVENTS
    await log.close()


async def test_a_closed_log_holds_no_event(event: Callable[..., Event]) -> None:
    """Closing frees the memory, even if a reference to the log remains."""
    log = MemoryLog(Retention())
    await log.open()
    record = await append_one(log, event())
    assert record() is not None
    await log.close()
    assert record() is None


async def test_many_readers_take_one_turn_of_the_event_loop_after_another(
    event: Callable[..., Event],
) -> None:
    """However many there are, the other tasks run between two reads."""
    log = MemoryLog(Retention())
    await log.open()
    await log.append([event() for _ in range(10)])
    pages: list[Page] = []

    async def read() -> None:
        pages.append(await log.read(None, ["material:none"], 10))

    readers = [asyncio.create_task(read()) for _ in range(50)]
    while len(pages) < 50:
        before = len(pages)
        await asyncio.sleep(0)
        assert len(pages) <= before + 1
    await asyncio.gather(*readers)
    await log.close()


async def test_closing_lets_the_reads_finish_that_have_started(event: Callable[..., Event]) -> None:
    """They see the events that closing then frees."""
    log = MemoryLog(Retention())
    await log.open()
    await log.append([event()])
    readers = [asyncio.create_task(log.read(None, None, 10)) for _ in range(20)]
    await asyncio.sleep(0)
    await log.close()
    assert [len(page.records) for page in await asyncio.gather(*readers)] == [1] * 20
