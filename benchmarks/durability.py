"""Durable publishes over HTTP: how many, at what cost, how soon they are answered.

What bounds them is the disk's sync. So they stand beside loops that do the same write without a
server, on the server's core: ``sqlite``, ``file`` and ``stream`` in ``servers.NAMES``.
"""

from __future__ import annotations

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Spent, percentiles
from benchmarks.floors import FLOORS, repeat
from benchmarks.http import Publishers, for_seconds, post
from benchmarks.servers import running

BATCH = 100
"""Events in a batch."""

WARM_UP_SECONDS = 0.2

EVENT = {"type": "furniture_created", "furniture": FURNITURE}


def publishes(name: str, clients: int, amounts: Amounts) -> Figures:
    """One event a request, each client's next one when it has an answer."""
    if name in FLOORS:
        return repeat(name, clients, amounts.seconds)
    return _publish(name, clients, amounts, post("/api/events", EVENT), 1)


def batches(name: str, clients: int, amounts: Amounts) -> Figures:
    """100 events a request, each client's next ones when it has an answer."""
    if name in FLOORS:
        return repeat(name, clients * BATCH, amounts.seconds)
    request = post("/api/events/batch", {"events": [EVENT] * BATCH})
    return _publish(name, clients, amounts, request, BATCH)


def _publish(name: str, clients: int, amounts: Amounts, request: bytes, size: int) -> Figures:
    with running(name) as server, Publishers(server.port, clients, request) as publishers:
        publishers.publish(for_seconds(WARM_UP_SECONDS))
        with Spent(server) as spent:
            latencies = publishers.publish(for_seconds(amounts.seconds))
    events = len(latencies) * size
    return {
        "events/s": events / spent.wall,
        "CPU µs": spent.cpu / events * 1e6,
        **percentiles(latencies),
        LOAD: spent.load_percent,
    }
