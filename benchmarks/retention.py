"""Measure publishes while the log trims many old events, after its retention was shortened."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Thread

from benchmarks.durability import EVENT
from benchmarks.figures import LOAD, Amounts, Figures, Usage, percentiles
from benchmarks.http import Publishers, Requester, for_seconds, post
from benchmarks.servers import Running, ServerError, running
from benchmarks.storage import Storage, temporary_storage

FILL_BATCH_EVENTS = 1_000
"""Events of a batch request, while the log is filled."""

FILL_PUBLISHERS = 4
PUBLISHERS = 8
PROGRESS_SECONDS = 0.05
"""Seconds between two requests for the progress of the trimming."""

RATE_LIMIT = 1_000_000
"""Commands a minute: more than the requests for the progress, which count against the limit."""

TIMEOUT = 60
"""Seconds that the trimming may take."""


def retention(name: str, events: int, amounts: Amounts) -> Figures:
    """8 clients publish, without trimming and with it; `beside %` of it during the publishes."""
    kept = max(1, events // 100)
    with temporary_storage(name) as storage:
        with _running(name, storage, 10 * events) as server:
            _fill(server, events)
        with _running(name, storage, 10 * events) as server:
            without_trimming = percentiles(_publish(server, for_seconds(amounts.seconds)))
        with _running(name, storage, kept) as server:
            trimming = _Trimming(server, events - kept)
            with Usage(server) as usage:
                latencies = _publish(server, trimming.has_ended)
            trimmed_meanwhile = trimming.end()
    p50, p99 = percentiles(latencies).values()
    return {
        "trimmed/s": events / (time.monotonic() - trimming.start),
        "beside %": trimmed_meanwhile / events * 100,
        "publishes/s": len(latencies) / usage.wall,
        "p50 ms": p50,
        "p99 ms": p99,
        "p50 without": without_trimming["p50 ms"],
        "p99 without": without_trimming["p99 ms"],
        "p99/without": p99 / without_trimming["p99 ms"],
        LOAD: usage.load_percent,
    }


def _running(name: str, storage: Storage, kept: int) -> AbstractContextManager[Running]:
    return running(name, storage=storage, SIO_RETENTION_EVENTS=kept, SIO_RATE_LIMIT=RATE_LIMIT)


def _fill(server: Running, events: int) -> None:
    size = min(events, FILL_BATCH_EVENTS)
    request = post("/api/events/batch", {"events": [EVENT] * size})
    with Publishers(server.port, FILL_PUBLISHERS, request) as publishers:
        publishers.publish(lambda count: count + FILL_PUBLISHERS > -(-events // size))


def _publish(server: Running, enough: Callable[[int], bool]) -> list[float]:
    with Publishers(server.port, PUBLISHERS, post("/api/events", EVENT)) as publishers:
        return publishers.publish(enough)


class _Trimming:
    """Watches the progress of the trimming in a thread, during the publishes.

    Args:
        server: a server that has just started, with a log much longer than its retention.
        events: the position up to which the log will be trimmed.

    Attributes:
        start: the time at which the trimming had begun at the latest.
    """

    def __init__(self, server: Running, events: int) -> None:
        self.start = time.monotonic()
        self._requester = Requester(server.port)
        self._events = events
        self._first = self._last = self._oldest()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def has_ended(self, answers: int) -> bool:
        """Return whether the trimming has ended or timed out. The number of answers is not used."""
        return not self._thread.is_alive()

    def end(self) -> int:
        """Return the number of events that were trimmed during the publishes.

        Raises:
            ServerError: some events were not trimmed in time.
        """
        self._thread.join()
        self._requester.socket.close()
        if self._last < self._events:
            raise ServerError(f"trimming reached {self._last} of {self._events} in {TIMEOUT} s")
        return self._last - self._first

    def _watch(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while self._last < self._events and time.monotonic() < deadline:
            time.sleep(PROGRESS_SECONDS)
            self._last = self._oldest()

    def _oldest(self) -> int:
        answer = self._requester.get("/api/events?limit=0")
        return min(self._events, int(answer["oldest"].rpartition("-")[2]))
