"""The curves over a log's content: retained events, pieces, kept sessions."""

from __future__ import annotations

import random
import time
from contextlib import closing
from functools import partial
from itertools import islice

from benchmarks.durability import BATCH_EVENTS, EVENT
from benchmarks.figures import FURNITURE, Figures, Usage, least_cpu
from benchmarks.filling import RETENTION
from benchmarks.http import Publishers, Requester, for_seconds, post
from benchmarks.load import Crowd
from benchmarks.recovery import LostSessions
from benchmarks.servers import Running, cpu_seconds, running
from benchmarks.storage import Storage

PUBLISHERS = 64
BATCHES = 10
REPEATS = 5
CLIENTS = 500
MISSED_EVENTS = 100
PAGES = 20
PAGE_EVENTS = 1_000
SETTINGS = {
    "SIO_RETENTION_EVENTS": RETENTION.events,
    "SIO_RETENTION_SECONDS": int(RETENTION.seconds),
    "SIO_MAX_PIECES": RETENTION.pieces,
    "SIO_MAX_SESSIONS": RETENTION.sessions,
    "SIO_MAX_SESSION_BYTES": RETENTION.session_bytes,
    "SIO_RATE_LIMIT": 1_000_000,
}


def measure_log(name: str, storage: Storage, pieces: int) -> Figures:
    """Start a server on a filled log, publish, connect, recover sessions and read old events.

    Args:
        name: ``ours`` or ``valkey``.
        storage: the log's storage.
        pieces: the number of pieces that the log knows.
    """
    begin = time.monotonic()
    with running(name, storage=storage, **SETTINGS) as server:
        seconds, start = time.monotonic() - begin, server.cpu_seconds()
        figures = {
            "start s": seconds,
            "start CPU s": start,
            "MiB": server.memory_kib() / 1024,
            **_publish(server, storage, pieces),
            **_connect(server),
            **_read(server),
        }
    return figures | {"disk MiB": _file_bytes(storage) / 1_048_576}


def _publish(server: Running, storage: Storage, pieces: int) -> Figures:
    """Publish single events about one piece, then batches about pieces from the whole log."""
    figures: Figures = {}
    with (
        Publishers(server.port, PUBLISHERS, post("/api/events", EVENT)) as publishers,
        closing(Requester(server.port)) as requester,
    ):
        batches = iter([_batch(pieces, number) for number in range(1 + 2 * BATCHES * REPEATS)])

        def publish_singly() -> int:
            return len(publishers.publish(for_seconds(0.4)))

        def publish_batches() -> int:
            for batch in islice(batches, BATCHES):
                requester.send(batch)
            return BATCHES * BATCH_EVENTS

        publish_singly()
        requester.send(next(batches))
        for name, work in (("publish", publish_singly), ("batch", publish_batches)):
            figures[f"{name} µs"] = least_cpu(server.cpu_seconds, work, REPEATS)
            if storage.valkey is not None:
                clock = partial(cpu_seconds, storage.valkey.process)
                figures[f"Valkey: {name} µs"] = least_cpu(clock, work, REPEATS)
    return figures


def _batch(pieces: int, number: int) -> bytes:
    ids = random.Random(number).choices(range(pieces), k=BATCH_EVENTS)
    events = [EVENT | {"furniture": FURNITURE | {"furniture_id": f"{id:024}"}} for id in ids]
    return post("/api/events/batch", {"events": events})


def _connect(server: Running) -> Figures:
    with Crowd(server.port, server.greeting) as crowd:
        crowd.connect(50)
        with Usage(server) as connecting:
            crowd.connect(CLIENTS)
    with closing(LostSessions(server, CLIENTS, FURNITURE)) as sessions:
        sessions.publish(MISSED_EVENTS)
        with Usage(server) as recovering:
            sessions.recover(MISSED_EVENTS)
    return {
        "connect µs": connecting.cpu / CLIENTS * 1e6,
        "recover µs": recovering.cpu / CLIENTS * 1e6,
    }


def _read(server: Running) -> Figures:
    """Read pages from all over the log, the pieces, and all events of a room that has none."""
    with closing(Requester(server.port)) as requester:
        bounds = requester.get("/api/events?limit=0")
        epoch, _, last = bounds["position"].rpartition("-")
        events = 0
        with Usage(server) as paging:
            for page in range(PAGES):
                since = int(last) * page // PAGES
                answer = requester.get(f"/api/events?since={epoch}-{since}&limit={PAGE_EVENTS}")
                events += len(answer["events"])
        with Usage(server) as listing:
            for _ in range(PAGES):
                pieces = len(requester.get("/api/furniture?limit=100")["items"])
        with Usage(server) as searching:
            requester.get("/api/events?room=author:nobody")
    return {
        "read µs": paging.cpu / events * 1e6,
        "piece µs": listing.cpu / PAGES / pieces * 1e6,
        "rare room ms": searching.cpu * 1e3,
    }


def _file_bytes(storage: Storage) -> int:
    return sum(file.stat().st_size for file in storage.folder.rglob("*") if file.is_file())
