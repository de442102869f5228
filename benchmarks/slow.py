"""Measure the cost of consumers that stop reading while many events are published.

The consumers that read are in a room that gets few of the events, because no server could deliver
all events to all consumers in this time. The stopped consumers are sent every event. The same load
runs first without them. ``SIO_SLOW_SECONDS`` and the ping interval are longer than the run, so that
the server closes no consumer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Usage, percentiles
from benchmarks.open_loop import (
    RecordingClient,
    RecordingCrowd,
    ScheduledEvent,
    latencies_of,
    numbered,
)
from benchmarks.servers import ServerError, running

CONSUMERS_PER_STOPPED = 20
"""One of this many consumers stops reading."""

EVENTS_PER_SAMPLE = 50
"""One of this many events goes to the consumers that read."""

EVENTS_PER_SECOND = 700
"""This rate takes about half of a core. On a full core, all consumers would wait."""

PUBLISHERS = 64
"""The log can append the events of this many publishers with one sync."""

WARM_UP_EVENTS = 20
MAX_RUN_SECONDS = 600
"""Longer than any run."""

EVENT_BYTES = 1_000
_SAMPLE = FURNITURE | {"descripcion": "x" * (EVENT_BYTES - len(str(FURNITURE)))}
_OTHER = _SAMPLE | {"material": "pino"}
_ROOM = f"material:{_SAMPLE['material']}"


@dataclass
class _Run:
    """The results of one load.

    Attributes:
        usage: the cost of the load.
        latencies: seconds from due time to arrival, of the samples at the consumers that read.
        grown_kib: growth of the server's memory until the end of the load.
        peak_kib: maximal growth until the stopped consumers have read everything.
        caught_up: deliveries to the stopped consumers after the load, and their seconds.
    """

    usage: Usage
    latencies: list[float]
    grown_kib: int
    peak_kib: int
    caught_up: tuple[int, float] = (0, 0.0)


def slow(name: str, clients: int, amounts: Amounts) -> Figures:
    """A twentieth stops reading, then reads again; KiB for each of them, p99 for the others."""
    stopped = max(1, clients // CONSUMERS_PER_STOPPED)
    baseline = _run(name, clients - stopped, 0, amounts.slow_events)
    run = _run(name, clients - stopped, stopped, amounts.slow_events)
    events, seconds = run.caught_up
    p50, p99 = percentiles(run.latencies).values()
    p99_baseline = percentiles(baseline.latencies)["p99 ms"]
    return {
        "KiB": max(0.0, (run.grown_kib - baseline.grown_kib) / stopped),
        "KiB at most": max(0.0, (run.peak_kib - baseline.peak_kib) / stopped),
        "core %": run.usage.cpu / run.usage.wall * 100,
        "p50 ms": p50,
        "p99 ms": p99,
        "without": p99_baseline,
        "p99/without": p99 / p99_baseline,
        "read on/s": events / seconds,
        LOAD: run.usage.load_percent,
    }


def _run(name: str, reading: int, stopped: int, events: int) -> _Run:
    with (
        running(name, MAX_RUN_SECONDS, ROOMS="yes", SIO_SLOW_SECONDS=MAX_RUN_SECONDS) as server,
        RecordingCrowd(server.port, server.greeting) as crowd,
        RecordingCrowd(server.port, server.greeting) as stopped_crowd,
    ):
        readers = crowd.join(reading, [_ROOM])
        crowd.join(1, ["catalog"])  # so that both runs encode every event
        publishers = crowd.join(PUBLISHERS, [])
        warm_up = [
            ScheduledEvent(
                number / WARM_UP_EVENTS, numbered(events + number, _SAMPLE), publishers[0]
            )
            for number in range(WARM_UP_EVENTS)
        ]
        crowd.publish_on_schedule(warm_up, WARM_UP_EVENTS * (reading + 1))
        if stopped:
            stopped_crowd.join(stopped, ["catalog"])
        schedule = _schedule(publishers, events)
        samples = range(0, events, EVENTS_PER_SAMPLE)
        before = server.resident_kib()
        server.forget_peak()
        with Usage(server) as usage:
            start = crowd.publish_on_schedule(schedule, events + len(samples) * reading)
        run = _Run(usage, [], server.resident_kib() - before, 0)
        if stopped:
            run.caught_up = _read_all(stopped_crowd, events)
        run.peak_kib = server.peak_kib() - before
    due_at = {number: start + schedule[number].at for number in samples}
    run.latencies = latencies_of(readers, due_at)
    return run


def _schedule(publishers: Sequence[RecordingClient], events: int) -> list[ScheduledEvent]:
    return [
        ScheduledEvent(
            number / EVENTS_PER_SECOND,
            numbered(number, _OTHER if number % EVENTS_PER_SAMPLE else _SAMPLE),
            publishers[number % len(publishers)],
        )
        for number in range(events)
    ]


def _read_all(crowd: RecordingCrowd, events: int) -> tuple[int, float]:
    """Let the stopped consumers read everything, and check it; return deliveries and seconds."""
    start = time.perf_counter()
    crowd.publish_on_schedule([], events * len(crowd.members))
    seconds = time.perf_counter() - start
    check_order(crowd.members, events)
    return events * len(crowd.members), seconds


def check_order(consumers: Sequence[RecordingClient], events: int) -> None:
    """Check that every consumer got every event once, and all in the same order.

    Raises:
        ServerError: an event is missing, was delivered twice, or came in another order.
    """
    order = consumers[0].seen
    if sorted(order) != list(range(events)):
        raise ServerError(
            f"{len(set(order))} of {events} events arrived, in {len(order)} deliveries"
        )
    if any(consumer.seen != order for consumer in consumers):
        raise ServerError("consumers got different events, or another order")
