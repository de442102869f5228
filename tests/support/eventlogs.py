"""Every kind of event log, for the suites that check all of them against one contract."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import redis.asyncio

from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.valkey.log import ValkeyLog
from tests.support.valkey import Valkey

numbers = itertools.count()


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        """Return the seconds since the Unix epoch."""
        return self.now


class Place(NamedTuple):
    """The place of a log's data: a unique name, a folder, and the Valkey server of all tests."""

    name: str
    folder: Path
    valkey: Valkey


class Make(Protocol):
    """Makes a log of one kind. Two durable logs at one place have the same data."""

    def __call__(self, place: Place, retention: Retention, clock: Callable[[], float]) -> EventLog:
        """Make a log that is not open yet."""


def new_place(folder: Path, valkey: Valkey) -> Place:
    """Return a place without data."""
    return Place(f"log-{next(numbers)}", folder, valkey)


def make_memory_log(place: Place, retention: Retention, clock: Callable[[], float]) -> EventLog:
    """Make the log in memory."""
    return MemoryLog(retention, clock=clock, sweep_seconds=0.01)


def make_sqlite_log(place: Place, retention: Retention, clock: Callable[[], float]) -> EventLog:
    """Make the log in an SQLite file."""
    path = place.folder / f"{place.name}.db"
    return SqliteLog(path, retention, clock=clock, sweep_seconds=0.01)


def make_valkey_log(place: Place, retention: Retention, clock: Callable[[], float]) -> EventLog:
    """Make the log in Valkey."""
    prefix = f"{{{place.name}}}"
    return ValkeyLog(place.valkey.url, retention, clock=clock, sweep_seconds=0.01, prefix=prefix)


KINDS: dict[str, Make] = {
    "memory": make_memory_log,
    "sqlite": make_sqlite_log,
    "valkey": make_valkey_log,
}


async def pass_time(seconds: float, clock: Clock, *logs: EventLog) -> None:
    """Let time pass on the logs' clock and, for sessions in Valkey, on the server's clock."""
    clock.now += seconds
    for log in logs:
        if isinstance(log, ValkeyLog):
            await _age_sessions(seconds, [each for each in logs if isinstance(each, ValkeyLog)])
            return


async def _age_sessions(seconds: float, logs: list[ValkeyLog]) -> None:
    """Move all times of the sessions back, step by step; between steps, their nodes live."""
    stores = [log._sessions for log in logs]
    port = logs[0]._follower._connection._address._factory.connection_kwargs["port"]
    client = redis.asyncio.Redis.from_pool(
        redis.asyncio.ConnectionPool.from_url(f"redis://127.0.0.1:{port}", decode_responses=True)
    )
    _, leases, connected, *left = stores[0]._keys
    async with client:
        while seconds > 0:
            step = min(seconds, stores[0]._extension_seconds)
            seconds -= step
            microseconds = int(step * 1_000_000)
            for index in (leases, *left):
                for member in await client.zrange(index, 0, -1):
                    await client.zincrby(index, -microseconds, member)
            for index in (connected, *left):
                for key in await client.zrange(index, 0, -1):
                    await client.hincrby(f"{stores[0]._prefix}{key}", "created", -microseconds)
            for store, log in zip(stores, logs, strict=True):
                if log._accepting:
                    await store._lease.extend()
