"""The figures of a siege as a table, in Markdown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.siege.figures import MIB, Row

COLUMNS = (
    "attack",
    "connections (in all)",
    "sent MB",
    "acks",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "memory MiB: before, end, rest",
    "MiB each at the peak",
    "disk MB",
    "log KB",
    "answers",
    "5xx",
    "tracebacks",
    "healthy clients",
    "missed targets",
)


def table(rows: Iterable[tuple[Row, Iterable[str]]]) -> str:
    """Return the table.

    Args:
        rows: the figures of each phase, with the names of the targets that it has missed.
    """
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cells(row, missed)) + " |" for row, missed in rows]
    return "\n".join(lines)


def _cells(row: Row, missed: Iterable[str]) -> list[str]:
    waits = row.waits
    return [
        row.attack,
        f"{row.connections} ({row.opened})" if row.connections else "",
        f"{row.sent / 1e6:,.1f}" if row.connections else "",
        f"{row.share:.0%}",
        f"{waits.p50 * 1e3:.1f}",
        f"{waits.p99 * 1e3:.1f}",
        f"{waits.longest * 1e3:,.0f}",
        f"{row.start / MIB:.0f}, {row.end / MIB:.0f}, {row.rest / MIB:.0f}",
        f"{row.of_one / MIB:.2f}" if row.connections else "",
        f"{row.disk / 1e6:+,.1f}",
        f"{row.printed / 1e3:,.0f}",
        _counts(row.answers),
        _counts(row.statuses),
        str(len(row.tracebacks) or ""),
        _healthy(row),
        ", ".join(missed),
    ]


def _healthy(row: Row) -> str:
    """Return what happened to the healthy clients."""
    got = row.deliveries
    counted = {
        "missing": got.missing,
        "twice": got.doubled,
        "behind": got.behind,
        "gaps": got.gaps,
        "cuts": got.cuts,
        "refused": got.refusals,
        "publisher cuts": row.publisher_cuts,
        **row.errors,
    }
    is_good = not (got.missing or got.doubled or got.behind or got.gaps)
    return ", ".join(filter(None, ["all events once" * is_good, _counts(Counter(counted))]))


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.items() if count)
