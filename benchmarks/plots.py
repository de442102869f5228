"""Draw the plots of a result as SVG files, with matplotlib.

Whiskers and bands reach from the lowest to the highest round; the point is the median. The same
figures give the same bytes, so that a change of a picture is a change of a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import Plot, Result, Row, number

WIDTH_INCHES = 7.5
BAR_INCHES = 0.26
CURVE_POINTS = 3
COLOURS = ("#1b6e53", "#d9822b", "#3f6fb5", "#a34b78", "#7a7a7a", "#b5a42c", "#5aa9a9", "#8a5a3c")

mpl.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
}


def draw(result: Result, files: Sequence[Path]) -> None:
    """Draw the plots of a result, each into its file."""
    for plot, path in zip(result.plots, files, strict=True):
        wanted = set(plot.columns)
        rows = [row for row in result.rows if wanted <= row.rounds[0].keys()]
        curve = len({row.at for row in rows}) >= CURVE_POINTS
        figure = _curves(result, plot, rows) if curve else _bars(result, plot, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _bars(result: Result, plot: Plot, rows: list[Row]) -> Figure:
    """One group of bars for each row, from the top down, with a bar for each column."""
    sized = len({row.at for row in rows}) > 1
    rows = sorted(rows, key=_at)
    labels = [f"{row.server}, {result.at}: {_at(row):,g}" if sized else row.server for row in rows]
    height = 1.1 + BAR_INCHES * len(rows) * (len(plot.columns) + 0.6)
    figure, axes = _figure(plot.title, height)
    width = 1 / (len(plot.columns) + 0.6)
    for index, column in enumerate(plot.columns):
        places = [at + (index - (len(plot.columns) - 1) / 2) * width for at in range(len(rows))]
        values = [row.median(column) for row in rows]
        errors = [
            [row.median(column) - row.low(column) for row in rows],
            [row.high(column) - row.median(column) for row in rows],
        ]
        bars = axes.barh(
            places, values, width * 0.9, xerr=errors, color=COLOURS[index], label=column,
            error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 2},
        )  # fmt: skip
        axes.bar_label(bars, [f" {number(value)}" for value in values], fontsize=8, padding=4)
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(plot.unit)
    axes.margins(x=0.12)
    if plot.log:
        axes.set_xscale("log")
    _legend(axes, len(plot.columns))
    return figure


def _curves(result: Result, plot: Plot, rows: list[Row]) -> Figure:
    """One curve for each server and column."""
    figure, axes = _figure(plot.title, 3.6)
    servers = list(dict.fromkeys(row.server for row in rows))
    series = [(server, column) for server in servers for column in plot.columns]
    for index, (server, column) in enumerate(series):
        points = sorted((row for row in rows if row.server == server), key=_at)
        colour, label = COLOURS[index % len(COLOURS)], server
        if len(plot.columns) > 1:
            label = f"{server}, {column}" if len(servers) > 1 else column
        places = [_at(row) for row in points]
        axes.plot(
            places, [row.median(column) for row in points], "o-", color=colour, label=label, ms=4
        )
        lows = [row.low(column) for row in points]
        highs = [row.high(column) for row in points]
        axes.fill_between(places, lows, highs, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel(result.at)
    axes.set_ylabel(plot.unit)
    if plot.log_at:
        axes.set_xscale("log")
    if plot.log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _legend(axes, len(series))
    return figure


def _figure(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _legend(axes: Axes, series: int) -> None:
    if series > 1:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _at(row: Row) -> float:
    return 0.0 if row.at is None else row.at
