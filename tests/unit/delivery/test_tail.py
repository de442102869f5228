"""The log's tail: it is delivered in its order and in turns, with few log lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from sio_server.contract.events import Offset, Record
from sio_server.delivery.resume import ResumeRequest
from sio_server.delivery.tail import TailDelivery
from sio_server.metrics import Metrics
from tests.unit.delivery.node import Node


@pytest.fixture
def tail(node: Node) -> TailDelivery:
    """Return the delivery of a node's tail."""
    return TailDelivery(node.log, node.fanout, Metrics())


def records(first: int, last: int, epoch: str = "e") -> list[Record]:
    """Return records of the log, from one seq to another."""
    return [
        Record(Offset(epoch, seq), "furniture_created", ("catalog",), "{}")
        for seq in range(first, last + 1)
    ]


async def tail_of(*batches: list[Record]) -> AsyncIterator[list[Record]]:
    """Yield batches as a log's tail does."""
    for batch in batches:
        yield batch


async def test_a_large_batch_is_delivered_in_turns(tail: TailDelivery, node: Node) -> None:
    """The other tasks have their turns in between. A consumer that comes then misses nothing."""
    node.fanout.jump_to(Offset("e", 0))
    delivering = asyncio.ensure_future(tail.run(tail_of(records(1, 100))))
    await asyncio.sleep(0)
    assert 0 < node.fanout.position.seq < 100
    await node.fanout.prepare(ResumeRequest())
    assert node.fanout.position.seq == 100
    await delivering


async def test_records_that_were_delivered_before_do_not_end_a_batch(
    tail: TailDelivery, node: Node
) -> None:
    """The start of the server may have read them from the log."""
    node.fanout.jump_to(Offset("e", 60))
    await tail.run(tail_of(records(1, 100)))
    assert node.fanout.position == Offset("e", 100)


async def test_a_tail_that_breaks_within_a_batch_drops_its_rest(
    tail: TailDelivery, node: Node
) -> None:
    """The head does not go back to an earlier epoch."""
    node.fanout.jump_to(Offset("e", 0))
    delivering = asyncio.ensure_future(tail.run(tail_of(records(1, 100), records(6, 9, "f"))))
    await asyncio.sleep(0)
    node.fanout.jump_to(Offset("f", 5))
    await delivering
    assert node.fanout.position == Offset("f", 9)
    await node.fanout.prepare(ResumeRequest())  # it waits for nothing


def body(number: int) -> str:
    """Return the JSON of an event."""
    return f'{{"type":"furniture_created","furniture":{{}},"id":"id-{number}","timestamp":"now"}}'


async def test_events_that_were_committed_together_have_one_line(
    tail: TailDelivery, node: Node
) -> None:
    """An event that was committed alone has a line with its id. No event has two lines."""
    node.fanout.jump_to(Offset("e", 0))
    all_records = [
        Record(Offset("e", seq), "furniture_created", ("catalog",), body(seq))
        for seq in range(1, 5)
    ]
    with capture_logs() as lines:
        await tail.run(tail_of(all_records[:1], all_records[1:]))
    assert lines == [
        {
            "event": "delivered",
            "log_level": "info",
            "type": "furniture_created",
            "id": "id-1",
            "offset": "e-1",
            "to": 0,
        },
        {
            "event": "delivered",
            "log_level": "info",
            "events": 3,
            "first": "e-2",
            "last": "e-4",
            "deliveries": 0,
        },
    ]
