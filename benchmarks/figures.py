"""The amount of work, the costs and the figures that all measurements share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from benchmarks.servers import Running

FURNITURE: dict[str, object] = {
    "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
    "nombre": "Mesa de Roble",
    "descripcion": "Mesa elegante de comedor",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "Juan",
}
LOAD = "load %"
"""The column with the use of the load's own core."""

Figures = dict[str, float]
"""The figures of one server by column."""


@dataclass(frozen=True)
class Amounts:
    """The amount of work of each measurement.

    Attributes:
        deliveries: deliveries of one round over WebSocket. Polling does a fifth of them, because
            each costs much more.
        ping_interval: seconds between pings in ``heartbeats``; the others use the default.
        settle: seconds between connecting and reading the memory.
        seconds: seconds of publishing, in measurements of publishes.
        consumers: consumers over WebSocket, in ``latency``.
        slow_events: events that are published while some consumers do not read.
    """

    deliveries: int
    ping_interval: float
    settle: float
    seconds: float
    consumers: int
    slow_events: int


@dataclass
class Usage:
    """The cost of a ``with`` block in seconds.

    Attributes:
        wall: time that passed.
        cpu: CPU time of the server.
        load: CPU time of this process, the load.
    """

    server: Running
    wall: float = field(default=0, init=False)
    cpu: float = field(default=0, init=False)
    load: float = field(default=0, init=False)

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu, self.load = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )

    @property
    def load_percent(self) -> float:
        """The share of its core that the load used, in percent."""
        return self.load / self.wall * 100

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self.server.cpu_seconds(), time.process_time()


def least_cpu(clock: Callable[[], float], work: Callable[[], int], repeats: int) -> float:
    """Repeat some work; return the least CPU time for one unit of it, in microseconds.

    The least is used because all other work on the machine can only add to it.

    Args:
        clock: returns the CPU time of a process in seconds.
        work: does the work and returns the number of units.
        repeats: how often.
    """
    costs = []
    for _ in range(repeats):
        before = clock()
        units = work()
        costs.append((clock() - before) / units * 1e6)
    return min(costs)


def percentiles(seconds: Sequence[float]) -> Figures:
    """Return the median and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50 ms": ordered[len(ordered) // 2] * 1e3,
        "p99 ms": ordered[len(ordered) * 99 // 100] * 1e3,
    }
