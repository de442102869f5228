"""The measurements. Each function runs one server and returns its figures by column.

``CPU µs`` is the server's processor time in microseconds for one unit of the measurement: a
delivery, a connection, a ping, a publish. ``load %`` is the load's use of its own core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from benchmarks.durability import batches, publishes
from benchmarks.figures import FURNITURE, LOAD, Amounts, Figures, Usage, percentiles
from benchmarks.latency import latency
from benchmarks.load import Crowd
from benchmarks.polling import PollingCrowd
from benchmarks.recovery import LostSessions
from benchmarks.retention import retention
from benchmarks.servers import Running, running
from benchmarks.slow import slow

WARM_UP_CLIENTS = 100
"""Clients that connect first, so that a server's one-time work is not measured."""

WARM_UP_EVENTS = 20
"""Events before the measured ones. Just-in-time compilers need some, and a kernel acknowledges the
first 16 segments of a connection one by one."""

BURST_EVENTS = 100
"""Events that are published at once, as a bulk change of a site does."""

MISSED_EVENTS = 100
"""Events that each client has missed when it reconnects."""


Deliver = Callable[[dict[str, object]], list[float]]
"""Publishes and waits; returns the latency of each delivery in seconds."""


def deliveries(name: str, clients: int, amounts: Amounts) -> Figures:
    """Events to clients over WebSocket; the next one after the last has reached everyone."""
    with running(name) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(clients)
        return _closed_loop(server, crowd.deliver, -(-amounts.deliveries // clients))


def bursts(name: str, clients: int, amounts: Amounts) -> Figures:
    """Bursts of 100 events to clients over WebSocket; the next after one has reached everyone."""
    with running(name) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(clients)
        count = -(-amounts.deliveries // clients // BURST_EVENTS)
        return _closed_loop(server, partial(crowd.deliver, events=BURST_EVENTS), 4 * count, 1)


def polling(name: str, clients: int, amounts: Amounts) -> Figures:
    """Events to clients over HTTP long-polling; the next one after the last has reached all."""
    with (
        running(name) as server,
        PollingCrowd(server.port, server.greeting, clients) as crowd,
    ):
        return _closed_loop(server, crowd.deliver, -(-amounts.deliveries // clients // 5))


def connections(name: str, clients: int, amounts: Amounts) -> Figures:
    """From TCP connect to CONNECT's answer, ours with `ready`; memory of an idle connection."""
    plain = _connections(name, clients, amounts, browser=False)
    browser = _connections(name, clients, amounts, browser=True)
    load = (plain.pop(LOAD) + browser.pop(LOAD)) / 2
    return (
        plain | {f"browser's {column}": value for column, value in browser.items()} | {LOAD: load}
    )


def heartbeats(name: str, clients: int, amounts: Amounts) -> Figures:
    """Idle connections: pings and their answers, during two intervals."""
    interval = amounts.ping_interval
    with running(name, interval) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(clients)
        crowd.answer_pings(interval / 4)
        with Usage(server) as usage:
            pings = crowd.answer_pings(2 * interval)
    return {
        "CPU µs": usage.cpu / pings * 1e6,
        "core %": usage.cpu / usage.wall * 100,
        "pings/s": pings / usage.wall,
        LOAD: usage.load_percent,
    }


@contextmanager
def _lost_sessions(name: str, clients: int) -> Iterator[tuple[Running, LostSessions]]:
    """Run a server whose clients have lost their connections, and then missed events."""
    with (
        running(name, recovery=True) as server,
        closing(LostSessions(server, clients, FURNITURE)) as sessions,
    ):
        sessions.publish(MISSED_EVENTS)
        yield server, sessions


def recoveries(name: str, clients: int, amounts: Amounts) -> Figures:
    """Clients recover their sessions, 256 at a time; each has missed 100 events."""
    with _lost_sessions(name, clients) as (server, sessions), Usage(server) as usage:
        sessions.recover(MISSED_EVENTS)
    return {
        "seconds": usage.wall,
        "CPU µs": usage.cpu / clients * 1e6,
        "recoveries/s": clients / usage.wall,
        LOAD: usage.load_percent,
    }


def storms(name: str, clients: int, amounts: Amounts) -> Figures:
    """All clients come back at the same moment; each recovers its session and 100 events."""
    with _lost_sessions(name, clients) as (server, sessions), Usage(server) as usage:
        back, resets = sessions.storm(MISSED_EVENTS)
    return {
        "half back s": back[len(back) // 2],
        "last back s": back[-1],
        "resets": resets,
        "CPU µs": usage.cpu / clients * 1e6,
        LOAD: usage.load_percent,
    }


MEASUREMENTS: dict[str, Callable[[str, int, Amounts], Figures]] = {
    measurement.__name__: measurement
    for measurement in (
        deliveries,
        bursts,
        connections,
        heartbeats,
        polling,
        recoveries,
        storms,
        publishes,
        batches,
        latency,
        slow,
        retention,
    )
}


def _closed_loop(
    server: Running, deliver: Deliver, count: int, warm_up: int = WARM_UP_EVENTS
) -> Figures:
    for _ in range(max(warm_up, count // 4)):
        deliver(FURNITURE)
    latencies: list[float] = []
    with Usage(server) as usage:
        for _ in range(count):
            latencies += deliver(FURNITURE)
    return {
        "deliveries/s": len(latencies) / usage.wall,
        "CPU µs": usage.cpu / len(latencies) * 1e6,
        **percentiles(latencies),
        LOAD: usage.load_percent,
    }


def _connections(name: str, clients: int, amounts: Amounts, *, browser: bool) -> Figures:
    with running(name) as server, Crowd(server.port, server.greeting, browser=browser) as crowd:
        crowd.connect(WARM_UP_CLIENTS)
        crowd.answer_pings(amounts.settle / 2)
        before = server.memory_kib()
        with Usage(server) as usage:
            crowd.connect(clients)
        crowd.answer_pings(amounts.settle)
        memory = server.memory_kib() - before
    return {
        "CPU µs": usage.cpu / clients * 1e6,
        "KiB": memory / clients,
        LOAD: usage.load_percent,
    }
