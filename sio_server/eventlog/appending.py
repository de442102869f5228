"""Plan an append, by the same rules for every log: dedupe, order, rooms, states.

Pure: a plan only looks things up and changes nothing. The log then stores the plan completely or
not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from sio_server.contract import strictjson
from sio_server.contract.errors import IdConflict
from sio_server.contract.events import (
    OWN_ROOMS,
    Event,
    Offset,
    Receipt,
    Record,
    format_timestamp,
)
from sio_server.contract.rooms import event_rooms, state_rooms
from sio_server.eventlog.contract import AppendResult


class PieceState(NamedTuple):
    """The last known state of a piece.

    Attributes:
        rooms: its ``state_rooms``.
        furniture: the piece as JSON; None: an earlier version of the server stored only the rooms.
    """

    rooms: tuple[str, ...]
    furniture: str | None


class NewState(NamedTuple):
    """The state of a piece after an append.

    Attributes:
        seq: the piece's last event.
        state: its state; None: the piece was deleted.
    """

    seq: int
    state: PieceState | None


class AppendPlan:
    """The new records and states of one append.

    Args:
        position: the log's end.
        milliseconds: the timestamp of the new records, since the Unix epoch.
        find: returns the log's record with an id, or None.
        last_state: returns a piece's last known state by its ``furniture_id``, or None.

    Attributes:
        milliseconds: the timestamp of the new records.
        records: the new records by their ids, in order.
        states: the new last states of the pieces by their ``furniture_id``, in the order of their
            last events.
    """

    def __init__(
        self,
        position: Offset,
        milliseconds: int,
        *,
        find: Callable[[str], Record | None],
        last_state: Callable[[str], PieceState | None],
    ) -> None:
        self.milliseconds = milliseconds
        self.records: dict[str, Record] = {}
        self.states: dict[str, NewState] = {}
        self._position = position
        self._timestamp = format_timestamp(milliseconds)
        self._find = find
        self._last_state = last_state

    def add(self, event: Event) -> AppendResult:
        """Add an event to the plan and return its result."""
        earlier = self.records.get(event.id) or self._find(event.id)
        if earlier is not None:
            return _result_of_known_id(event, earlier)
        piece = event.furniture["furniture_id"]
        earlier_state = self.states.pop(piece, None)
        former = self._last_state(piece) if earlier_state is None else earlier_state.state
        offset = Offset(self._position.epoch, self._position.seq + len(self.records) + 1)
        rooms = event_rooms(event.type, event.furniture, former.rooms if former else ())
        left_rooms = len(rooms) > OWN_ROOMS
        self.records[event.id] = Record(
            offset,
            event.type,
            rooms,
            event.body(self._timestamp),
            former.furniture if former and left_rooms else None,
        )
        state = None if event.deletes_piece else state_of(event)
        self.states[piece] = NewState(offset.seq, state)
        return Receipt(event.id, offset, self._timestamp)


def state_of(event: Event) -> PieceState:
    """Return the state in which an event leaves its piece, unless it deletes the piece."""
    furniture = event.furniture
    rooms = state_rooms(furniture["material"], furniture["autor_username"])
    return PieceState(rooms, event.furniture_json)


def _result_of_known_id(event: Event, earlier: Record) -> AppendResult:
    first = json.loads(earlier.body)
    if first["type"] == event.type and strictjson.equal(first["furniture"], event.furniture):
        return Receipt(event.id, earlier.offset, first["timestamp"], duplicate=True)
    return IdConflict(f"id {event.id!r} was used before for another event")
