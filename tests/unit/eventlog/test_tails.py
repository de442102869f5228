"""Tails: which items a tail holds, and for how long."""

from __future__ import annotations

import asyncio
import gc
import weakref

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.tails import Tails


def records(*seqs: int) -> list[Record]:
    """Make records with these seqs."""
    return [Record(Offset("epoch", seq), "furniture_created", (), "{}") for seq in seqs]


async def test_a_busy_consumer_gets_all_missed_items_as_one_batch() -> None:
    """The items that were published since the last batch form the next one, in order."""
    tails = Tails()
    tail = tails.open()
    tails.publish(records(1, 2))
    tails.publish(records(3))
    assert await anext(tail) == records(1, 2, 3)
    tails.publish(records(4))
    assert await anext(tail) == records(4)


async def test_an_unreferenced_tail_is_garbage_collected() -> None:
    """A consumer that disappeared without closing its tail costs no memory."""
    tails = Tails()
    tail = weakref.ref(tails.open())
    gc.collect()
    assert tail() is None
    tails.publish(records(1))


async def test_each_tail_holds_its_own_items() -> None:
    """One consumer's progress does not change the items of another tail."""
    tails = Tails()
    first = tails.open()
    tails.publish(records(1))
    second = tails.open()
    tails.publish(records(2))
    assert await anext(first) == records(1, 2)
    assert await anext(second) == records(2)
    tails.end()
    assert [batch async for batch in first] == []


async def test_clearing_drops_only_the_items_before_it() -> None:
    """A cleared tail yields the items that are published afterwards."""
    tails = Tails()
    tail = tails.open()
    tails.publish(records(1, 2))
    tails.clear()
    tails.publish(records(3))
    tails.end()
    assert [batch async for batch in tail] == [records(3)]


async def test_a_tail_opened_after_the_end_stops_at_once() -> None:
    """Its iteration yields nothing."""
    tails = Tails()
    tails.end()
    tails.publish(records(1))
    async with asyncio.timeout(20):
        assert [batch async for batch in tails.open()] == []
