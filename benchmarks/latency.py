"""From when an event is due until a consumer has it, at a steady rate."""

from __future__ import annotations

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Spent, percentiles
from benchmarks.open_loop import Audience, Due, lateness, numbered
from benchmarks.servers import running

PUBLISHERS = 8
"""Consumers that publish, in turns: what one sends waits until its last event is in the log."""


def latency(name: str, rate: int, amounts: Amounts) -> Figures:
    """From when an event was due until each consumer has it over WebSocket, on a schedule."""
    warm_up = rate // 2
    events = warm_up + max(1, int(rate * amounts.seconds))
    with running(name) as server, Audience(server.port, server.greeting) as audience:
        watchers = audience.join(amounts.consumers)
        publishers = watchers[:PUBLISHERS]
        due = [
            Due(number / rate, numbered(number, FURNITURE), publishers[number % len(publishers)])
            for number in range(events)
        ]
        with Spent(server) as spent:
            begun = audience.play(due, events * len(watchers))
    late = lateness(watchers, {number: begun + due[number].at for number in range(warm_up, events)})
    return {
        "deliveries/s": events * len(watchers) / spent.wall,
        "CPU µs": spent.cpu / (events * len(watchers)) * 1e6,
        "core %": spent.cpu / spent.wall * 100,
        **percentiles(late),
        LOAD: spent.load_percent,
    }
