"""The hub: what a stop does to publishes in flight, and who hears of what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sio_server.access.limits import RateLimit
from sio_server.access.principals import Access, Principal
from sio_server.access.sources import Source
from sio_server.contract.commands import Ping, Subscribe
from sio_server.contract.errors import RateLimited, ShuttingDown, UnknownRoom
from sio_server.contract.events import Event, Offset
from sio_server.delivery.connections import Connection
from sio_server.delivery.cursor import Cursor
from sio_server.eventlog.contract import AppendResult, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.settings import load
from tests.conftest import load_vectors

FURNITURE = load_vectors("events.json")[0]["publish"]["furniture"]
PRODUCER = Principal("key", may_publish=True, may_consume=True)


class SlowLog(MemoryLog):
    """A log whose disk takes its time."""

    def __init__(self) -> None:
        super().__init__(Retention())
        self.synced = asyncio.Event()

    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Append once the disk is ready."""
        await self.synced.wait()
        return await super().append(events)


class Outlet:
    """Takes whatever comes."""

    @staticmethod
    def encode(record: Any) -> Any:
        """Return the record itself."""
        return record

    def write(self, frame: Any) -> bool:
        """Take it."""
        return True

    def write_all(self, frames: Any) -> bool:
        """Take them."""
        return True

    def unacknowledged_bytes(self) -> int:
        """Hold nothing."""
        return 0

    async def drain(self) -> None:
        """Be ready at once."""

    def drop(self) -> None:
        """Be gone."""


@pytest.fixture
def log() -> SlowLog:
    """Return a log that is not synced yet."""
    return SlowLog()


@pytest.fixture
async def hub(log: SlowLog, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a started hub."""
    monkeypatch.chdir(tmp_path)
    started = Hub(load([]), log, Access((), "anyone", require_auth=False), Metrics())
    await started.start()
    yield started
    await started.stop()


def connection(hub: Hub) -> Connection:
    """Return a consumer's connection."""
    cursor = Cursor(Outlet(), ["catalog"], Offset("", 0))
    source = Source("127.0.0.1", "http://localhost", is_local=True)
    return Connection("websocket", PRODUCER, source, cursor, RateLimit(100))


async def test_a_stop_waits_for_publishes_in_flight(hub: Hub, log: SlowLog) -> None:
    """Answer them before any transport is closed; refuse what is new at once."""
    closed = asyncio.Event()
    hub.connections.add(connection(hub), closed.set)
    publish = asyncio.ensure_future(
        hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "in flight"))
    )
    await asyncio.sleep(0)
    drain = asyncio.ensure_future(hub.drain())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown) as refused:
        await hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "too late"))
    assert 1 < (refused.value.retry_after or 0) <= hub.settings.drain_seconds
    assert not closed.is_set()
    log.synced.set()
    assert (await publish).id == "in flight"
    await drain
    assert closed.is_set()
    with pytest.raises(ShuttingDown) as refused:
        hub.check_open()
    assert refused.value.retry_after == 1, "its consumers are closed: it ends"


async def test_a_stop_does_not_wait_for_ever(
    log: SlowLog, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Close the consumers though the disk never answers."""
    monkeypatch.chdir(tmp_path)
    settings = load(["--drain-seconds", "0.05"])
    hub = Hub(settings, log, Access((), "anyone", require_auth=False), Metrics())
    await hub.start()
    publish = asyncio.ensure_future(
        hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "stuck"))
    )
    await asyncio.sleep(0)
    closed = asyncio.Event()
    hub.connections.add(connection(hub), closed.set)
    await hub.drain()
    assert closed.is_set()
    publish.cancel()
    await hub.stop()


async def test_a_connection_leaves_once(hub: Hub) -> None:
    """Count it out once, however often it is said."""
    one, other = connection(hub), connection(hub)
    hub.connections.add(one, lambda: None)
    hub.connections.add(other, lambda: None)
    for _ in range(2):
        hub.connections.remove(one, "client disconnect")
    assert b'sio_connections{transport="websocket"} 1.0' in hub.metrics.render()
    assert (await hub.execute(other, Ping))["type"] == "pong"


async def test_who_opens_while_the_server_stops_is_told_too(hub: Hub) -> None:
    """Close a connection that was on its way when the others were closed."""
    await hub.drain()
    closed = asyncio.Event()
    hub.connections.add(connection(hub), closed.set)
    assert closed.is_set()


async def test_the_error_that_is_answered_is_counted(hub: Hub) -> None:
    """Count each refusal once, under the code that the client got."""
    one = connection(hub)
    one.rate = RateLimit(1)

    def parse() -> Subscribe:
        raise UnknownRoom("nowhere")

    with pytest.raises(UnknownRoom):
        await hub.execute(one, parse)
    with pytest.raises(RateLimited):
        await hub.execute(one, parse)
    many = frozenset(f"material:{number}" for number in range(101))
    with pytest.raises(RateLimited):
        await hub.execute(connection(hub), lambda: Subscribe(many))
    shown = hub.metrics.render().decode()
    assert 'sio_commands_refused_total{code="unknown_room"} 1.0' in shown
    assert 'sio_commands_refused_total{code="rate_limited"} 2.0' in shown


async def test_an_event_that_can_t_be_delivered_does_not_end_delivery(
    hub: Hub, log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log the failure; the next event goes out."""
    log.synced.set()
    delivered: list[Any] = []

    def deliver(record: Any) -> int:
        delivered.append(record)
        if len(delivered) == 1:
            raise ValueError
        return 0

    monkeypatch.setattr(hub.fanout, "deliver", deliver)
    for number in range(2):
        await hub.publish(PRODUCER, Event("furniture_created", FURNITURE, f"{number}"))
    async with asyncio.timeout(10):
        while len(delivered) < 2:
            await asyncio.sleep(0)
    assert hub.is_delivering


async def test_what_came_before_the_start_is_in_memory(
    log: SlowLog, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes back after a restart is served without a look at the log."""
    monkeypatch.chdir(tmp_path)
    log.synced.set()
    await log.open()
    events = [Event("furniture_deleted", FURNITURE, str(number)) for number in range(250)]
    await log.append(events)
    hub = Hub(load([]), log, Access((), "anyone", require_auth=False), Metrics())
    await hub.start()
    monkeypatch.setattr(log, "read", None)
    end = hub.fanout.position
    started: list[Any] = []
    cursor = Cursor(Outlet(), ["catalog"], end)
    hub.fanout.join(cursor, Offset(end.epoch, 1), lambda *it: started.append(it), kept=True)
    assert cursor.task is not None
    await cursor.task
    assert started == [(end, False, 249)]
    await hub.stop()
