"""Measure the time from an event's due time until a consumer has it, at a steady rate."""

from __future__ import annotations

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Usage, percentiles
from benchmarks.open_loop import RecordingCrowd, ScheduledEvent, latencies_of, numbered
from benchmarks.servers import running

PUBLISHERS = 8
"""Consumers that publish in turns. A client's event waits until its previous one is in the log."""


def latency(name: str, rate: int, amounts: Amounts) -> Figures:
    """From an event's due time until each consumer has it over WebSocket, on a schedule."""
    warm_up = rate // 2
    events = warm_up + max(1, int(rate * amounts.seconds))
    with running(name) as server, RecordingCrowd(server.port, server.greeting) as crowd:
        consumers = crowd.join(amounts.consumers)
        publishers = consumers[:PUBLISHERS]
        schedule = [
            ScheduledEvent(
                number / rate, numbered(number, FURNITURE), publishers[number % len(publishers)]
            )
            for number in range(events)
        ]
        with Usage(server) as usage:
            start = crowd.publish_on_schedule(schedule, events * len(consumers))
    due_at = {number: start + schedule[number].at for number in range(warm_up, events)}
    return {
        "deliveries/s": events * len(consumers) / usage.wall,
        "CPU µs": usage.cpu / (events * len(consumers)) * 1e6,
        "core %": usage.cpu / usage.wall * 100,
        **percentiles(latencies_of(consumers, due_at)),
        LOAD: usage.load_percent,
    }
