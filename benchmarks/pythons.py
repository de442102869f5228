"""Compare versions of Python: ``python -m benchmarks.pythons PYTHON…``.

Each PYTHON is an interpreter with the packages of ``requirements.txt`` and no others, which the
server might import. ``NAME=`` before it is shown beside the version, so that builds of one version
can be compared. The load runs in the interpreter of this command. They take turns, so that the
machine's moods hit all of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from contextlib import closing
from pathlib import Path

from benchmarks import servers
from benchmarks.durability import EVENT
from benchmarks.figures import FURNITURE, Figures, Usage, least_cpu
from benchmarks.growth_connections import SETTLE_SECONDS, deliver
from benchmarks.http import Publishers, for_seconds, post
from benchmarks.load import Crowd
from benchmarks.recovery import LostSessions
from benchmarks.results import Result, Row, save
from benchmarks.servers import running

CLIENTS = 500
WARM_UP_CLIENTS = 50
MISSED_EVENTS = 100
PUBLISHERS = 64


DOES_NOT_SAY = [
    "Which version is the safest to run.",
    "What the version does, and what its compiler does: the builds differ in both.",
]


def measure(python: str) -> Figures:
    """Measure the server's costs with one interpreter."""
    os.environ[servers.PYTHON] = str(Path(python).absolute())
    with running("ours") as server, Crowd(server.port, server.greeting) as crowd:
        figures: Figures = {"start s": server.cpu_seconds()}
        crowd.connect(WARM_UP_CLIENTS)
        crowd.answer_pings(SETTLE_SECONDS)
        memory = server.memory_kib()
        with Usage(server) as connecting:
            crowd.connect(CLIENTS)
        crowd.answer_pings(SETTLE_SECONDS)
        figures["connect µs"] = connecting.cpu / CLIENTS * 1e6
        figures["connection KiB"] = (server.memory_kib() - memory) / CLIENTS
        figures["server MiB"] = memory / 1024
        count = CLIENTS + WARM_UP_CLIENTS
        figures["delivery µs"] = deliver(server, crowd, count, FURNITURE)["delivery µs"]
    with (
        running("ours") as server,
        Publishers(server.port, PUBLISHERS, post("/api/events", EVENT)) as publishers,
        closing(LostSessions(server, CLIENTS, FURNITURE)) as sessions,
    ):
        sessions.publish(MISSED_EVENTS)
        with Usage(server) as recovering:
            sessions.recover(MISSED_EVENTS)
        figures["recover µs"] = recovering.cpu / CLIENTS * 1e6
        sessions.close()

        def publish() -> int:
            return len(publishers.publish(for_seconds(0.4)))

        publish()
        figures["publish µs"] = least_cpu(server.cpu_seconds, publish, 5)
    return figures


def main() -> None:
    """Measure each interpreter and print the medians."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pythons", description="Compare versions of Python."
    )
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="[NAME=]INTERPRETER")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results")
    chosen = parser.parse_args()
    servers.pin(servers.LOAD_CORE)
    rounds: dict[str, list[Figures]] = {}
    for _ in range(chosen.rounds):
        for it in chosen.pythons:
            name, _, python = it.rpartition("=")
            row = f"{_version(python)} {name}".strip()
            rounds.setdefault(row, []).append(measure(python))
    columns = list(next(iter(rounds.values()))[0])
    print(f"| Python | {' | '.join(columns)} |\n| --- {'| ---: ' * len(columns)}|")
    for version, figures in rounds.items():
        cells = [f"{statistics.median(each[it] for each in figures):.3g}" for it in columns]
        print(f"| {version} | {' | '.join(cells)} |")
    if chosen.save:
        rows = [Row(version, figures) for version, figures in rounds.items()]
        says = "The same server and load, with one build of Python after another."
        save(Result("pythons", says, DOES_NOT_SAY, rows))


def _version(python: str) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.check_output([python, "-c", code], text=True).strip()


if __name__ == "__main__":
    main()
