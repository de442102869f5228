"""Check that exactly the committed changes were delivered, in the order of their commits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DELETED = "furniture_deleted"


class Change(NamedTuple):
    """A change of a piece, from its writer's record or from an event.

    Attributes:
        piece: the piece's ``furniture_id``.
        type: the event type.
        token: unique to this change, but a deletion has the token of the update before it.
        version: higher than the version of every earlier committed change of the piece.
    """

    piece: str
    type: str
    token: str
    version: int


def change_of(event: Mapping[str, Any]) -> Change:
    """Return the change that an event reports."""
    furniture = event["furniture"]
    return Change(
        furniture["furniture_id"],
        event["type"],
        furniture["material"],
        int(furniture["descripcion"]),
    )


class Written(NamedTuple):
    """The records of all writers: committed changes, rolled back changes, and outcomes."""

    committed: list[Change]
    rolled_back: list[Change]
    outcomes: Counter[str]


def read_written(folder: Path) -> Written:
    """Read the records that the writers left in a folder; see ``writers.py``."""
    written = Written([], [], Counter())
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            written.outcomes[record["outcome"]] += 1
            is_committed = record["outcome"] == "committed"
            changes = written.committed if is_committed else written.rolled_back
            changes += [Change(*change) for change in record["changes"]]
            written.rolled_back.extend(Change(*change) for change in record["undone"])
    return written


def check(written: Written, delivered: Sequence[Change]) -> list[str]:
    """Return every difference between the delivered and the committed changes, in words."""
    committed, rolled_back = set(written.committed), set(written.rolled_back)
    counts = Counter(delivered)
    return [
        *(f"lost: {change}" for change in written.committed if change not in counts),
        *(f"delivered {count} times: {change}" for change, count in counts.items() if count > 1),
        *(f"rolled back: {change}" for change in counts if change in rolled_back),
        *(f"never written: {change}" for change in counts if change not in committed | rolled_back),
        *(f"out of order: {one} before {other}" for one, other in _swapped(delivered)),
    ]


def _swapped(delivered: Iterable[Change]) -> Iterable[tuple[Change, Change]]:
    """Yield pairs of a piece's successive changes that are in the wrong order."""
    last: dict[str, Change] = {}
    for change in delivered:
        before = last.get(change.piece, change)
        if _order(before) > _order(change):
            yield before, change
        last[change.piece] = change


def _order(change: Change) -> tuple[int, bool]:
    return change.version, change.type == DELETED
