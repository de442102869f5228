"""What every measurement shares: how much work it does, what it cost, what it tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
Figures = dict[str, float]


@dataclass(frozen=True)
class Amounts:
    """How much work a measurement does.

    Attributes:
        deliveries: of one round over WebSocket; polling does a fifth, as each costs so much more.
        ping_interval: seconds, where heartbeats are measured; elsewhere it is every peer's default.
        settle: seconds from connecting to reading the memory.
        seconds: how long is published, where publishes are measured.
        consumers: over WebSocket, where latency is measured.
        slow_events: what is published while some do not read.
    """

    deliveries: int
    ping_interval: float
    settle: float
    seconds: float
    consumers: int
    slow_events: int


@dataclass
class Spent:
    """What a ``with`` block cost: seconds of the wall's clock, of the server's CPU, of ours."""

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
        """How much of its core the load has used."""
        return self.load / self.wall * 100

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self.server.cpu_seconds(), time.process_time()


def percentiles(seconds: Sequence[float]) -> Figures:
    """Return what half of them and what all but a hundredth stay below, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50 ms": ordered[len(ordered) // 2] * 1e3,
        "p99 ms": ordered[len(ordered) * 99 // 100] * 1e3,
    }
