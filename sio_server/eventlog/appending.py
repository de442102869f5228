"""Work out what an append does to a log, the same for every log: dedupe, order, rooms, states.

Pure: a step only looks things up. The log then makes the whole step its own, or nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from sio_server.contract import strictjson
from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event, Offset, Receipt, Record, format_timestamp
from sio_server.contract.rooms import event_rooms, state_rooms
from sio_server.eventlog.contract import AppendResult


class AppendPlan:
    """Events on their way into a log.

    Args:
        position: the log's end.
        milliseconds: the new records' timestamp, since the Unix epoch.
        find: returns the record that an id has in the log.
        last_state: returns a piece's last known rooms by its ``furniture_id``; none where it
            isn't known.

    Attributes:
        milliseconds: the new records' timestamp.
        records: the new records by their ids, in order.
        states: the pieces' new last states by their ``furniture_id``; None: deleted.
    """

    def __init__(
        self,
        position: Offset,
        milliseconds: int,
        *,
        find: Callable[[str], Record | None],
        last_state: Callable[[str], Iterable[str]],
    ) -> None:
        self.milliseconds = milliseconds
        self.records: dict[str, Record] = {}
        self.states: dict[str, tuple[str, ...] | None] = {}
        self._position = position
        self._timestamp = format_timestamp(milliseconds)
        self._find = find
        self._last_state = last_state

    def add(self, event: Event) -> AppendResult:
        """Take an event into the step and return its answer."""
        earlier = self.records.get(event.id) or self._find(event.id)
        if earlier is not None:
            return _answer_again(event, earlier)
        piece = event.furniture["furniture_id"]
        last_state = self.states[piece] if piece in self.states else self._last_state(piece)
        offset = Offset(self._position.epoch, self._position.seq + len(self.records) + 1)
        self.records[event.id] = Record(
            offset,
            event.type,
            event_rooms(event.type, event.furniture, last_state or ()),
            event.body(self._timestamp),
        )
        deleted = event.type == "furniture_deleted"
        self.states[piece] = (
            None
            if deleted
            else state_rooms(event.furniture["material"], event.furniture["autor_username"])
        )
        return Receipt(event.id, offset, self._timestamp)


def _answer_again(event: Event, earlier: Record) -> AppendResult:
    first = json.loads(earlier.body)
    if first["type"] == event.type and strictjson.equal(first["furniture"], event.furniture):
        return Receipt(event.id, earlier.offset, first["timestamp"], duplicate=True)
    return IdConflict(f"id {event.id!r} was used before for another event")
