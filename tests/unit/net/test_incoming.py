"""The bytes of unfinished requests and messages, bounded over all connections."""

from __future__ import annotations

import asyncio

from sio_server.net.incoming import FREE_BYTES, HARD_FACTOR, READ_BYTES, SHARES, Incoming


class Holder:
    """A connection that records what it is told."""

    def __init__(self, network: str | None = None) -> None:
        self.network = network
        self.told: list[str] = []

    def resume_incoming(self) -> None:
        """Record it."""
        self.told.append("resume")

    def abort(self) -> None:
        """Record it."""
        self.told.append("abort")


async def test_small_messages_are_not_counted() -> None:
    """Most connections hold nothing else."""
    incoming = Incoming(max_bytes=1)
    assert incoming.hold(Holder(), FREE_BYTES)
    assert incoming.total == 0


async def test_a_connection_over_the_bound_waits_for_room() -> None:
    """It is told in the order of waiting, and a second note changes nothing."""
    incoming = Incoming(max_bytes=100_000)
    first, second, third = Holder(), Holder(), Holder()
    assert incoming.hold(first, FREE_BYTES + 100_000)
    assert not incoming.hold(second, FREE_BYTES + 1)
    assert not incoming.hold(second, FREE_BYTES + 1)
    assert not incoming.hold(third, FREE_BYTES + 1)
    assert incoming.total == 100_002
    assert incoming.hold(first, 0)
    assert (second.told, third.told) == (["resume"], ["resume"])
    assert incoming.hold(second, FREE_BYTES + 10)
    incoming.release(second)
    incoming.release(third)
    incoming.release(third)
    assert incoming.total == 0


async def test_only_as_many_as_there_is_room_for_are_told() -> None:
    """A first read may bring many bytes."""
    incoming = Incoming(max_bytes=100_000)
    first, others = Holder(), [Holder() for _ in range(10)]
    incoming.hold(first, FREE_BYTES + 100_000)
    for other in others:
        incoming.hold(other, FREE_BYTES + 1)
    incoming.release(first)
    assert sum(bool(other.told) for other in others) == 100_000 // READ_BYTES + 1


async def test_the_connections_of_one_network_leave_room_to_the_others() -> None:
    """Beyond their share they wait for one another, and nobody else does."""
    incoming = Incoming(max_bytes=100_000)
    one, two, three = Holder("a"), Holder("a"), Holder("a")
    other, unknown = Holder("b"), Holder()
    share = 100_000 // SHARES
    assert incoming.hold(one, FREE_BYTES + share - 1)
    assert incoming.hold(two, FREE_BYTES + 1)
    assert not incoming.hold(two, FREE_BYTES + 2)
    assert not incoming.hold(three, FREE_BYTES + 1)
    assert incoming.hold(other, FREE_BYTES + share)
    assert incoming.hold(unknown, FREE_BYTES + share + 1)
    assert incoming.hold(other, 0)
    assert (two.told, three.told) == ([], [])
    assert incoming.hold(one, 0)
    assert (two.told, three.told) == (["resume"], ["resume"])
    for holder in (two, three, unknown):
        incoming.release(holder)
    assert incoming.total == 0
    assert not incoming._shares


async def test_one_connection_may_hold_more_than_its_network_s_share() -> None:
    """Its own message may be that long. It reads on when it is the last one of its network."""
    incoming = Incoming(max_bytes=100_000)
    one, two = Holder("a"), Holder("a")
    assert incoming.hold(one, FREE_BYTES + 60_000)
    assert not incoming.hold(two, FREE_BYTES + 1)
    assert not incoming.hold(one, FREE_BYTES + 60_001)
    incoming.release(two)
    assert one.told == ["resume"]
    assert incoming.hold(one, FREE_BYTES + 100_000)


async def test_a_network_over_its_share_loses_its_slow_connections() -> None:
    """Those of others keep their time."""
    incoming = Incoming(max_bytes=100_000, seconds=3600)
    slow, waiting, other = Holder("a"), Holder("a"), Holder("b")
    incoming.hold(slow, FREE_BYTES + 60_000)
    incoming.hold(waiting, FREE_BYTES + 1)
    incoming.hold(other, FREE_BYTES + 1)
    for holder in (slow, other):
        incoming._expired(holder)
    assert (slow.told, other.told) == (["abort"], [])


async def test_a_connection_far_over_the_bound_is_closed() -> None:
    """One read may bring many bytes at once."""
    incoming = Incoming(max_bytes=100_000)
    one = Holder()
    assert not incoming.hold(one, FREE_BYTES + int(100_000 * HARD_FACTOR) + 1)
    assert one.told == ["abort"]


async def test_holders_are_closed_after_their_time_while_others_wait() -> None:
    """If nobody waits, a message may take longer."""
    incoming = Incoming(max_bytes=100_000, seconds=0.02)
    slow, waiting = Holder(), Holder()
    incoming.hold(slow, FREE_BYTES + 100_000)
    incoming._expired(slow)
    assert slow.told == []
    incoming.hold(waiting, FREE_BYTES + 1)
    async with asyncio.timeout(5):
        while not (slow.told and waiting.told):
            await asyncio.sleep(0.01)
    assert slow.told[0] == waiting.told[0] == "abort"
