"""The live cursors by room: who gets an event, and in which form. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sio_server.contract.events import Record
from sio_server.delivery.cursor import Cursor, Outlet, Write
from sio_server.delivery.recent import Entry

Addressed = tuple[Any, Mapping[Cursor, Write]]
"""What to write, and its recipients, each with the method that writes it."""


class _Room:
    """The live members of a room, for one class of outlets.

    Attributes:
        members: the live cursors, each with the ``write`` of its outlet.
        last_seq: the ``seq`` of the last event that was written to them.
    """

    __slots__ = ("last_seq", "members")

    def __init__(self) -> None:
        self.members: dict[Cursor, Write] = {}
        self.last_seq = 0


_Rooms = dict[str, _Room]


class LiveRooms:
    """The rooms of all live cursors."""

    def __init__(self) -> None:
        # By class of outlets, because all outlets of a class write the same frame, and by room,
        # with each outlet's ``write``: a lookup for each recipient costs time.
        self._rooms: defaultdict[type[Outlet], _Rooms] = defaultdict(dict)
        # Likewise, those of the cursors that may not see every event.
        self._bounded: defaultdict[type[Outlet], _Rooms] = defaultdict(dict)

    def add(self, cursor: Cursor, names: Iterable[str]) -> None:
        """Add a cursor to rooms."""
        rooms = self._table(cursor)
        for name in names:
            if name not in rooms:
                rooms[name] = _Room()
            rooms[name].members[cursor] = cursor.outlet.write

    def remove(self, cursor: Cursor, names: Iterable[str]) -> None:
        """Remove a cursor from rooms that it is in."""
        rooms = self._table(cursor)
        for name in names:
            members = rooms[name].members
            del members[cursor]
            if not members:
                del rooms[name]

    def address(self, entry: Entry) -> Iterator[Addressed]:
        """Yield the frames of an event, each with its recipients. No recipient comes twice."""
        for encoder, rooms in self._rooms.items():
            if recipients := _recipients(rooms, entry.record):
                yield entry.frame(encoder), recipients
        for encoder, rooms in self._bounded.items():
            by_view: defaultdict[Entry | None, dict[Cursor, Write]] = defaultdict(dict)
            for cursor, write in _recipients(rooms, entry.record).items():
                by_view[entry.view(cursor.sees)][cursor] = write
            for view, recipients in by_view.items():
                if view is not None:
                    yield view.frame(encoder), recipients

    def members(self) -> set[Cursor]:
        """Return the cursors that are in a room."""
        return {member for _, room in self._all() for member in room.members}

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the rooms with the number of their members.

        A room comes once for each class of outlets that it has. Rooms that change meanwhile may
        have their earlier number.
        """
        for name, room in self._all():
            yield name, len(room.members)

    def last_written(self, cursor: Cursor) -> int:
        """Return the ``seq`` of the last event that was written to a live cursor."""
        rooms = self._table(cursor)
        last_seq = cursor.last_written
        live_since = cursor.position.seq
        for name, since in cursor.rooms.items():
            # Earlier events of the room went to its other members only.
            if rooms[name].last_seq > max(since, live_since):
                last_seq = max(last_seq, rooms[name].last_seq)
        return last_seq

    def _table(self, cursor: Cursor) -> _Rooms:
        return (self._rooms if cursor.sees is None else self._bounded)[type(cursor.outlet)]

    def _all(self) -> Iterator[tuple[str, _Room]]:
        for tables in (self._rooms, self._bounded):
            for rooms in list(tables.values()):
                yield from list(rooms.items())


def _recipients(rooms: _Rooms, record: Record) -> dict[Cursor, Write]:
    """Return the members of a record's rooms, each once."""
    receiving = [rooms[name] for name in record.rooms if name in rooms]
    for room in receiving:
        room.last_seq = record.offset.seq
    if len(receiving) == 1:
        return receiving[0].members
    recipients: dict[Cursor, Write] = {}
    for room in receiving:
        recipients.update(room.members)
    return recipients


def together(addressed: Iterable[Iterable[Addressed]]) -> Iterator[Addressed]:
    """Yield all frames of each cursor in one list, for its outlet's ``write_all``.

    Args:
        addressed: the frames of several events, each with its recipients.
    """
    by_cursor: defaultdict[Cursor, list[Any]] = defaultdict(list)
    for frames in addressed:
        for frame, recipients in frames:
            for cursor in recipients:
                by_cursor[cursor].append(frame)
    for cursor, written in by_cursor.items():
        yield written, {cursor: cursor.outlet.write_all}
