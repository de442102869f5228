"""Measure this server beside its peers: ``python -m benchmarks``.

In each round, every measurement runs on all servers, one after another. Each server is a process of
its own on one core; the clients are in this process on another core. The report shows medians.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields

from benchmarks import report, results, saving, servers
from benchmarks.figures import Amounts, Figures
from benchmarks.floors import FLOORS
from benchmarks.measurements import MEASUREMENTS

QUICK = {
    "clients": [500],
    "polling_clients": 100,
    "deliveries": 20_000,
    "ping_interval": 1.0,
    "rounds": 1,
    "seconds": 0.5,
    "rates": [100],
    "consumers": 100,
    "slow_clients": 100,
    "slow_events": 5_000,
    "trimmed": 5_000,
}
PEERS = ["ours", "node", "bun", "stock"]
DURABLE = [*servers.OURS, *FLOORS]
MEASURED_ON = {
    "deliveries": [*PEERS, servers.FLOOR],
    "bursts": ["ours", "node", "bun"],
    "recoveries": ["ours", "node", "bun"],
    "storms": ["ours", "node", "bun"],
    "publishes": [*DURABLE, servers.BARE],
    "batches": DURABLE,
    "latency": ["ours", "valkey", "node", "bun"],
    "slow": ["ours", "node"],
    "retention": ["ours", "valkey"],
}
"""The servers of a measurement, if they are not ``PEERS``."""

LONG = ("slow", "retention")
"""Measurements that take so long that they run only in every second round."""

COUNTED = {"latency": "publishes a second", "retention": "events trimmed"}
"""The unit of the number beside a measurement's name, if it is not clients."""

SPARE_FILES = 200
"""Open files that the process needs beside one for each client."""

Rounds = dict[tuple[str, int], dict[str, list[Figures]]]
"""The rounds of a measurement and a size, by server."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a little of everything, within two minutes")
    add("--only", type=_words(MEASUREMENTS), default=list(MEASUREMENTS), help="measurements")
    add("--peers", type=_words(servers.NAMES), default=list(servers.NAMES), help="servers")
    add(
        "--clients",
        type=_numbers,
        default=[2000, 10_000],
        help="clients over WebSocket, several numbers",
    )
    add("--polling-clients", type=int, default=300, help="clients over HTTP long-polling")
    add("--deliveries", type=int, default=120_000, help="deliveries of a server in one round")
    add("--ping-interval", type=float, default=2.5, help="seconds, for heartbeats")
    add("--seconds", type=float, default=2.0, help="seconds of publishing")
    add("--publishers", type=_numbers, default=[1, 64], help="clients of durable publishes")
    add("--rates", type=_numbers, default=[100, 200], help="publishes a second for latency")
    add(
        "--consumers",
        type=int,
        default=500,
        help="consumers over WebSocket, for latency and bursts",
    )
    add(
        "--slow-clients",
        type=int,
        default=1000,
        help="consumers, a twentieth of which stop reading",
    )
    add("--slow-events", type=int, default=20_000, help="events published while they do not read")
    add("--trimmed", type=int, default=100_000, help="events trimmed during publishes")
    add("--settle", type=float, default=1.0, help="seconds before the memory is read")
    add("--rounds", type=int, default=2, help="rounds")
    add("--save", action="store_true", help="write benchmarks/results/bench-*.json")
    if "--quick" in arguments:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def measure(chosen: argparse.Namespace) -> Rounds:
    """Run the rounds, as far as nobody interrupts them."""
    amounts = Amounts(**{each.name: getattr(chosen, each.name) for each in fields(Amounts)})
    sizes = {
        "bursts": [chosen.consumers],
        "polling": [chosen.polling_clients],
        "publishes": chosen.publishers,
        "batches": chosen.publishers[:1],
        "latency": chosen.rates,
        "slow": [chosen.slow_clients],
        "retention": [chosen.trimmed],
    }
    plan = [(name, size) for name in chosen.only for size in sizes.get(name, chosen.clients)]
    measured: Rounds = {step: {} for step in plan}
    try:
        for number in range(chosen.rounds):
            for name, clients in plan:
                if name in LONG and number % 2:
                    continue
                _measure_servers(name, clients, chosen.peers, amounts, measured[name, clients])
    except KeyboardInterrupt:
        print("interrupted: the report covers the rounds so far", file=sys.stderr)
    return {step: by_server for step, by_server in measured.items() if by_server}


def _measure_servers(
    name: str,
    clients: int,
    peers: Sequence[str],
    amounts: Amounts,
    measured: dict[str, list[Figures]],
) -> None:
    for server in peers:
        if server not in MEASURED_ON.get(name, PEERS):
            continue
        start = time.monotonic()
        try:
            figures = MEASUREMENTS[name](server, clients, amounts)
        except servers.ServerError as error:  # the other servers are still measured
            print(f"FAILED: {name}, {clients}, {server}: {error}", file=sys.stderr)
            continue
        seconds = time.monotonic() - start
        print(f"{name}, {clients}, {server}: {seconds:.1f} s", file=sys.stderr)
        measured.setdefault(server, []).append(figures)


def main() -> None:
    """Run the chosen measurements and print the report."""
    chosen = options(sys.argv[1:])
    servers.pin(servers.LOAD_CORE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if max(chosen.clients) + SPARE_FILES > files:
        raise SystemExit(
            f"{max(chosen.clients)} clients need more open files than the limit of {files}"
        )
    reasons = {server: servers.missing(server) for server in chosen.peers}
    chosen.peers = [server for server in chosen.peers if reasons[server] is None]
    measured = measure(chosen)
    for server, reason in reasons.items():
        left_out = f"; LEFT OUT: {reason}" if reason else ""
        print(f"{server:9}{servers.NAMES[server]}{left_out}")
    if servers.SERVER_CORE == servers.LOAD_CORE:
        print("There is only one core: the servers share it with the load.")
    if not results.is_optimised():
        print(
            "This Python is a plain build: with an optimised one, this server needs less CPU time."
        )
    print(f"\nMedians of {chosen.rounds} rounds; load average now {os.getloadavg()[0]:.1f}")
    for (name, clients), by_server in measured.items():
        rows = {server: report.median(rounds) for server, rounds in by_server.items()}
        description = (MEASUREMENTS[name].__doc__ or "").splitlines()[0]
        counted = COUNTED.get(name, "clients")
        print("\n" + report.table(f"{name}, {clients:,} {counted}. {description}", rows))
    for name in chosen.only if chosen.save else []:
        by_size = {size: rounds for (each, size), rounds in measured.items() if each == name}
        results.save(saving.result(name, COUNTED.get(name, "clients"), by_size))


def _words(known: Sequence[str]) -> object:
    def split(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is not one of {', '.join(known)}")
        return words

    return split


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    main()
