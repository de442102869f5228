"""The benchmarks still run; never how fast."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import report
from benchmarks.__main__ import measure, options
from benchmarks.measurements import MEASUREMENTS, Figures

LITTLE = "--clients=20 --polling-clients=5 --deliveries=100 --rounds=1 --ping-interval=0.3"


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
        assert value > 0 or ("KiB" in column and value >= 0), column


@pytest.mark.skipif(shutil.which("cc") is None, reason="the floor is a C program")
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
