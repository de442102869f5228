"""What is measured: each function runs one server for it and returns figures by their column.

``CPU µs`` is the server's processor time in microseconds for one of what the measurement counts,
``load %`` how much of its own core the load has used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, Self

from benchmarks.load import Crowd
from benchmarks.polling import PollingCrowd
from benchmarks.recovery import Sessions
from benchmarks.servers import Running, running

FURNITURE: dict[str, object] = {
    "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
    "nombre": "Mesa de Roble",
    "descripcion": "Mesa elegante de comedor",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "Juan",
}
WARM_UP_CLIENTS = 100
"""They connect before the measured ones, so that what a server loads once is not counted."""

WARM_UP_EVENTS = 20
"""They go before the measured ones: just-in-time compilers want some, and a kernel acknowledges the
first 16 segments of a connection each at once."""

MISSED = 100
"""Events that each client has missed when it comes back."""

LOAD = "load %"
Figures = dict[str, float]


@dataclass(frozen=True)
class Amounts:
    """How much work a measurement does.

    Attributes:
        deliveries: of one round over WebSocket; polling does a fifth, as each costs so much more.
        ping_interval: seconds, where heartbeats are measured; elsewhere it is every peer's default.
        settle: seconds from connecting to reading the memory.
    """

    deliveries: int
    ping_interval: float
    settle: float


class Delivering(Protocol):
    """A crowd to which events are delivered."""

    def deliver(self, furniture: dict[str, object]) -> list[float]:
        """Publish one and wait; return each client's latency in seconds."""


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

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), self.server.cpu_seconds(), time.process_time()


def deliveries(name: str, clients: int, amounts: Amounts) -> Figures:
    """Events to clients over WebSocket, each published when the last has reached everyone."""
    with running(name) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(clients)
        return _closed_loop(server, crowd, -(-amounts.deliveries // clients))


def polling(name: str, clients: int, amounts: Amounts) -> Figures:
    """Events to clients over HTTP long-polling, in the same manner."""
    with (
        running(name) as server,
        PollingCrowd(server.port, server.greeting, clients) as crowd,
    ):
        return _closed_loop(server, crowd, -(-amounts.deliveries // clients // 5))


def connections(name: str, clients: int, amounts: Amounts) -> Figures:
    """From TCP connect to CONNECT answered, ours with its `ready`; memory a connection, settled."""
    plain = _connections(name, clients, amounts, browser=False)
    browser = _connections(name, clients, amounts, browser=True)
    load = (plain.pop(LOAD) + browser.pop(LOAD)) / 2
    return (
        plain | {f"browser's {column}": value for column, value in browser.items()} | {LOAD: load}
    )


def heartbeats(name: str, clients: int, amounts: Amounts) -> Figures:
    """Idle connections: pings and their answers, over two intervals."""
    interval = amounts.ping_interval
    with running(name, interval) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(clients)
        crowd.answer_pings(interval / 4)
        with Spent(server) as spent:
            pings = crowd.answer_pings(2 * interval)
    return {
        "CPU µs": spent.cpu / pings * 1e6,
        "core %": spent.cpu / spent.wall * 100,
        "pings/s": pings / spent.wall,
        LOAD: spent.load / spent.wall * 100,
    }


def recoveries(name: str, clients: int, amounts: Amounts) -> Figures:
    """Clients that come back at once to their sessions, each with 100 events that it has missed."""
    with (
        running(name, recovery=True) as server,
        closing(Sessions(server, clients, FURNITURE)) as sessions,
    ):
        sessions.publish(MISSED)
        with Spent(server) as spent:
            sessions.come_back(MISSED)
    return {
        "seconds": spent.wall,
        "CPU µs": spent.cpu / clients * 1e6,
        "recoveries/s": clients / spent.wall,
        LOAD: spent.load / spent.wall * 100,
    }


MEASUREMENTS: dict[str, Callable[[str, int, Amounts], Figures]] = {
    measurement.__name__: measurement
    for measurement in (deliveries, connections, heartbeats, polling, recoveries)
}


def _closed_loop(server: Running, crowd: Delivering, events: int) -> Figures:
    for _ in range(max(WARM_UP_EVENTS, events // 4)):
        crowd.deliver(FURNITURE)
    latencies: list[float] = []
    with Spent(server) as spent:
        for _ in range(events):
            latencies += crowd.deliver(FURNITURE)
    latencies.sort()
    return {
        "deliveries/s": len(latencies) / spent.wall,
        "CPU µs": spent.cpu / len(latencies) * 1e6,
        "p50 ms": latencies[len(latencies) // 2] * 1e3,
        "p99 ms": latencies[len(latencies) * 99 // 100] * 1e3,
        LOAD: spent.load / spent.wall * 100,
    }


def _connections(name: str, clients: int, amounts: Amounts, *, browser: bool) -> Figures:
    with running(name) as server, Crowd(server.port, server.greeting, browser=browser) as crowd:
        crowd.connect(WARM_UP_CLIENTS)
        crowd.answer_pings(amounts.settle / 2)
        before = server.memory_kib()
        with Spent(server) as spent:
            crowd.connect(clients)
        crowd.answer_pings(amounts.settle)
        memory = server.memory_kib() - before
    return {
        "CPU µs": spent.cpu / clients * 1e6,
        "KiB": memory / clients,
        LOAD: spent.load / spent.wall * 100,
    }
