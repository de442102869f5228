"""A tail that breaks: who was live comes back, and a log that is not there yet stops no start."""

from __future__ import annotations

from pathlib import Path

import pytest

from sio_server.access.principals import Access
from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Offset, Record
from sio_server.eventlog.contract import Bounds, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.settings import load
from tests.unit.delivery.test_fanout import Node, offset, turns, until


@pytest.fixture
async def node() -> Node:
    """Return a node with an empty log and nobody connected."""
    return Node()


async def test_who_is_live_is_dropped_once(node: Node) -> None:
    """Whoever is in a room may have missed something; who is in none can't have."""
    _, outlet = node.join(["catalog", "material:roble"])
    quiet, nothing = node.join([])
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 0))
    assert (outlet.closed, nothing.closed) == (1, 0)
    assert quiet.live
    record = Record(Offset("new", 1), "furniture_created", ("catalog", "material:roble"), "{}")
    assert node.fanout.deliver(record) == 0
    assert outlet.seqs == [1]
    assert node.fanout.position == Offset("new", 1)


async def test_who_comes_after_a_break_stands_at_the_new_end(node: Node) -> None:
    """And gets what follows it."""
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 7))
    cursor, outlet = node.join()
    assert cursor.position == Offset("new", 7)
    record = Record(Offset("new", 8), "furniture_created", ("catalog",), "{}")
    assert node.fanout.deliver(record) == 1
    assert outlet.seqs == [8]


async def test_a_break_wakes_who_waits_for_the_tail(node: Node) -> None:
    """A cursor whose log is ahead of its tail goes on where the tail does."""
    for _ in range(3):
        node.log.add("catalog")
    node.fanout.jump_to(offset(1))
    cursor, outlet = node.join(since=0)
    await until(lambda: outlet.seqs == [1, 2, 3])
    await turns()
    assert not cursor.live
    node.fanout.jump_to(offset(3))
    await until(lambda: cursor.live)
    assert outlet.closed == 0


class LateLog(MemoryLog):
    """A log that is not there yet."""

    available = False

    async def bounds(self) -> Bounds:
        """Fail until it is there."""
        if not self.available:
            raise LogUnavailable("not yet")
        return await super().bounds()


async def test_a_log_that_is_not_there_yet_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub stands where the tail begins, once it is told."""
    monkeypatch.chdir(tmp_path)
    log = LateLog(Retention())
    hub = Hub(load([]), log, Access((), "anyone", require_auth=False), Metrics())
    await hub.start()
    assert hub.is_delivering
    assert log.on_break is not None
    log.on_break(Offset("epoch", 5))
    assert hub.fanout.position == Offset("epoch", 5)
    await hub.stop()
