"""Every kind of event log, for the suites that hold all of them to one contract."""

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
    """Where a log is: a name of its own, in a folder and in the Valkey server of all tests."""

    name: str
    folder: Path
    valkey: Valkey


class Make(Protocol):
    """Makes a log; one at the same place has what that has kept."""

    def __call__(self, place: Place, retention: Retention, clock: Callable[[], float]) -> EventLog:
        """Make a log that is not open yet."""


def new_place(folder: Path, valkey: Valkey) -> Place:
    """Return a place where nothing is yet."""
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
    """Let time pass for logs, on their clock and, for sessions in Valkey, on the server's."""
    clock.now += seconds
    for log in logs:
        if isinstance(log, ValkeyLog):
            await _age(seconds, [each for each in logs if isinstance(each, ValkeyLog)])
            return


async def _age(seconds: float, logs: list[ValkeyLog]) -> None:
    """Take time off what sessions have left to live, in the steps in which their nodes give it."""
    sessions = [log._sessions for log in logs]
    pool = logs[0]._follower._connection._address._factory
    client = redis.asyncio.Redis.from_pool(
        redis.asyncio.ConnectionPool.from_url(
            f"redis://127.0.0.1:{pool.connection_kwargs['port']}", decode_responses=True
        )
    )
    async with client:
        while seconds > 0:
            step = min(seconds, sessions[0]._touch_seconds)
            seconds -= step
            async for key in client.scan_iter(match=f"{sessions[0]._prefix}*"):
                left = await client.pttl(key)
                assert left > 0
                await client.pexpire(key, max(0, left - int(step * 1000)))
            for each, log in zip(sessions, logs, strict=True):
                if log._accepting:
                    await each._touch()
