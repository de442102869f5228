"""The hub: publishing, commands, delivery and draining."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sio_server.access.identity import Identity
from sio_server.access.principals import Principal
from sio_server.access.rates import RateLimit
from sio_server.access.sources import Source
from sio_server.app import make_app
from sio_server.contract.commands import Subscribe, Unsubscribe
from sio_server.contract.errors import (
    LogUnavailable,
    RateLimited,
    SessionsFull,
    ShuttingDown,
    UnknownRoom,
)
from sio_server.contract.events import Event, Offset
from sio_server.delivery.connections import Connection, Ends
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp
from sio_server.delivery.resume import Start
from sio_server.delivery.sessions import ConsumerSession
from sio_server.eventlog.contract import AppendResult, Bounds, EventLog, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.hub import Hub
from sio_server.settings import Settings
from tests.conftest import load_vectors

FURNITURE = load_vectors("events.json")[0]["publish"]["furniture"]
PRODUCER = Principal(Identity("key", "default"), may_publish=True, may_consume=True)


class SlowLog(MemoryLog):
    """A log whose disk is not ready until the test sets ``synced``."""

    def __init__(self) -> None:
        super().__init__(Retention())
        self.synced = asyncio.Event()

    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Append once the disk is ready."""
        await self.synced.wait()
        return await super().append(events)


class Outlet:
    """An outlet that takes every frame."""

    @staticmethod
    def encode(record: Any) -> Any:
        """Return the record itself."""
        return record

    def write(self, frame: Any) -> bool:
        """Take the frame."""
        return True

    def write_all(self, frames: Any) -> bool:
        """Take the frames."""
        return True

    def unacknowledged_bytes(self) -> int:
        """Return 0: nothing is buffered."""
        return 0

    async def drain(self) -> None:
        """Be ready at once."""

    def drop(self) -> None:
        """Do nothing."""


@pytest.fixture
def log() -> SlowLog:
    """Return a log whose disk is not ready yet."""
    return SlowLog()


def make_hub(log: EventLog, **settings: Any) -> Hub:
    """Return a hub as the server makes it, over a log."""
    return make_app(Settings(_env_file=None, open_publish="anyone", **settings), log)[1]


@pytest.fixture
async def hub(log: SlowLog) -> Any:
    """Return a started hub."""
    started = make_hub(log)
    await started.start()
    yield started
    await started.stop()


def connection(hub: Hub) -> Connection:
    """Return a consumer's connection."""
    cursor = Cursor(Outlet(), ["catalog"], Offset("", 0))
    source = Source("127.0.0.1", "http://localhost", is_local=True)
    return Connection("websocket", PRODUCER, source, cursor, RateLimit(100))


def open_connection(hub: Hub, opened: Connection, close: Callable[[], None]) -> None:
    """Open a connection whose consumer starts at the head."""
    hub._connections.open(opened, Ends(close, lambda error: None), Start, lambda caught_up: None)


async def test_a_stop_waits_for_publishes_in_flight(hub: Hub, log: SlowLog) -> None:
    """They are acknowledged before any transport is closed. New publishes are refused at once."""
    closed = asyncio.Event()
    open_connection(hub, connection(hub), closed.set)
    publish = asyncio.ensure_future(
        hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "in flight"))
    )
    await asyncio.sleep(0)
    drain = asyncio.ensure_future(hub.drain())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown) as refused:
        await hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "too late"))
    assert 1 < (refused.value.retry_after or 0) <= hub._drain_seconds
    assert not closed.is_set()
    log.synced.set()
    assert (await publish).id == "in flight"
    await drain
    assert closed.is_set()
    with pytest.raises(ShuttingDown) as refused:
        hub.check_open()
    assert refused.value.retry_after == 1, "the consumers are closed, so the server ends soon"


async def test_a_drain_ends_within_its_time(log: SlowLog) -> None:
    """The consumers are closed although the disk never answers."""
    hub = make_hub(log, drain_seconds=0.05)
    await hub.start()
    publish = asyncio.ensure_future(
        hub.publish(PRODUCER, Event("furniture_created", FURNITURE, "stuck"))
    )
    await asyncio.sleep(0)
    closed = asyncio.Event()
    open_connection(hub, connection(hub), closed.set)
    await hub.drain()
    assert closed.is_set()
    publish.cancel()
    await hub.stop()


async def test_refusals_are_counted_by_the_code_of_the_answer(hub: Hub) -> None:
    """Over the rate limit, the answer is ``rate_limited`` and not the command's own error."""
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
    shown = hub._metrics.render().decode()
    assert 'sio_commands_refused_total{code="unknown_room"} 1.0' in shown
    assert 'sio_commands_refused_total{code="rate_limited"} 2.0' in shown


async def test_a_failed_delivery_does_not_end_delivery(
    hub: Hub, log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is logged, and the next event is delivered."""
    log.synced.set()
    delivered: list[Any] = []

    def deliver(records: list[Any]) -> list[int]:
        delivered.extend(records)
        if len(delivered) == 1:
            raise ValueError
        return [0]

    monkeypatch.setattr(hub._fanout, "deliver", deliver)
    for number in range(2):
        await hub.publish(PRODUCER, Event("furniture_created", FURNITURE, f"{number}"))
    async with asyncio.timeout(10):
        while len(delivered) < 2:
            await asyncio.sleep(0)
    assert hub.is_delivering


async def test_the_latest_events_are_in_memory_after_a_start(
    log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reconnects after a restart is served without a read of the log."""
    log.synced.set()
    await log.open()
    events = [Event("furniture_deleted", FURNITURE, str(number)) for number in range(250)]
    await log.append(events)
    hub = make_hub(log)
    await hub.start()
    monkeypatch.setattr(log, "read", None)
    end = hub._fanout.position
    reports: list[CaughtUp] = []
    cursor = Cursor(Outlet(), ["catalog"], end)
    start = Start(Offset(end.epoch, 1))
    hub._fanout.join(cursor, start, reports.append)
    assert cursor.task is not None
    await cursor.task
    assert reports == [CaughtUp(start, end, 249)]


async def test_rooms_that_cannot_be_stored_are_not_subscribed(log: SlowLog) -> None:
    """The client is told so, and its rooms stay as they were."""
    hub = make_hub(log)
    await hub.start()
    one = connection(hub)
    one.session = ConsumerSession("sid", "anonymous", Offset("e", 0), {"catalog": 0})
    for error in (SessionsFull(), LogUnavailable("not now")):

        async def refuse(*arguments: Any, error: Exception = error) -> bool:
            raise error

        log.sessions.change = refuse  # type: ignore[method-assign]
        with pytest.raises(type(error)):
            await hub.execute(one, lambda: Subscribe(frozenset(("author:Eva",))))
        with pytest.raises(type(error)):
            await hub.execute(one, lambda: Unsubscribe(frozenset(("catalog",))))
        assert one.cursor.rooms == one.session.rooms == {"catalog": 0}
    await hub.stop()


class LateLog(MemoryLog):
    """A log that cannot be reached at first."""

    available = False

    async def bounds(self) -> Bounds:
        """Fail until the log can be reached."""
        if not self.available:
            raise LogUnavailable("not yet")
        return await super().bounds()


async def test_a_log_that_cannot_be_reached_yet_does_not_stop_the_start() -> None:
    """Once the log is reached, its tail breaks, and the head moves to where the tail begins."""
    log = LateLog(Retention())
    hub = make_hub(log)
    await hub.start()
    assert hub.is_delivering
    assert log.on_break is not None
    log.on_break(Offset("epoch", 5))
    assert hub._fanout.position == Offset("epoch", 5)
    await hub.stop()
    await hub.stop()
