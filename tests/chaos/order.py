"""The log's order as the measure: places, rooms, and what is known of when each event came."""

from __future__ import annotations

import json
from bisect import bisect_right
from itertools import accumulate
from math import inf
from typing import Any

from tests.chaos.history import Acknowledged, Attempt, Log, LogEvent


def same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are the same JSON, whatever the order of keys."""
    return canonical(one) == canonical(other)


def canonical(value: Any) -> str:
    """Return one text for a JSON value."""
    return json.dumps(value, sort_keys=True)


def rooms_of(events: list[LogEvent]) -> list[frozenset[str]]:
    """Return each event's rooms: its own, and those of the piece's last known state."""
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
    """Places in the log: its events are 1, 2, 3, …, its start is 0."""

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
        # An event after one that was sent at some time was appended after that time too; one
        # before an acknowledged one was appended before.
        self._sent = list(accumulate((began.get(id, -inf) for id in ids), max))
        self._told = list(accumulate((ended.get(id, inf) for id in reversed(ids)), min))[::-1]

    def place(self, offset: str) -> int | None:
        """Return an offset's place; None: it is none of this log's."""
        return 0 if offset == self.log.start else self._places.get(offset)

    def event(self, place: int) -> LogEvent:
        """Return the event at a place."""
        return self.log.events[place - 1]

    def at_least(self, time: float) -> int:
        """Return the last place that was surely appended by then."""
        return bisect_right(self._told, time)

    def at_most(self, time: float) -> int:
        """Return the last place that may have been appended by then."""
        return bisect_right(self._sent, time)
