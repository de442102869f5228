"""Describe the measurements of ``python -m benchmarks`` as results that are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figures
from benchmarks.measurements import MEASUREMENTS
from benchmarks.results import Plot, Result, Row
from benchmarks.versions import versions

DOES_NOT_SAY = [
    "What another machine reaches. Only the ratios of one run hold elsewhere, and only roughly.",
    "What happens on more cores: each server has one, and the load has the other.",
]
NO_LOG = "What durability costs the peers: only this server stores an event before it delivers it."
SAME_WORK = "That a floor is a server: it knows no users, no limits, no rooms and no repetitions."

NAMED = {
    "deliveries": [NO_LOG],
    "bursts": [NO_LOG],
    "polling": [NO_LOG],
    "latency": [NO_LOG],
    "publishes": [SAME_WORK],
    "batches": [SAME_WORK],
    "recoveries": ["How long users wait when all come back at once: that is `storms`."],
    "storms": [
        "What real clients do: they wait for random times before they come back.",
    ],
}
"""More sentences about single measurements."""

PLOTTED = {
    "latency": Plot("From an event's due time to a consumer", ["p50 ms", "p99 ms"], "ms"),
    "storms": Plot("Until the last client is back", ["last back s"], "s", log_at=True),
    "slow": Plot("Memory of a consumer that stopped reading", ["KiB", "KiB at most"], "KiB"),
    "retention": Plot("Publishes beside the trimming", ["p99 ms", "p99 without"], "ms"),
}


def result(
    name: str, counted: str, rounds: Mapping[int, Mapping[str, Sequence[Figures]]]
) -> Result:
    """Make the result of a measurement.

    Args:
        name: its name.
        counted: what its sizes count.
        rounds: the figures of each round, by size and server.
    """
    described = (MEASUREMENTS[name].__doc__ or "").splitlines()[0]
    plot = PLOTTED.get(name) or Plot(
        f"CPU time of the server: {name}", ["CPU µs"], "µs", log_at=True
    )
    return Result(
        name=f"bench-{name}",
        says=described,
        does_not_say=[*DOES_NOT_SAY, *NAMED.get(name, [])],
        at=counted,
        rows=[
            Row(server, list(figures), at)
            for at, by_server in rounds.items()
            for server, figures in by_server.items()
        ],
        plots=[plot],
        versions=versions("socket.io", "bun", "@socket.io/bun-engine", "python-socketio"),
    )
