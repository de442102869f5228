"""The order of the log, as the reference: places, rooms, and bounds for the time of each append."""

from __future__ import annotations

import json
from bisect import bisect_right
from itertools import accumulate
from math import inf
from typing import Any

from tests.chaos.history import Acknowledged, Attempt, Log, LogEvent


def same(one: Any, other: Any) -> bool:
    """Return whether two decoded JSON values are the same JSON, in any order of keys."""
    return canonical(one) == canonical(other)


def canonical(value: Any) -> str:
    """Return a JSON value as text that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True)


def rooms_of(events: list[LogEvent]) -> list[frozenset[str]]:
    """Return each event's rooms: its own rooms, and those of the piece's last known state."""
    known: dict[str, tuple[str, str]] = {}
    found = []
    for event in events:
        piece = event.furniture
        name = piece["furniture_id"]
        state = (f"material:{piece['material']}", f"author:{piece['autor_username']}")
        own = ("catalog", f"furniture:{name}", f"type:{event.type}", *state)
        found.append(frozenset((*own, *known.get(name, ()))))
        if event.type == "furniture_deleted":
            known.pop(name, None)
        else:
            known[name] = state
    return found


class Order:
    """Places in the log: its start is 0, its events are 1, 2, 3, ….

    Args:
        log: the whole log.
        attempts: all publishes, which bound the time of each append.
    """

    def __init__(self, log: Log, attempts: list[Attempt]) -> None:
        self.log = log
        self.end = len(log.events)
        self.rooms = [frozenset[str](), *rooms_of(log.events)]
        self._places = {event.offset: place for place, event in enumerate(log.events, 1)}
        began: dict[str, float] = {}
        ended: dict[str, float] = {}
        for attempt in attempts:
            began[attempt.id] = min(attempt.began, began.get(attempt.id, inf))
            if isinstance(attempt.outcome, Acknowledged):
                ended[attempt.id] = min(attempt.ended, ended.get(attempt.id, inf))
        ids = [event.id for event in log.events]
        # An event was appended after all earlier events of the log were sent, and before all later
        # ones were acknowledged.
        self._sent_after = list(accumulate((began.get(id, -inf) for id in ids), max))
        self._acknowledged_before = list(
            accumulate((ended.get(id, inf) for id in reversed(ids)), min)
        )[::-1]

    def place(self, offset: str) -> int | None:
        """Return an offset's place, or None if this log never issued it."""
        return 0 if offset == self.log.start else self._places.get(offset)

    def event(self, place: int) -> LogEvent:
        """Return the event at a place."""
        return self.log.events[place - 1]

    def at_least(self, time: float) -> int:
        """Return the last place that was certainly appended at that time."""
        return bisect_right(self._acknowledged_before, time)

    def at_most(self, time: float) -> int:
        """Return the last place that was possibly appended at that time."""
        return bisect_right(self._sent_after, time)
