"""One event to many clients: deliveries a second and CPU a delivery, beside Node.js socket.io.

    python -m benchmarks.fanout [--clients 2000] [--events 200] [--rounds 3]

Both servers run in turn, in the same run, each alone on one core; the clients are in this process
on the other. An event is published when the one before has reached every client (closed loop), so
a round's time is the servers' own. Ours appends each event to its SQLite log, synced to disk,
before it delivers; the peer keeps nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import servers
from benchmarks.load import Crowd

FURNITURE: dict[str, object] = {
    "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
    "nombre": "Mesa de Roble",
    "descripcion": "Mesa elegante de comedor",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "Juan",
}
WARM_UP = 10


@dataclass(frozen=True)
class Figures:
    """What one round measured: seconds are wall time, CPU is the server's."""

    deliveries_a_second: float
    cpu_us_a_delivery: float
    p50_ms: float
    p99_ms: float


def measure(open_server: Callable[..., Any], clients: int, events: int) -> Figures:
    """Run one round against one server."""
    with tempfile.TemporaryDirectory() as folder, open_server(Path(folder)) as server:
        crowd = Crowd(server.port, clients)
        for number in range(WARM_UP):
            crowd.publish(FURNITURE)
            crowd.wait_for(number + 1)
        latencies: list[float] = []
        cpu, start = server.cpu_seconds(), time.perf_counter()
        for number in range(WARM_UP, WARM_UP + events):
            published = time.perf_counter()
            crowd.publish(FURNITURE)
            latencies += [arrived - published for arrived in crowd.wait_for(number + 1)]
        seconds = time.perf_counter() - start
        cpu = server.cpu_seconds() - cpu
        crowd.close()
    latencies.sort()
    return Figures(
        deliveries_a_second=len(latencies) / seconds,
        cpu_us_a_delivery=cpu / len(latencies) * 1e6,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1e3,
    )


def median(rounds: list[Figures]) -> Figures:
    """Return each figure's median over the rounds."""
    return Figures(
        *(
            statistics.median(getattr(figures, name) for figures in rounds)
            for name in Figures.__dataclass_fields__
        )
    )


def main() -> None:
    """Measure both servers in turn and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=2000, help="consumers")
    parser.add_argument("--events", type=int, default=200, help="events a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server")
    options = parser.parse_args()
    servers.pin(servers.LOAD_CORE)
    peers: dict[str, Callable[..., Any]] = {"this server": servers.ours, "Node.js": servers.node}
    rounds: dict[str, list[Figures]] = {name: [] for name in peers}
    for _ in range(options.rounds):
        for name, open_server in peers.items():
            rounds[name].append(measure(open_server, options.clients, options.events))
    print(f"{options.clients} clients, {options.events} events, median of {options.rounds} rounds")
    print(f"{'':12}{'deliveries/s':>14}{'CPU µs each':>14}{'p50 ms':>10}{'p99 ms':>10}")
    results = {name: median(measured) for name, measured in rounds.items()}
    for name, figures in results.items():
        print(
            f"{name:12}{figures.deliveries_a_second:14,.0f}{figures.cpu_us_a_delivery:14.1f}"
            f"{figures.p50_ms:10.1f}{figures.p99_ms:10.1f}"
        )
    us, them = results["this server"], results["Node.js"]
    print(
        f"{'ratio':12}{us.deliveries_a_second / them.deliveries_a_second:14.2f}"
        f"{us.cpu_us_a_delivery / them.cpu_us_a_delivery:14.2f}"
        f"{us.p50_ms / them.p50_ms:10.2f}{us.p99_ms / them.p99_ms:10.2f}"
    )


if __name__ == "__main__":
    main()
