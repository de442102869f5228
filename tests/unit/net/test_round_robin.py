"""Items that wait, taken from one network after another."""

from __future__ import annotations

from sio_server.net.round_robin import RoundRobin


def test_each_network_in_turn_gives_its_first_item() -> None:
    """An item without a network is a network of its own."""
    waiting: RoundRobin[str] = RoundRobin()
    assert not waiting
    for item, network in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("x", None)]:
        waiting.add(item, network)
    taken = [waiting.pop() for _ in range(4)]
    waiting.add("b2", "b")
    while waiting:
        taken.append(waiting.pop())
    assert taken == ["a1", "b1", "x", "a2", "a3", "b2"]


def test_an_item_that_no_longer_waits_is_not_taken() -> None:
    """Neither is its network."""
    waiting: RoundRobin[str] = RoundRobin()
    for item, network in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("x", None)]:
        waiting.add(item, network)
    for item, network in [("a1", "a"), ("b1", "b"), ("b1", "b"), ("x", None), ("c1", "a")]:
        waiting.discard(item, network)
    assert waiting.pop() == "a2"
    assert not waiting
