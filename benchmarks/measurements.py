"""What is measured: each function runs one server for it and returns figures by their column.

``CPU µs`` is the server's processor time in microseconds for one of what the measurement counts,
``load %`` how much of its own core the load has used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Protocol

from benchmarks.durability import batches, publishes
from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Spent, percentiles
from benchmarks.latency import latency
from benchmarks.load import Crowd
from benchmarks.polling import PollingCrowd
from benchmarks.recovery import Sessions
from benchmarks.retention import retention
from benchmarks.servers import Running, running
from benchmarks.slow import slow

WARM_UP_CLIENTS = 100
"""They connect before the measured ones, so that what a server loads once is not counted."""

WARM_UP_EVENTS = 20
"""They go before the measured ones: just-in-time compilers want some, and a kernel acknowledges the
first 16 segments of a connection each at once."""

MISSED = 100
"""Events that each client has missed when it comes back."""


class Delivering(Protocol):
    """A crowd to which events are delivered."""

    def deliver(self, furniture: dict[str, object]) -> list[float]:
        """Publish one and wait; return each client's latency in seconds."""


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
        LOAD: spent.load_percent,
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
        LOAD: spent.load_percent,
    }


MEASUREMENTS: dict[str, Callable[[str, int, Amounts], Figures]] = {
    measurement.__name__: measurement
    for measurement in (
        deliveries,
        connections,
        heartbeats,
        polling,
        recoveries,
        publishes,
        batches,
        latency,
        slow,
        retention,
    )
}


def _closed_loop(server: Running, crowd: Delivering, events: int) -> Figures:
    for _ in range(max(WARM_UP_EVENTS, events // 4)):
        crowd.deliver(FURNITURE)
    latencies: list[float] = []
    with Spent(server) as spent:
        for _ in range(events):
            latencies += crowd.deliver(FURNITURE)
    return {
        "deliveries/s": len(latencies) / spent.wall,
        "CPU µs": spent.cpu / len(latencies) * 1e6,
        **percentiles(latencies),
        LOAD: spent.load_percent,
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
        LOAD: spent.load_percent,
    }
