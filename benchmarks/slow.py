"""Consumers of which some stop reading while much is published.

Those who read are in a room that gets few of the events, for all of them to everyone would be more
than any server delivers in the time; those who stop are sent everything. The same load without them
goes before. So that nobody is closed meanwhile, ``SIO_SLOW_SECONDS`` and the ping interval are
longer than the run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Spent, percentiles
from benchmarks.open_loop import Audience, Due, Watcher, lateness, numbered
from benchmarks.servers import ServerError, running

ONE_IN = 20
"""Of so many consumers, one stops reading."""

SAMPLED = 50
"""Of so many events, one is for those who read."""

RATE = 700
"""Events a second, which take about half of a core: where it is full, everybody waits."""

PUBLISHERS = 64
"""As many as the log can take together in one sync."""

WARM_UP = 20
NEVER = 600
"""Seconds that no run takes."""

EVENT_BYTES = 1_000
_SAMPLE = FURNITURE | {"descripcion": "x" * (EVENT_BYTES - len(str(FURNITURE)))}
_OTHER = _SAMPLE | {"material": "pino"}
_ROOM = f"material:{_SAMPLE['material']}"


@dataclass
class _Run:
    """What one load was like.

    Attributes:
        spent: by the load.
        late: how long after it was due each sampled event came to those who read.
        grown: KiB by which the server's memory has grown at the end of the load.
        peak: and by which it had at most, until those who had stopped have read everything.
        caught_up: how many events they have got, each of them, and in which seconds.
    """

    spent: Spent
    late: list[float]
    grown: int
    peak: int
    caught_up: tuple[int, float] = (0, 0.0)


def slow(name: str, clients: int, amounts: Amounts) -> Figures:
    """A twentieth stops reading, then reads on; KiB for each of these, p99 for the others."""
    stopped = max(1, clients // ONE_IN)
    calm = _run(name, clients - stopped, 0, amounts.slow_events)
    run = _run(name, clients - stopped, stopped, amounts.slow_events)
    events, seconds = run.caught_up
    p50, p99 = percentiles(run.late).values()
    p99_calm = percentiles(calm.late)["p99 ms"]
    return {
        "KiB": max(0.0, (run.grown - calm.grown) / stopped),
        "KiB at most": max(0.0, (run.peak - calm.peak) / stopped),
        "core %": run.spent.cpu / run.spent.wall * 100,
        "p50 ms": p50,
        "p99 ms": p99,
        "without": p99_calm,
        "p99/without": p99 / p99_calm,
        "read on/s": events / seconds,
        LOAD: run.spent.load_percent,
    }


def _run(name: str, reading: int, stopped: int, events: int) -> _Run:
    with (
        running(name, NEVER, ROOMS="yes", SIO_SLOW_SECONDS=NEVER) as server,
        Audience(server.port, server.greeting) as audience,
        Audience(server.port, server.greeting) as silent,
    ):
        watchers = audience.join(reading, [_ROOM])
        audience.join(1, ["catalog"])  # so that every event is encoded in either run
        publishers = audience.join(PUBLISHERS, [])
        warm_up = range(events, events + WARM_UP)
        audience.play(
            [
                Due((number - events) / WARM_UP, numbered(number, _SAMPLE), publishers[0])
                for number in warm_up
            ],
            WARM_UP * (reading + 1),
        )
        if stopped:
            silent.join(stopped, ["catalog"])
        due = _schedule(publishers, events)
        before = server.resident_kib()
        server.forget_peak()
        with Spent(server) as spent:
            begun = audience.play(due, events + len(range(0, events, SAMPLED)) * reading)
        run = _Run(spent, [], server.resident_kib() - before, 0)
        if stopped:
            run.caught_up = _read_on(silent, events)
        run.peak = server.peak_kib() - before
    due_at = {number: begun + due[number].at for number in range(0, events, SAMPLED)}
    run.late = lateness(watchers, due_at)
    return run


def _schedule(publishers: Sequence[Watcher], events: int) -> list[Due]:
    return [
        Due(
            number / RATE,
            numbered(number, _OTHER if number % SAMPLED else _SAMPLE),
            publishers[number % len(publishers)],
        )
        for number in range(events)
    ]


def _read_on(silent: Audience, events: int) -> tuple[int, float]:
    """Let those who had stopped read, and check what they get."""
    start = time.perf_counter()
    silent.play([], events * len(silent.watchers))
    seconds = time.perf_counter() - start
    check_order(silent.watchers, events)
    return events * len(silent.watchers), seconds


def check_order(watchers: Sequence[Watcher], events: int) -> None:
    """Hold consumers to what was published: every event once, in one order for all.

    Raises:
        ServerError: what is wrong.
    """
    order = watchers[0].seen
    if sorted(order) != list(range(events)):
        raise ServerError(f"of {events} events {len(set(order))} came, in {len(order)} deliveries")
    if any(watcher.seen != order for watcher in watchers):
        raise ServerError("consumers saw different events, or another order")
