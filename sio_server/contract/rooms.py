"""The grammar of room names and of patterns, and the rooms that receive an event. Pure."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sio_server.contract.errors import UnknownRoom
from sio_server.contract.events import (
    EVENT_TYPES,
    FURNITURE_FIELDS,
    OWN_ROOMS,
    Record,
    TextRule,
)

CATALOG = "catalog"
FIELDS_OF_ROOMS: Final = {
    "furniture": "furniture_id",
    "material": "material",
    "author": "autor_username",
}
"""The kinds of rooms that are named after a field of the furniture."""


def parse_room(name: Any) -> str:
    """Return the name if it is the name of a room.

    Raises:
        UnknownRoom: the name is neither ``catalog`` nor ``kind:value``, with a known kind and a
            value that its field may have.
    """
    if isinstance(name, str) and (name == CATALOG or _is_kind_and_value(name)):
        return sys.intern(name)  # the members of a room share its name
    shown = repr(name)[:80]
    raise UnknownRoom(
        f"{shown} is not a room; rooms are catalog, furniture:<id>, material:<material>, "
        f"author:<username> and type:<event type>"
    )


def _is_kind_and_value(name: str) -> bool:
    kind, _, value = name.partition(":")
    if kind == "type":
        return value in EVENT_TYPES
    rule = FURNITURE_FIELDS.get(FIELDS_OF_ROOMS.get(kind, ""))
    return isinstance(rule, TextRule) and rule.min_length <= len(value) <= rule.max_length


def parse_rooms(names: Any) -> frozenset[str]:
    """Return the rooms that a client named: one name, or a list of names.

    Raises:
        UnknownRoom: at least one name is not the name of a room.
    """
    return frozenset(map(parse_room, names if isinstance(names, list) else [names]))


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """The rooms that a client may be in.

    Attributes:
        everything: whether these are all rooms. Then the other two are empty.
        rooms: single rooms.
        kinds: kinds of which it may be in every room, such as ``material``.
    """

    everything: bool = True
    rooms: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, patterns: Collection[Any]) -> RoomFilter:
        """Return the filter of patterns: each is the name of a room, ``kind:*``, or ``*``.

        Raises:
            UnknownRoom: a pattern has another form.
        """
        if "*" in patterns:
            others = [pattern for pattern in patterns if pattern != "*"]
            cls.parse(others)
            return cls()
        kinds = {f"{kind}:*": kind for kind in (*FIELDS_OF_ROOMS, "type")}
        found = frozenset(kinds[it] for it in patterns if isinstance(it, str) and it in kinds)
        rooms = frozenset(
            parse_room(it) for it in patterns if not (isinstance(it, str) and it in kinds)
        )
        return cls(False, rooms, found)

    def allows(self, room: str) -> bool:
        """Tell whether a client may be in a room."""
        return self.everything or room in self.rooms or room.partition(":")[0] in self.kinds

    def view(self, record: Record) -> Record | None:
        """Return an event as the client may see it.

        That is the event itself, if the client may be in one of its own rooms; the deletion of the
        piece, if the client may be in a room of its former state only; otherwise nothing.
        """
        if self.everything or any(map(self.allows, record.own_rooms)):
            return record
        return record.departure if any(map(self.allows, record.former_rooms)) else None

    def allows_all(self, rooms: Iterable[str]) -> bool:
        """Tell whether a client may be in each of the rooms."""
        return self.everything or all(map(self.allows, rooms))

    @property
    def patterns(self) -> list[str]:
        """The patterns of its kinds."""
        return [f"{kind}:*" for kind in self.kinds]

    @property
    def hides_nothing(self) -> bool:
        """Whether the client may see every event: each one is in ``catalog``."""
        return self.allows(CATALOG)

    @property
    def default_rooms(self) -> frozenset[str]:
        """The rooms of a client that names none: ``catalog``, or its single rooms."""
        return frozenset((CATALOG,)) if self.hides_nothing else self.rooms


ALL_ROOMS = RoomFilter()
NO_ROOMS = RoomFilter(everything=False)


def state_rooms(material: str, author: str) -> tuple[str, str]:
    """Return the rooms that depend on a piece's state. An update may change them."""
    return f"material:{material}", f"author:{author}"


def event_rooms(
    event_type: str, furniture: dict[str, Any], last_state: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the rooms that receive an event, each once.

    Args:
        event_type: one of ``EVENT_TYPES``.
        furniture: a valid piece.
        last_state: the ``state_rooms`` of the piece before this event. They receive it too, so that
            a page that shows ``material:roble`` learns that the table is no longer of oak.
    """
    now = state_rooms(furniture["material"], furniture["autor_username"])
    rooms = (CATALOG, f"furniture:{furniture['furniture_id']}", f"type:{event_type}", *now)
    assert len(rooms) == OWN_ROOMS
    return tuple(dict.fromkeys((*rooms, *last_state)))
