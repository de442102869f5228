"""The log's tail: it is delivered in its order and in turns, with few log lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from sio_server.contract.events import Event, Offset, Record
from sio_server.delivery.resume import ResumeRequest
from sio_server.delivery.tail import TailDelivery
from sio_server.endpoints.socketio_client import SocketIOOutlet
from sio_server.endpoints.sse import EventStream
from sio_server.endpoints.websocket import WebSocketClient
from sio_server.metrics import Metrics
from sio_server.net.connection import SPARE_BYTES
from tests.unit.delivery.node import Node, Outlet, offset


@pytest.fixture
def tail(node: Node) -> TailDelivery:
    """Return the delivery of a node's tail."""
    return TailDelivery(node.log, node.fanout, Metrics(), 65_536)


def records(first: int, last: int, epoch: str = "e") -> list[Record]:
    """Return records of the log, each of 1,000 bytes, from one seq to another."""
    return [
        Record(Offset(epoch, seq), "furniture_created", ("catalog",), "x" * 1_000)
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


@pytest.mark.parametrize(
    ("max_message_bytes", "sizes", "together"),
    [
        (4_096, [500] * 5, [2, 2, 1]),  # a quarter of the longest message
        (4_096, [500, 1_500, 500, 500], [1, 1, 2]),  # a longer event is alone
        (65_536, [1_000] * 9, [8, 1]),  # 8 KB
        (65_536, [100] * 50, [50]),
    ],
)
async def test_events_that_wait_are_written_together(
    max_message_bytes: int, sizes: list[int], together: list[int], node: Node
) -> None:
    """A consumer gets several events in one write, but not too many: its buffer has a bound."""
    _, outlet = node.join()
    tail = TailDelivery(node.log, node.fanout, Metrics(), max_message_bytes)
    all_records = [
        Record(offset(seq), "furniture_created", ("catalog",), "x" * size)
        for seq, size in enumerate(sizes, 1)
    ]
    written: list[int] = []

    def deliver(records: Sequence[Record]) -> list[int]:
        written.append(len(records))
        return deliver_really(records)

    deliver_really, tail.deliver = tail.deliver, deliver
    await tail.run(tail_of(all_records))
    assert written == together
    assert outlet.writes == len(together)
    assert outlet.seqs == list(range(1, len(sizes) + 1))


@pytest.mark.parametrize("door", [SocketIOOutlet, WebSocketClient, EventStream])
@pytest.mark.parametrize("max_message_bytes", [1_024, 4_096, 16_384, 65_536])
async def test_events_that_are_written_together_are_not_longer_than_a_message(
    door: type[Any], max_message_bytes: int, node: Node
) -> None:
    """Whatever their text is: an outlet with less room than that would end a healthy connection."""
    lengths: list[int] = []

    class Measuring(Outlet):
        @staticmethod
        def encode(record: Record) -> Any:
            frame = door.encode(record)
            return [record, len(frame if isinstance(frame, bytes) else frame.websocket)]

        def write_all(self, frames: Sequence[Any]) -> bool:
            lengths.append(sum(length for _, length in frames))
            return super().write_all(frames)

    node.join(outlet=Measuring())
    tail = TailDelivery(node.log, node.fanout, Metrics(), max_message_bytes)
    names = [name for name in ("x", "🪑" * 30, "🪑" * 300) for _ in range(50)]
    bodies = [Event("furniture_created", {"nombre": name}, "1").body("now") for name in names]
    all_records = [
        Record(offset(seq), "furniture_created", ("catalog",), text)
        for seq, text in enumerate(bodies, 1)
    ]
    await tail.run(tail_of(all_records))
    assert lengths
    assert max(lengths) <= max_message_bytes + SPARE_BYTES
