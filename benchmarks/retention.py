"""Publishes while many old events are trimmed: what a shorter retention costs, once it is set."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Thread

from benchmarks.durability import EVENT
from benchmarks.figures import LOAD, Amounts, Figures, Spent, percentiles
from benchmarks.http import Publishers, Requester, for_seconds, post
from benchmarks.places import Place, place
from benchmarks.servers import Running, ServerError, running

FILLED_AT_ONCE = 1_000
"""Events in a batch, while the log is filled."""

FILLING = 4
PUBLISHERS = 8
LOOK_SECONDS = 0.05
"""Between two looks at how far the trimming is."""

LOOKS = 1_000_000
"""More than there are: they are counted against the address's rate."""

TIMEOUT = 60
"""Seconds after which it should have ended."""


def retention(name: str, events: int, amounts: Amounts) -> Figures:
    """8 clients publish while so many events are trimmed, `beside %` of them, and before that."""
    kept = max(1, events // 100)
    with place(name) as at:
        with _running(name, at, 10 * events) as server:
            _fill(server, events)
        with _running(name, at, 10 * events) as server:
            calm = percentiles(_publish(server, for_seconds(amounts.seconds)))
        with _running(name, at, kept) as server:
            trimming = _Trimming(server, events - kept)
            with Spent(server) as spent:
                latencies = _publish(server, trimming.has_ended)
            beside = trimming.end()
    p50, p99 = percentiles(latencies).values()
    return {
        "trimmed/s": events / (time.monotonic() - trimming.begun),
        "beside %": beside / events * 100,
        "publishes/s": len(latencies) / spent.wall,
        "p50 ms": p50,
        "p99 ms": p99,
        "p50 without": calm["p50 ms"],
        "p99 without": calm["p99 ms"],
        "p99/without": p99 / calm["p99 ms"],
        LOAD: spent.load_percent,
    }


def _running(name: str, at: Place, kept: int) -> AbstractContextManager[Running]:
    return running(name, at=at, SIO_RETENTION_EVENTS=kept, SIO_RATE_LIMIT=LOOKS)


def _fill(server: Running, events: int) -> None:
    size = min(events, FILLED_AT_ONCE)
    request = post("/api/events/batch", {"events": [EVENT] * size})
    with Publishers(server.port, FILLING, request) as publishers:
        publishers.publish(lambda count: count + FILLING > -(-events // size))


def _publish(server: Running, enough: Callable[[int], bool]) -> list[float]:
    with Publishers(server.port, PUBLISHERS, post("/api/events", EVENT)) as publishers:
        return publishers.publish(enough)


class _Trimming:
    """Looks how far it is, beside the publishing.

    Args:
        server: just started, with a log that is much longer than what it is to keep.
        events: the position up to which they are to go.

    Attributes:
        begun: when, at the latest.
    """

    def __init__(self, server: Running, events: int) -> None:
        self.begun = time.monotonic()
        self._requester = Requester(server.port)
        self._events = events
        self._first = self._last = self._oldest()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def has_ended(self, answers: int) -> bool:
        """Whether it has, or goes on for too long; however many answers have come."""
        return not self._thread.is_alive()

    def end(self) -> int:
        """Return how many events went while it was looked.

        Raises:
            ServerError: not all did.
        """
        self._thread.join()
        self._requester.socket.close()
        if self._last < self._events:
            raise ServerError(f"trimming got to {self._last} of {self._events} in {TIMEOUT} s")
        return self._last - self._first

    def _look(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while self._last < self._events and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            self._last = self._oldest()

    def _oldest(self) -> int:
        answer = self._requester.get("/api/events?limit=0")
        return min(self._events, int(answer["oldest"].rpartition("-")[2]))
