"""Show how the costs of a server grow: ``python -m benchmarks.growth``.

Each curve changes one number, such as the clients or the retained events. Each point of a curve is
a fresh server process on a core of its own. Costs are CPU time of the server's process, without the
time that it waits for the disk; with ``Valkey:``, CPU time of its Valkey.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.figures import Figures
from benchmarks.filling import Content, fill
from benchmarks.growth_connections import clients, payload, rooms, rooms_each
from benchmarks.growth_log import measure_log
from benchmarks.results import Plot, Result, Row, save
from benchmarks.storage import storage_in, temporary_storage


class Curve(NamedTuple):
    """A curve.

    Attributes:
        at: the number that grows.
        sizes: the points that are measured by default.
        plots: the pictures: a title, the unit, and the columns with this unit.
        measure: measures one point on empty storage; None: the storage is filled before.
        content: the content of the log at a point, if it is filled.
        says: a sentence about the measurement.
    """

    at: str
    sizes: list[int]
    plots: list[tuple[str, str, list[str]]]
    measure: Callable[[str, int], Figures] | None = None
    content: Callable[[int], Content] = lambda size: Content()
    says: str = (
        "A server starts on a log with this content. Then it takes publishes, single ones and in "
        "batches of 100; clients connect; clients recover after 100 missed events; pages of 1,000 "
        "old events and pages of pieces are read; and a room without events is searched."
    )


LOG_COSTS = [
    ("Publish, connect, recover", "µs", ["publish µs", "batch µs", "connect µs", "recover µs"]),
    ("Read an event and a piece", "µs", ["read µs", "piece µs"]),
    ("Start", "s", ["start s", "start CPU s"]),
    ("Search all events for a room that has none", "ms", ["rare room ms"]),
]
CURVES = {
    "clients": Curve(
        "clients",
        [100, 1_000, 5_000, 10_000, 19_500],
        [
            ("CPU of a delivery", "µs", ["delivery µs"]),
            ("Memory of a connection", "KiB", ["KiB", "kernel KiB"]),
            ("Idle, with the default heartbeat", "% of a core", ["idle core %"]),
        ],
        clients,
        says="Clients connect over WebSocket, receive events, and are idle for 25 seconds.",
    ),
    "rooms": Curve(
        "rooms, each with one of 10,000 clients",
        [100, 1_000, 10_000, 100_000],
        [("CPU of an event to one room", "µs", ["event µs"])],
        rooms,
        says="10,000 clients share the rooms, each room has one client, and each event goes to one "
        "room. Events are published in batches of 100.",
    ),
    "rooms-each": Curve(
        "rooms of each client",
        [1, 2, 5, 10, 100],
        [
            ("CPU of a delivery", "µs", ["delivery µs"]),
            ("CPU of a connect", "µs", ["connect µs"]),
            ("Memory of a connection", "KiB", ["KiB"]),
        ],
        rooms_each,
        says="1,000 clients are in the same rooms, of which up to five receive each event.",
    ),
    "payload": Curve(
        "bytes of an event",
        [300, 1_000, 4_000, 16_000, 60_000],
        [("CPU of a delivery", "µs", ["delivery µs"])],
        payload,
        says="500 clients receive every event.",
    ),
    "events": Curve(
        "retained events about 1,000 pieces",
        [1_000, 10_000, 100_000, 1_000_000],
        LOG_COSTS,
        content=lambda size: Content(events=size),
    ),
    "pieces": Curve(
        "pieces, each with one event",
        [1_000, 10_000, 100_000, 1_000_000],
        LOG_COSTS,
        content=lambda size: Content(events=size, pieces=size),
    ),
    "sessions": Curve(
        "kept sessions",
        [0, 2_000, 20_000, 200_000],
        LOG_COSTS,
        content=lambda size: Content(events=1_000, sessions=size),
    ),
}
DOES_NOT_SAY = [
    "Whether the figures of another machine are the same: compare the points of a curve.",
    "How long anything takes by the clock: the figures are CPU time of the server's process.",
    "How it varies: a figure is the least of five repetitions, if its work can be repeated.",
]


def measure(
    curve: Curve, size: int, log: str, folder: Path | None, seconds: float | None
) -> Figures | None:
    """Measure one point.

    Args:
        curve: the curve.
        size: the point.
        log: ``ours`` or ``valkey``.
        folder: keeps the filled storage; None: temporary storage.
        seconds: only fill the storage, for this time at most; None: measure.

    Returns:
        The figures, or None if nothing was measured.
    """
    if curve.measure is not None:
        return curve.measure(log, size) if seconds is None else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    content = curve.content(size)
    with temporary_storage(log) if folder is None else storage_in(folder, log) as storage:
        filled = fill(storage, content) if seconds is None else fill(storage, content, seconds)
        if seconds is None:
            return measure_log(log, storage, content.pieces)
    print(f"{size:,}: {'filled' if filled else 'not yet filled; call this again'}")
    return None


def main() -> None:
    """Measure the chosen points and print a table for each curve."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description="Show how the costs of this server grow, in tables of Markdown.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=CURVES, default=list(CURVES), help="curves")
    add("--sizes", nargs="+", type=int, help="points; by default, those of the curve")
    add("--log", choices=("ours", "valkey"), default="ours", help="SQLite (ours), or a Valkey")
    add("--folder", type=Path, help="where filled logs stay, for the next call")
    add("--save", action="store_true", help="write the figures to benchmarks/results")
    add("--fill", type=float, metavar="SECONDS", help="only fill the logs, each in this time")
    chosen = parser.parse_args()
    servers.pin(servers.LOAD_CORE)
    for name in chosen.only:
        curve = CURVES[name]
        columns: list[str] = []
        for size in chosen.sizes or curve.sizes:
            folder = chosen.folder and chosen.folder / f"{chosen.log}-{name}-{size}"
            figures = measure(curve, size, chosen.log, folder, chosen.fill)
            if figures is None:
                continue
            if chosen.save:
                _save(name, curve, Row(chosen.log, [figures], size))
            if list(figures) != columns:
                columns = list(figures)
                print(
                    f"\n| {name}: {' | '.join([curve.at, *columns])} |\n"
                    + "| --: " * (len(columns) + 1)
                    + "|"
                )
            print(f"| {' | '.join([f'{size:,}', *map(_number, figures.values())])} |", flush=True)


def _save(name: str, curve: Curve, row: Row) -> None:
    plots = [Plot(title, columns, unit, log_at=True) for title, unit, columns in curve.plots]
    save(Result(f"growth-{name}", curve.says, DOES_NOT_SAY, [row], curve.at, plots))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
