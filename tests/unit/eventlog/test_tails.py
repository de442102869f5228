"""What a tail holds, and for how long."""

from __future__ import annotations

import gc
import weakref

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.tails import Tails


def records(*seqs: int) -> list[Record]:
    """Make the records of these numbers."""
    return [Record(Offset("epoch", seq), "furniture_created", (), "{}") for seq in seqs]


async def test_what_came_meanwhile_is_one_batch() -> None:
    """A consumer that was busy gets all it missed at once, in order."""
    tails = Tails()
    tail = tails.open()
    tails.publish(records(1, 2))
    tails.publish(records(3))
    assert await anext(tail) == records(1, 2, 3)
    tails.publish(records(4))
    assert await anext(tail) == records(4)


async def test_a_tail_that_nobody_refers_to_is_forgotten() -> None:
    """A consumer that went away costs nothing, though it never said so."""
    tails = Tails()
    tail = weakref.ref(tails.open())
    gc.collect()
    assert tail() is None
    tails.publish(records(1))


async def test_tails_are_independent() -> None:
    """Each tail holds its own records, whoever else took theirs."""
    tails = Tails()
    first = tails.open()
    tails.publish(records(1))
    second = tails.open()
    tails.publish(records(2))
    assert await anext(first) == records(1, 2)
    assert await anext(second) == records(2)
    tails.end()
    assert [batch async for batch in first] == []


async def test_a_tail_may_have_to_forget() -> None:
    """What was not taken yet goes; what comes next is yielded."""
    tails = Tails()
    tail = tails.open()
    tails.publish(records(1, 2))
    tails.clear()
    tails.publish(records(3))
    tails.end()
    assert [batch async for batch in tail] == [records(3)]
