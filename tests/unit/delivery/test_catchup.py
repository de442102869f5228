"""Catch-up: a cursor reads missed events from memory or from the log, at its consumer's pace."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from sio_server.contract.events import Record
from sio_server.delivery import catchup, recent
from tests.unit.delivery.node import Node, Outlet, is_live, offset, turns, until


async def test_a_long_replay_is_read_in_pages(node: Node) -> None:
    """A page may have fewer events than its limit, because the log examines a limited number."""
    for number in range(1050):
        node.log.add("catalog", f"hundredth:{number % 100}")
    node.deliver()
    node.log.examined = 70
    cursor, outlet = node.join(since=0, outlet=Outlet(2000))
    rare, rare_outlet = node.join(["hundredth:7"], since=0)
    await until(lambda: is_live(cursor) and is_live(rare))
    assert outlet.seqs == list(range(1, 1051))
    assert rare_outlet.seqs == list(range(8, 1051, 100))
    assert node.delivered == 1050 + 11


async def test_a_replay_beyond_the_head_waits_for_the_tail(node: Node) -> None:
    """The tail brings the events that the replay has read again, and they are written once."""
    for _ in range(5):
        node.log.add("catalog")
    node.deliver(2)
    reports: list[Any] = []
    cursor, outlet = node.join(since=0, on_caught_up=reports.append)
    await turns()
    assert outlet.seqs == [1, 2, 3, 4, 5]
    assert not is_live(cursor)
    assert reports == []
    reads = node.log.reads
    await turns()
    assert node.log.reads == reads, "the cursor waits, and does not poll the log"
    node.deliver()
    await until(lambda: is_live(cursor))
    assert [(report.position, report.replayed) for report in reports] == [(offset(5), 5)]
    node.publish("catalog")
    assert outlet.seqs == [1, 2, 3, 4, 5, 6]


async def test_a_replay_flows_at_the_consumers_pace(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buffer never holds more than its bound and one chunk."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 1)
    for _ in range(500):
        node.publish("catalog")
    most = 0
    cursor, outlet = node.join(since=0, outlet=Outlet(7))
    async with asyncio.timeout(10):
        while not is_live(cursor):
            most = max(most, outlet.unread)
            if outlet.unread > 7:
                await turns(3)
                outlet.read()
            await asyncio.sleep(0)
    assert most == 8
    assert outlet.seqs == list(range(1, 501))


class Packet:
    """A frame that a weak reference can watch."""


watched: weakref.WeakSet[Packet] = weakref.WeakSet()


class CountingOutlet(Outlet):
    """A consumer that keeps no frames.

    Attributes:
        alive: the number of frames in memory at each write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[int] = []

    @staticmethod
    def encode(record: Record) -> Packet:
        """Return a frame that is watched."""
        packet = Packet()
        watched.add(packet)
        return packet

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Count the frames in memory."""
        self.alive.append(len(watched))
        return True


async def test_a_catch_up_holds_only_one_chunk_of_frames(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of a whole page would take several times the memory of its events."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 1)
    for _ in range(50):
        node.log.add("catalog")
    node.deliver()
    outlet = CountingOutlet()
    node.join(since=0, outlet=outlet)
    await until(lambda: len(outlet.alive) == 50)
    assert max(outlet.alive) <= 2  # the previous chunk is freed with the next


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("room", ["b", "catalog"])
async def test_a_room_that_is_added_during_a_read_misses_no_event(
    number: int, room: str, node: Node
) -> None:
    """The read was for the old rooms, so later events are read for the new room as well."""
    node.log.examined = 2
    for _ in range(3):
        node.publish("catalog", "a")

    def subscribe_and_publish() -> None:
        if node.log.reads == number:
            node.log.before_read = lambda: None
            node.fanout.subscribe(cursor, [room])
            node.publish("catalog", "b")

    node.log.before_read = subscribe_and_publish
    cursor, outlet = node.join(["a"], since=0)
    await until(lambda: is_live(cursor))
    assert outlet.seqs == [1, 2, 3, 4]


async def test_a_parked_cursor_that_the_retention_overtakes_is_closed(node: Node) -> None:
    """No event is written after the missing ones. The client gets the gap when it reconnects."""
    cursor, outlet = node.join(outlet=Outlet(0))
    for _ in range(10):
        node.publish("catalog")
    node.log.oldest = 5
    outlet.read()
    await until(lambda: outlet.closed)
    await turns()
    assert outlet.seqs == [1]
    assert outlet.closed == 1
    assert not is_live(cursor)
    assert node.publish("catalog") == 0


async def test_a_parked_cursor_at_the_oldest_offset_is_not_closed(node: Node) -> None:
    """All events after that offset are still in the log."""
    cursor, outlet = node.join(outlet=Outlet(0))
    for _ in range(4):
        node.publish("catalog")
    node.log.oldest = 1
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == [1, 2, 3, 4]
    assert outlet.closed == 0


async def test_a_consumer_that_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed once, parked or in a replay, after ``slow_seconds`` without progress."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 1)
    node = Node(slow_seconds=0.02)
    node.publish("catalog")
    parked, outlet = node.join(outlet=Outlet(0))
    replayed, other = node.join(since=0, outlet=Outlet(0))
    node.publish("catalog")
    await until(lambda: outlet.closed and other.closed)
    outlet.read()
    other.read()
    await turns()
    assert (outlet.seqs, other.seqs) == ([2], [1])
    assert (outlet.closed, other.closed) == (1, 1)
    assert not is_live(parked)
    assert not is_live(replayed)
    assert node.publish("catalog") == 0


async def test_a_failing_log_is_read_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads are repeated until one succeeds, and no consumer is closed meanwhile."""
    monkeypatch.setattr(catchup, "RETRY_SECONDS", 0)
    cursor, outlet = node.join(outlet=Outlet(1))
    for _ in range(5):
        node.publish("catalog")
    node.log.available = False
    outlet.read()
    replayed, other = node.join(since=0)
    await until(lambda: node.log.reads > 20)
    assert (outlet.seqs, other.seqs) == ([1, 2], [])
    node.log.available = True
    while not is_live(cursor) or not is_live(replayed):
        outlet.read()
        await turns()
    assert outlet.seqs == other.seqs == [1, 2, 3, 4, 5]
    assert outlet.closed == other.closed == 0


async def test_a_slow_consumer_is_closed_only_without_progress(node: Node) -> None:
    """Each step of progress gives it the full time again."""
    node.fanout._catch_up._slow_seconds = 0.01
    steps = list(range(5))

    class SlowReader(Outlet):
        def unacknowledged_bytes(self) -> int:
            if steps and not self.closed:
                steps.pop()
            return len(steps)

        async def drain(self) -> None:
            await asyncio.Event().wait()

    _, outlet = node.join(outlet=SlowReader(0))
    node.publish("catalog")
    await until(lambda: outlet.closed)
    assert steps == []


async def test_recent_events_are_caught_up_from_memory() -> None:
    """They are encoded once for all consumers, and the log is not read."""
    node = Node(recent_events=10)
    cursor, outlet = node.join(outlet=Outlet(0))
    other, another = node.join(outlet=Outlet(0))
    for _ in range(8):
        node.publish("catalog")
    while not (is_live(cursor) and is_live(other)):
        outlet.read()
        another.read()
        await turns()
    assert outlet.seqs == another.seqs == list(range(1, 9))
    assert all(ours is theirs for ours, theirs in zip(outlet.frames, another.frames, strict=True))
    assert node.log.reads == 0


@pytest.mark.parametrize("rooms", [["catalog"], ["a"], ["nothing"]])
async def test_a_cursor_that_missed_few_recent_events_is_live_at_once(rooms: list[str]) -> None:
    """The missed events can then go out in one write with the frames around them."""
    node = Node(recent_events=10)
    for _ in range(4):
        node.publish("catalog")
        node.publish("catalog", "a")
    reports: list[Any] = []
    cursor, outlet = node.join(rooms, since=2, on_caught_up=reports.append)
    missed = {"catalog": [3, 4, 5, 6, 7, 8], "a": [4, 6, 8], "nothing": []}[rooms[0]]
    assert is_live(cursor)
    assert outlet.seqs == missed
    assert [(report.position, report.replayed) for report in reports] == [(offset(8), len(missed))]


@pytest.mark.parametrize("bound", [0, 3, 7])
async def test_a_cursor_that_missed_many_recent_events_yields(
    bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It yields after the events of one turn, or when its buffer is full."""
    monkeypatch.setattr(catchup, "TURN_EVENTS", 5)
    monkeypatch.setattr(recent, "CHUNK_BYTES", 1)
    node = Node(recent_events=20)
    for _ in range(17):
        node.publish("catalog")
    reports: list[Any] = []
    cursor, outlet = node.join(since=1, outlet=Outlet(bound), on_caught_up=reports.append)
    assert outlet.seqs == list(range(2, min(bound + 3, 7)))
    assert not is_live(cursor)
    async with asyncio.timeout(10):
        while not is_live(cursor):
            outlet.read()
            await turns()
    assert outlet.seqs == list(range(2, 18))
    assert [(report.position, report.replayed) for report in reports] == [(offset(17), 16)]


async def test_events_that_left_memory_are_read_from_the_log() -> None:
    """The recent events follow them, in the log's order."""
    node = Node(recent_events=3)
    cursor, outlet = node.join(outlet=Outlet(0))
    for _ in range(8):
        node.publish("catalog")
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == list(range(1, 9))
    assert node.log.reads > 0


async def test_many_consumers_take_one_turn_of_the_event_loop_after_another(node: Node) -> None:
    """However many consumers catch up from memory, the other tasks run between two of them."""
    for _ in range(2 * catchup.TURN_EVENTS):
        node.publish("catalog")
    consumers = [node.join(since=0, outlet=Outlet(1_000)) for _ in range(50)]

    def written() -> int:
        return sum(len(outlet.seqs) for _, outlet in consumers)

    async with asyncio.timeout(20):
        while not all(is_live(cursor) for cursor, _ in consumers):
            before = written()
            await turns(1)
            assert written() <= before + catchup.TURN_EVENTS
    assert written() == 50 * 2 * catchup.TURN_EVENTS
