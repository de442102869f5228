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
    """Also where the log looks at fewer events in a read than were asked for."""
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


async def test_a_log_ahead_of_its_tail_is_waited_for(node: Node) -> None:
    """An event that a replay has read comes by the tail as well, and is written once."""
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
    assert node.log.reads == reads, "it waits, and does not ask again and again"
    node.deliver()
    await until(lambda: is_live(cursor))
    assert [(it.position, it.replayed) for it in reports] == [(offset(5), 5)]
    node.publish("catalog")
    assert outlet.seqs == [1, 2, 3, 4, 5, 6]


async def test_a_replay_flows_at_the_consumers_pace(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never more than its bound and one piece is buffered."""
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
    """A frame that can be watched."""


watched: weakref.WeakSet[Packet] = weakref.WeakSet()


class Forgetful(Outlet):
    """A consumer that keeps nothing.

    Attributes:
        alive: how many frames there were at each write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[int] = []

    @staticmethod
    def encode(record: Record) -> Packet:
        """Encode and watch what becomes of it."""
        packet = Packet()
        watched.add(packet)
        return packet

    def write_all(self, frames: Sequence[Any]) -> bool:
        """Count what is in memory."""
        self.alive.append(len(watched))
        return True


async def test_who_catches_up_holds_no_frames_but_a_piece(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written of a page goes: a page's frames take several times what it does."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 1)
    for _ in range(50):
        node.log.add("catalog")
    node.deliver()
    outlet = Forgetful()
    node.join(since=0, outlet=outlet)
    await until(lambda: len(outlet.alive) == 50)
    assert max(outlet.alive) <= 2  # the one before is let go with the next


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("room", ["b", "catalog"])
async def test_a_room_added_while_the_log_is_read_misses_nothing(
    number: int, room: str, node: Node
) -> None:
    """The read was for the old rooms; what came since the subscribe is for the new one, too."""
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
    """Its reconnection says the gap; nothing is written beyond the hole."""
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


async def test_a_parked_cursor_at_the_oldest_kept_is_not_overtaken(node: Node) -> None:
    """The bound itself is within."""
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
    """After so long without progress, parked or in a replay; once."""
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


async def test_a_log_that_is_away_is_asked_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as it takes; no consumer is closed on that ground."""
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


async def test_a_consumer_that_reads_slowly_is_not_dropped(node: Node) -> None:
    """Any progress gives it more time; none ends it."""
    node.fanout._catch_up._slow_seconds = 0.01
    steps = list(range(5))

    class Sipping(Outlet):
        def unacknowledged_bytes(self) -> int:
            if steps and not self.closed:
                steps.pop()
            return len(steps)

        async def drain(self) -> None:
            await asyncio.Event().wait()

    _, outlet = node.join(outlet=Sipping(0))
    node.publish("catalog")
    await until(lambda: outlet.closed)
    assert steps == []


async def test_what_is_recent_is_caught_up_from_memory() -> None:
    """Encoded once for all who have missed it, and without asking the log."""
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
async def test_who_has_missed_little_that_is_kept_is_live_at_once(rooms: list[str]) -> None:
    """So that all of it can go out as one piece, with what is written before and after it."""
    node = Node(recent_events=10)
    for _ in range(4):
        node.publish("catalog")
        node.publish("catalog", "a")
    reports: list[Any] = []
    cursor, outlet = node.join(rooms, since=2, on_caught_up=reports.append)
    missed = {"catalog": [3, 4, 5, 6, 7, 8], "a": [4, 6, 8], "nothing": []}[rooms[0]]
    assert is_live(cursor)
    assert outlet.seqs == missed
    assert [(it.position, it.replayed) for it in reports] == [(offset(8), len(missed))]


@pytest.mark.parametrize("bound", [0, 3, 7])
async def test_who_has_missed_much_that_is_kept_lets_others_have_their_turn(
    bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a page, or what its buffer holds; all is counted."""
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
    assert [(it.position, it.replayed) for it in reports] == [(offset(17), 16)]


async def test_what_is_not_recent_any_more_is_read_from_the_log() -> None:
    """In its order, with what is."""
    node = Node(recent_events=3)
    cursor, outlet = node.join(outlet=Outlet(0))
    for _ in range(8):
        node.publish("catalog")
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == list(range(1, 9))
    assert node.log.reads > 0
