"""The least that a durable publish can cost: the same write in a loop, without a server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks import places, servers
from benchmarks.figures import FURNITURE, LOAD, Figures, percentiles
from sio_server.contract.events import parse_event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.file import open_file
from sio_server.eventlog.sqlite.store import Store
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


def repeat(name: str, events: int, seconds: float) -> Figures:
    """Write so many events at a time, on the server's core, for a time."""
    times: list[float] = []
    clock = time.perf_counter
    with places.place(name) as place, FLOORS[name](place.folder) as write:
        os.sched_setaffinity(0, {servers.SERVER_CORE})
        try:
            write(events)
            cpu, start = time.process_time(), clock()
            while (begun := clock()) < start + seconds:
                write(events)
                times.append(clock() - begun)
            cpu, wall = time.process_time() - cpu, clock() - start
        finally:
            os.sched_setaffinity(0, {servers.LOAD_CORE})
    return {
        "events/s": len(times) * events / wall,
        "CPU µs": cpu / (len(times) * events) * 1e6,
        **percentiles(times),
        LOAD: 0.0,  # there is none
    }


@contextmanager
def _sqlite(folder: Path) -> Iterator[Write]:
    """Append with the log's own statements: one transaction, one sync."""
    connection = open_file(folder / "events.db")
    with closing(Store(connection, Retention(86_400, 100_000), time.time)) as store:

        def write(events: int) -> None:
            step = store.new_plan()
            message = {"type": "furniture_created", "furniture": FURNITURE}
            for _ in range(events):
                step.add(parse_event(message))
            store.begin()
            store.write(step)
            store.commit()
            if store.journal_pages >= CHECKPOINT_PAGES:
                store.checkpoint()

        yield write


@contextmanager
def _file(folder: Path) -> Iterator[Write]:
    """Append to a file and wait for the disk."""
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
    """Add to a stream, as many events as there are in one transaction."""
    with (
        places.valkey(folder, "always") as server,
        server.client as client,
        client.pipeline() as pipeline,
    ):

        def write(events: int) -> None:
            for _ in range(events):
                pipeline.xadd("events", {"event": BODY})
            pipeline.execute()

        yield write


FLOORS = {"sqlite": _sqlite, "file": _file, "stream": _stream}
