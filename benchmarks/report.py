"""Tables: the figures of every server, then the ratios of this server's figures to the others'."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.figures import LOAD, Figures

OURS = "ours"
FLOOR_OF = {"valkey": "stream"}
"""More pairs to compare: another server of ours, and the floor of its storage."""

BUSY_PERCENT = 90
"""Above this percentage of its core, the load may be the limit instead of the server."""


def median(rounds: Sequence[Figures]) -> Figures:
    """Return each figure's median over the rounds."""
    return {
        column: statistics.median(figures[column] for figures in rounds) for column in rounds[0]
    }


def table(title: str, rows: Mapping[str, Figures]) -> str:
    """Return the servers' figures, their ratios, and a warning if the load was the limit."""
    columns = list(next(iter(rows.values())))
    widths = [max(12, len(column) + 2) for column in columns]
    lines = [title, _line("", columns, widths)]
    pairs = [(OURS, name) for name in rows if OURS in rows and name != OURS]
    pairs += [(name, floor) for name, floor in FLOOR_OF.items() if {name, floor} <= rows.keys()]
    for name, figures in rows.items():
        lines.append(_line(name, [_number(figures[column]) for column in columns], widths))
    for name, other in pairs:
        ratios = [
            ""
            if column == LOAD or not rows[other][column]
            else f"{rows[name][column] / rows[other][column]:.2f}"
            for column in columns
        ]
        lines.append(_line(f"{name}/{other}", ratios, widths))
    busy = [name for name, figures in rows.items() if figures[LOAD] > BUSY_PERCENT]
    if busy:
        lines.append(f"The load's core was saturated with: {', '.join(busy)}. Their rates and ")
        lines[-1] += "latencies are limited by the load; the CPU time is the server's own."
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"{name:14}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"
