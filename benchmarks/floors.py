"""Measure the lower bound of a durable publish: the same write in a loop, without a server.

``sqlite``, ``file`` and ``stream`` only write. ``loop`` does everything that a server has to do
with a batch, except for the network. It is a plain program that shares no code with the server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import apsw

from benchmarks import servers, storage
from benchmarks.figures import FURNITURE, LOAD, Figures, percentiles
from sio_server.contract.events import parse_event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.file import open_file
from sio_server.eventlog.sqlite.store import SqliteStore
from sio_server.eventlog.sqlite.writer import CHECKPOINT_PAGES

BODY = json.dumps(
    {
        "type": "furniture_created",
        "furniture": FURNITURE,
        "id": "0192f0c1-2b3c-7d4e-8f50-123456789abc",
        "timestamp": "2024-01-15T14:30:00.000Z",
    }
).encode()

Write = Callable[[int], None]


def measure_floor(name: str, events: int, seconds: float) -> Figures:
    """Repeat one of ``FLOORS`` on the server's core.

    Args:
        name: the floor.
        events: events of one write.
        seconds: duration.
    """
    times: list[float] = []
    clock = time.perf_counter
    with storage.temporary_storage(name) as stored, FLOORS[name](stored.folder) as write:
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {servers.SERVER_CORE})
        try:
            write(events)
            cpu, start = time.process_time(), clock()
            while (begun := clock()) < start + seconds:
                write(events)
                times.append(clock() - begun)
            cpu, wall = time.process_time() - cpu, clock() - start
        finally:
            os.sched_setaffinity(0, cores)
    return {
        "events/s": len(times) * events / wall,
        "CPU µs": cpu / (len(times) * events) * 1e6,
        **percentiles(times),
        LOAD: 0.0,  # no clients
    }


@contextmanager
def _sqlite(folder: Path) -> Iterator[Write]:
    """Append with the log's own statements, in one transaction with one sync."""
    connection = open_file(folder / "events.db")
    with closing(SqliteStore(connection, Retention(86_400, 100_000), time.time)) as store:

        def write(events: int) -> None:
            plan = store.new_plan()
            message = {"type": "furniture_created", "furniture": FURNITURE}
            for _ in range(events):
                plan.add(parse_event(message))
            store.begin()
            store.write(plan)
            store.commit()
            if store.journal_pages >= CHECKPOINT_PAGES:
                store.checkpoint()

        yield write


@contextmanager
def _file(folder: Path) -> Iterator[Write]:
    """Append to a file and sync it."""
    file = os.open(folder / "events", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def write(events: int) -> None:
        os.write(file, BODY * events)
        os.fdatasync(file)

    try:
        yield write
    finally:
        os.close(file)


@contextmanager
def _stream(folder: Path) -> Iterator[Write]:
    """Add all events to a stream in one transaction."""
    with (
        storage.running_valkey(folder, "always") as server,
        server.client as client,
        client.pipeline() as pipeline,
    ):

        def write(events: int) -> None:
            for _ in range(events):
                pipeline.xadd("events", {"event": BODY})
            pipeline.execute()

        yield write


EVENT_TYPES = ("furniture_created", "furniture_updated", "furniture_deleted")
TEXT_FIELDS = ("furniture_id", "nombre", "descripcion", "material", "autor_username")
SIZE_FIELDS = ("altura", "ancho")


@contextmanager
def _loop(folder: Path) -> Iterator[Write]:
    """Decode a batch, check its events, insert them in one transaction, and encode the answer."""
    with closing(apsw.Connection(str(folder / "events.db"))) as connection:
        connection.execute(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, type TEXT, body TEXT)"
        ).fetchall()

        def write(events: int) -> None:
            rows = [_row(event) for event in json.loads(_batch(events))["events"]]
            with connection:
                connection.executemany("INSERT INTO event VALUES (NULL, ?, ?, ?)", rows)
            first = connection.last_insert_rowid() - len(rows) + 1
            results = [{"ok": True, "id": row[0], "seq": first + at} for at, row in enumerate(rows)]
            json.dumps({"results": results}).encode()

        yield write


@cache
def _batch(events: int) -> bytes:
    event = {"type": "furniture_created", "furniture": FURNITURE}
    return json.dumps({"events": [event] * events}).encode()


def _row(event: dict[str, Any]) -> tuple[str, str, str]:
    """Check an event; return its id, its type, and its JSON for the consumers."""
    furniture = event["furniture"]
    if not (
        event["type"] in EVENT_TYPES
        and all(isinstance(furniture[name], str) for name in TEXT_FIELDS)
        and all(isinstance(furniture[name], int) and furniture[name] >= 0 for name in SIZE_FIELDS)
    ):
        raise ValueError(event)
    event["id"] = os.urandom(16).hex()
    event["timestamp"] = time.time()
    return event["id"], event["type"], json.dumps(event)


FLOORS = {"loop": _loop, "sqlite": _sqlite, "file": _file, "stream": _stream}
"""Each opens a store in a folder and returns a function that writes a number of events to it."""
