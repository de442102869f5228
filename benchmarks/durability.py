"""Measure durable publishes over HTTP: their rate, their cost and their latency.

The disk's sync limits them. So they are compared with loops that do the same write without a
server, on the server's core: ``sqlite``, ``file`` and ``stream`` in ``servers.NAMES``.
"""

from __future__ import annotations

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Usage, percentiles
from benchmarks.floors import FLOORS, measure_floor
from benchmarks.http import Publishers, for_seconds, post
from benchmarks.servers import running

BATCH_EVENTS = 100
"""Events of one batch request."""

WARM_UP_SECONDS = 0.2

EVENT = {"type": "furniture_created", "furniture": FURNITURE}


def publishes(name: str, clients: int, amounts: Amounts) -> Figures:
    """One event a request; each client sends the next one after the answer."""
    if name in FLOORS:
        return measure_floor(name, clients, amounts.seconds)
    return _publish(name, clients, amounts, post("/api/events", EVENT), 1)


def batches(name: str, clients: int, amounts: Amounts) -> Figures:
    """100 events a request; each client sends the next request after the answer."""
    if name in FLOORS:
        return measure_floor(name, clients * BATCH_EVENTS, amounts.seconds)
    request = post("/api/events/batch", {"events": [EVENT] * BATCH_EVENTS})
    return _publish(name, clients, amounts, request, BATCH_EVENTS)


def _publish(
    name: str, clients: int, amounts: Amounts, request: bytes, events_per_request: int
) -> Figures:
    with running(name) as server, Publishers(server.port, clients, request) as publishers:
        publishers.publish(for_seconds(WARM_UP_SECONDS))
        with Usage(server) as usage:
            latencies = publishers.publish(for_seconds(amounts.seconds))
    events = len(latencies) * events_per_request
    return {
        "events/s": events / usage.wall,
        "CPU µs": usage.cpu / events * 1e6,
        **percentiles(latencies),
        LOAD: usage.load_percent,
    }
