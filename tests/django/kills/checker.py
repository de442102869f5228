"""Whether what was delivered is what was committed, no more, no less, and in the same order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DELETED = "furniture_deleted"


class Change(NamedTuple):
    """What was done to a piece, as its writer wrote it down, or as an event tells it.

    Attributes:
        type: the event's.
        token: of this change alone, though the event of a deletion has that of the update before.
        version: of two changes of a piece that are committed, the later one has the higher.
    """

    piece: str
    type: str
    token: str
    version: int


def change_of(event: Mapping[str, Any]) -> Change:
    """Return the change that an event tells."""
    furniture = event["furniture"]
    return Change(
        furniture["furniture_id"],
        event["type"],
        furniture["material"],
        int(furniture["descripcion"]),
    )


class Written(NamedTuple):
    """What all writers wrote down: changes that are committed, and those that are not."""

    committed: list[Change]
    rolled_back: list[Change]
    outcomes: Counter[str]


def read_written(folder: Path) -> Written:
    """Read what the writers left in a folder; see `tests.django.kills.writers`."""
    written = Written([], [], Counter())
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            told = json.loads(line)
            written.outcomes[told["outcome"]] += 1
            kept = told["outcome"] == "committed"
            changes = written.committed if kept else written.rolled_back
            changes += [Change(*change) for change in told["changes"]]
            written.rolled_back.extend(Change(*change) for change in told["undone"])
    return written


def check(written: Written, delivered: Sequence[Change]) -> list[str]:
    """Return each way in which the delivered changes are not the committed ones, in words."""
    committed, rolled_back = set(written.committed), set(written.rolled_back)
    counts = Counter(delivered)
    return [
        *(f"lost: {change}" for change in written.committed if change not in counts),
        *(f"delivered {count} times: {it}" for it, count in counts.items() if count > 1),
        *(f"rolled back: {change}" for change in counts if change in rolled_back),
        *(f"never written: {it}" for it in counts if it not in committed | rolled_back),
        *(f"out of order: {one} before {other}" for one, other in _swapped(delivered)),
    ]


def _swapped(delivered: Iterable[Change]) -> Iterable[tuple[Change, Change]]:
    """Yield neighbours of a piece's changes that are the wrong way round."""
    last: dict[str, Change] = {}
    for change in delivered:
        before = last.get(change.piece, change)
        if _place(before) > _place(change):
            yield before, change
        last[change.piece] = change


def _place(change: Change) -> tuple[int, bool]:
    return change.version, change.type == DELETED
