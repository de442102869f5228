"""Fill a log by its own code, without a server: much faster than over HTTP.

A folder that stays can be filled further, so that a curve fills each event only once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import NamedTuple

import apsw

from benchmarks.figures import FURNITURE
from benchmarks.storage import Storage
from sio_server.contract.events import Event, new_id
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.sqlite.file import open_file
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.sqlite.store import SqliteStore
from sio_server.eventlog.sqlite.writer import CHECKPOINT_PAGES
from sio_server.eventlog.valkey.log import ValkeyLog

APPEND_EVENTS = 1_000
"""Events of one append: the log's own bound for a group."""

COPIED_EVENTS = 1_000_000
"""An SQLite log with more events than this gets copies of these, ten times as fast."""

FILE = "var/events.db"
_NEW_ID = "substr(id, 1, 24) || format('%012x', seq + :behind)"
_COPY = f"""
    INSERT INTO event SELECT seq + :behind, milliseconds, {_NEW_ID}, type, rooms,
        replace(body, id, {_NEW_ID}), former
    FROM event WHERE seq <= :count
"""
SESSIONS_AT_ONCE = 1_000
YEAR = 31_536_000
RETENTION = Retention(YEAR, 100_000_000, 100_000_000, 100_000_000, 1 << 40)
"""Nothing that was filled is trimmed."""


class Content(NamedTuple):
    """What a log has.

    Attributes:
        events: retained events.
        pieces: pieces that the events are about, in turns.
        sessions: sessions of consumers that have left.
    """

    events: int = 0
    pieces: int = 1_000
    sessions: int = 0


def fill(storage: Storage, content: Content, seconds: float = YEAR) -> bool:
    """Fill a log until it has a content.

    Args:
        storage: the log's storage; no server uses it now.
        content: the wanted content. A log that has more of it stays as it is.
        seconds: the time after which this stops.

    Returns:
        Whether the log has the content now.
    """
    deadline = time.monotonic() + seconds
    if storage.valkey is not None:
        return asyncio.run(_fill(storage, content, deadline))
    first = content._replace(events=min(content.events, COPIED_EVENTS))
    filled = asyncio.run(_fill(storage, first, deadline)) and _copy(storage, content, deadline)
    return filled and _summarise(storage, deadline)


def _copy(storage: Storage, content: Content, deadline: float) -> bool:
    """Copy the events of an SQLite log, with new ids, until it has enough."""
    connection = open_file(storage.folder / FILE)
    with closing(connection):
        events: int = connection.execute("SELECT seq FROM log").get
        while events < content.events and time.monotonic() < deadline:
            count = min(COPIED_EVENTS, content.events - events)
            with connection:
                connection.execute(_COPY, {"behind": events, "count": count})
                events += count
                connection.execute("UPDATE log SET seq = ?", (events,))
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    return events >= content.events


def _summarise(storage: Storage, deadline: float) -> bool:
    """Write the summaries that the server writes in the background."""
    store = SqliteStore(open_file(storage.folder / FILE), RETENTION, time.time)
    with closing(store):
        while time.monotonic() < deadline:
            if not store.summarise():
                return True
            if store.journal_pages > CHECKPOINT_PAGES:
                store.checkpoint()
    return False


async def _fill(storage: Storage, content: Content, deadline: float) -> bool:
    log = _log(storage)
    await log.open()
    try:
        events = (await log.bounds()).position.seq
        while events < content.events and time.monotonic() < deadline:
            numbers = range(events, min(events + APPEND_EVENTS, content.events))
            await log.append([_event(number % content.pieces) for number in numbers])
            events = numbers.stop
        sessions = await log.sessions.count_left()
        while sessions < content.sessions and time.monotonic() < deadline:
            numbers = range(sessions, min(sessions + SESSIONS_AT_ONCE, content.sessions))
            await asyncio.gather(*(_leave(log, number) for number in numbers))
            sessions = numbers.stop
        if isinstance(log, ValkeyLog):
            await _sweep(log, deadline)
    finally:
        await log.close()
    return events >= content.events and sessions >= content.sessions


async def _sweep(log: ValkeyLog, deadline: float) -> None:
    """Write the summaries that the server writes in the background."""
    while time.monotonic() < deadline and await log._sweep_once():  # noqa: SLF001 - without pauses
        pass


def _log(storage: Storage) -> EventLog:
    url = storage.settings.get("SIO_EVENT_LOG")
    if url is not None:
        return ValkeyLog(url, RETENTION)
    return SqliteLog(storage.folder / FILE, RETENTION)


def _event(piece: int) -> Event:
    return Event("furniture_created", FURNITURE | {"furniture_id": f"{piece:024}"}, new_id())


async def _leave(log: EventLog, number: int) -> None:
    """Store a session as the server does for a consumer that has disconnected."""
    key, owner = f"{number:032}", f"owner-{number:010}"
    data = '{"sid": "AAAAAAAAAAAAAAAAAAAA", "start": ["AAAAAAAA", 1000000], '
    data += '"began_with_gap": false, "last_seen": [["AAAAAAAA", 1000100], 1000100]}'
    await log.sessions.create(key, owner, "anonymous", data, {"catalog": 0})
    await log.sessions.leave(key, owner, data, {}, ())
