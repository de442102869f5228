"""The benchmarks still run; never how fast."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import report
from benchmarks.__main__ import measure, options
from benchmarks.django import __main__ as django
from benchmarks.figures import Figures
from benchmarks.measurements import MEASUREMENTS
from benchmarks.servers import ServerError
from benchmarks.slow import check_order

LITTLE = (
    "--clients=20 --polling-clients=5 --deliveries=100 --rounds=1 --ping-interval=0.3 "
    "--seconds=0.1 --publishers=2 --rates=50 --consumers=10 --slow-clients=20 --slow-events=5000 "
    "--trimmed=2000"
)
MAY_BE_NOTHING = ("KiB", "browser's KiB", "beside")
"""Columns of what so little work may not show."""


def few(name: str, peers: str) -> dict[str, Figures]:
    """Measure with a few clients; return each server's figures."""
    results = measure(
        options([*LITTLE.split(), f"--only={name}", f"--peers={peers}", "--settle=0"])
    )
    assert len(results) == 1
    return next(iter(results.values()))


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_has_figures(name: str) -> None:
    """Measure this server alone: each figure is there, and what is always used is."""
    figures = few(name, "ours")["ours"]
    assert len(figures) >= 4
    for column, value in figures.items():
        assert value > 0 or (column.startswith(MAY_BE_NOTHING) and value >= 0), column


@pytest.mark.skipif(shutil.which("cc") is None, reason="the floor is a C program")
@pytest.mark.parametrize(
    ("measurement", "amounts"),
    [
        (django.latency, ("postgres", 100, 0.1)),
        (django.drain, ("sqlite", 100)),
        (django.request, ("sqlite", 0.1)),
    ],
)
def test_each_measurement_of_django_has_figures(
    measurement: Callable[..., dict[str, Figures]], amounts: tuple[Any, ...]
) -> None:
    """Measure a site in each of its ways, beside a first line of figures."""
    rows = measurement(*amounts)
    assert len(rows) > 1
    assert all(value > 0 for figures in rows.values() for value in figures.values())
    assert all(name in django.table("what it is", rows) for name in rows)


def test_the_ratios_to_the_peers_that_need_no_packages() -> None:
    """Lay out this server's figures beside the others' as a table."""
    rows = few("deliveries", "ours,stock,floor")
    told = report.table("what it is", rows).splitlines()
    assert [line.split()[0] for line in told[2:7]] == [
        "ours",
        "stock",
        "floor",
        "ours/stock",
        "ours/floor",
    ]
    columns = len(rows["ours"])
    assert [len(line.split()) - 1 for line in told[2:7]] == [columns] * 3 + [columns - 1] * 2


def test_the_ratios_to_the_same_writes_without_a_server() -> None:
    """Lay out both logs' figures beside those of the loops that bound them."""
    rows = few("publishes", "ours,valkey,everysec,sqlite,file,stream")
    told = report.table("what it is", rows)
    for ratio in ("ours/sqlite", "ours/file", "ours/valkey", "valkey/stream"):
        assert ratio in told


def test_who_stops_reading_gets_everything_later() -> None:
    """Fail where an event is missing, or came twice, or out of order."""
    (watcher,) = watchers = [SimpleNamespace(seen=[0, 2, 1])]
    check_order(watchers, 3)
    for seen in ([0, 1], [0, 1, 1, 2], [0, 1, 3]):
        watcher.seen = seen
        with pytest.raises(ServerError):
            check_order(watchers, 3)
    with pytest.raises(ServerError):
        check_order([SimpleNamespace(seen=[0, 1, 2]), SimpleNamespace(seen=[0, 2, 1])], 3)
