"""Items that wait, taken from the network that was served least."""

from __future__ import annotations

import pytest

from sio_server.net import fair_queue
from sio_server.net.fair_queue import FairQueue


def take(waiting: FairQueue[str], number: int = 1) -> list[str]:
    """Remove so many items and return them, without their costs."""
    return [waiting.pop()[0] for _ in range(number)]


def test_each_network_in_turn_gives_its_first_item() -> None:
    """The items without a known network share one place."""
    waiting: FairQueue[str] = FairQueue()
    for item, network in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("x", None)]:
        waiting.add(item, network)
    assert len(waiting) == 5
    taken = take(waiting, 4)
    waiting.add("y", None)
    waiting.add("b2", "b")
    taken += take(waiting, 3)
    assert taken == ["a1", "b1", "x", "a2", "b2", "y", "a3"]
    with pytest.raises(IndexError):
        waiting.pop()


def test_a_network_that_was_served_longest_ago_is_next() -> None:
    """It goes before the others. A network that adds an item right after its turn goes last."""
    waiting: FairQueue[str] = FairQueue()
    waiting.add("seldom1", "seldom")
    for network in ("a", "b", "c"):
        for number in range(9):
            waiting.add(f"{network}{number}", network)
    waiting.add("often1", "often")
    taken = take(waiting, 5)
    assert taken == ["seldom1", "a0", "b0", "c0", "often1"]
    waiting.add("often2", "often")
    assert take(waiting) == ["a1"]
    waiting.add("seldom2", "seldom")
    assert take(waiting, 4) == ["seldom2", "b1", "c1", "often2"]


def test_a_network_with_dear_items_is_served_less_often() -> None:
    """So each network gets the same service. The item comes with its cost."""
    waiting: FairQueue[str] = FairQueue()
    for number in range(3):
        waiting.add(f"dear{number}", "a", 3)
    for number in range(6):
        waiting.add(f"cheap{number}", "b", 1)
    assert waiting.pop() == ("dear0", "a", 3)
    assert take(waiting, 4) == ["cheap0", "cheap1", "cheap2", "dear1"]
    assert take(waiting, 4) == ["cheap3", "cheap4", "cheap5", "dear2"]


def test_a_network_with_little_service_goes_before_those_with_much() -> None:
    """It was served last, but it asked for less than the others."""
    waiting: FairQueue[str] = FairQueue()
    for number in range(5):
        for network in ("a", "b"):
            waiting.add(f"{network}{number}", network, 10)
    waiting.add("little1", "little", 1)
    assert take(waiting, 4) == ["a0", "b0", "little1", "a1"]
    waiting.add("little2", "little", 1)
    assert take(waiting, 2) == ["little2", "b1"]


def test_a_network_that_was_idle_has_not_saved_up_service() -> None:
    """Otherwise it would hold up the others."""
    waiting: FairQueue[str] = FairQueue()
    for number in range(9):
        waiting.add(f"busy{number}", "busy")
    take(waiting, 5)
    for number in range(9):
        waiting.add(f"idle{number}", "idle")
    assert take(waiting, 5) == ["idle0", "busy5", "idle1", "busy6", "idle2"]


def test_an_item_that_no_longer_waits_is_not_taken() -> None:
    """Neither is its network."""
    waiting: FairQueue[str] = FairQueue()
    for item, network in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("x", None)]:
        waiting.add(item, network)
    for item, network in [("a1", "a"), ("b1", "b"), ("b1", "b"), ("x", None), ("c1", "a")]:
        waiting.discard(item, network)
    assert len(waiting) == 1
    waiting.add("b2", "b")
    assert take(waiting, 2) == ["a2", "b2"]
    assert not waiting


def test_only_the_networks_that_were_served_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a queue would grow with the number of its networks."""
    monkeypatch.setattr(fair_queue, "MAX_REMEMBERED", 2)
    waiting: FairQueue[str] = FairQueue()
    for network in ("a", "b", "c"):
        waiting.add(network, network)
        waiting.pop()
    assert list(waiting._served) == ["b", "c"]
