"""The benchmarks run and report figures. No test checks how fast anything is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import page, report
from benchmarks.__main__ import measure, options
from benchmarks.django import __main__ as django
from benchmarks.figures import Figures
from benchmarks.floors import measure_floor
from benchmarks.measurements import MEASUREMENTS
from benchmarks.servers import ServerError
from benchmarks.slow import check_order

SMALL_AMOUNTS = (
    "--clients=20 --polling-clients=5 --deliveries=100 --rounds=1 --ping-interval=0.3 "
    "--seconds=0.1 --publishers=2 --rates=50 --consumers=10 --slow-clients=20 --slow-events=1000 "
    "--trimmed=500"
)
MAY_BE_ZERO = ("KiB", "browser's KiB", "beside", "resets")
"""Columns that may be zero after so little work."""


def measure_briefly(name: str, peers: str) -> dict[str, Figures]:
    """Run one measurement with a few clients; return the figures by server."""
    measured = measure(
        options([*SMALL_AMOUNTS.split(), f"--only={name}", f"--peers={peers}", "--settle=0"])
    )
    (by_server,) = measured.values()
    return {server: report.median(rounds) for server, rounds in by_server.items()}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_has_figures(name: str) -> None:
    """Every measurement of this server reports figures, and they are positive."""
    figures = measure_briefly(name, "ours")["ours"]
    assert len(figures) >= 4
    for column, value in figures.items():
        assert value > 0 or (column.startswith(MAY_BE_ZERO) and value >= 0), column


@pytest.mark.skipif(shutil.which("cc") is None, reason="the floor is a C program")
@pytest.mark.parametrize(
    ("measurement", "amounts"),
    [
        (django.latency, ("sqlite", 100, 0.1)),
        (django.drain, ("sqlite", 100)),
        (django.request, ("sqlite", 0.1)),
    ],
)
def test_each_measurement_of_django_has_figures(
    measurement: Callable[..., dict[str, Figures]], amounts: tuple[Any, ...]
) -> None:
    """Every measurement of the Django app reports positive figures for several setups."""
    rows = measurement(*amounts)
    assert len(rows) > 1
    assert all(value > 0 for figures in rows.values() for value in figures.values())
    assert all(name in django.table("a title", rows) for name in rows)


def test_the_table_has_figures_and_ratios_to_each_peer() -> None:
    """The table has one line per server and one per ratio. These peers need no packages."""
    rows = measure_briefly("deliveries", "ours,stock,floor")
    lines = report.table("a title", rows).splitlines()
    assert [line.split()[0] for line in lines[2:7]] == [
        "ours",
        "stock",
        "floor",
        "ours/stock",
        "ours/floor",
    ]
    columns = len(rows["ours"])
    assert [len(line.split()) - 1 for line in lines[2:7]] == [columns] * 3 + [columns - 1] * 2


def test_durable_publishes_are_compared_with_writes_without_a_server() -> None:
    """The table has the ratios of both durable logs to the loops that only write."""
    rows = measure_briefly("publishes", "ours,valkey,everysec,bare,loop,sqlite,file,stream")
    table = report.table("a title", rows)
    for ratio in (
        "ours/bare",
        "ours/loop",
        "ours/sqlite",
        "ours/file",
        "ours/valkey",
        "valkey/stream",
    ):
        assert ratio in table


def test_a_floor_leaves_the_process_on_its_cores() -> None:
    """The loop without a server moves to one core and back, so that later tests have all cores."""
    cores = os.sched_getaffinity(0)
    measure_floor("file", events=1, seconds=0.01)
    assert os.sched_getaffinity(0) == cores


def test_missing_repeated_and_reordered_events_fail_the_measurement() -> None:
    """``check_order`` accepts any common order, and refuses every deviation from it."""
    (consumer,) = consumers = [SimpleNamespace(seen=[0, 2, 1])]
    check_order(consumers, 3)
    for seen in ([0, 1], [0, 1, 1, 2], [0, 1, 3]):
        consumer.seen = seen
        with pytest.raises(ServerError):
            check_order(consumers, 3)
    with pytest.raises(ServerError):
        check_order([SimpleNamespace(seen=[0, 1, 2]), SimpleNamespace(seen=[0, 2, 1])], 3)


async def test_the_smoothness_of_the_page_has_figures() -> None:
    """The tasks of the main thread are in the trace, and the page has measured the events."""
    found = await page.measure(pieces=12, rate=20, seconds=0.2)
    assert len(found.clock) == len(found.processor) > 10
    assert found.clock[0] > 0
    assert found.shown >= 1
