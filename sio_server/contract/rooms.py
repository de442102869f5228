"""The grammar of room names, and the rooms that receive an event. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sio_server.contract.errors import UnknownRoom
from sio_server.contract.events import EVENT_TYPES, FURNITURE_FIELDS, TextRule

CATALOG = "catalog"
_FIELDS: Final = {"furniture": "furniture_id", "material": "material", "author": "autor_username"}
"""The kinds of rooms that are named after a field of the furniture."""


def parse_room(name: Any) -> str:
    """Return the name if it is the name of a room.

    Raises:
        UnknownRoom: the name is neither ``catalog`` nor ``kind:value``, with a known kind and a
            value that its field may have.
    """
    if isinstance(name, str) and (name == CATALOG or _is_kind_and_value(name)):
        return name
    shown = repr(name)[:80]
    raise UnknownRoom(
        f"{shown} is not a room; rooms are catalog, furniture:<id>, material:<material>, "
        f"author:<username> and type:<event type>"
    )


def _is_kind_and_value(name: str) -> bool:
    kind, _, value = name.partition(":")
    if kind == "type":
        return value in EVENT_TYPES
    rule = FURNITURE_FIELDS.get(_FIELDS.get(kind, ""))
    return isinstance(rule, TextRule) and rule.min_length <= len(value) <= rule.max_length


def parse_rooms(names: Any) -> frozenset[str]:
    """Return the rooms that a client named: one name, or a list of names.

    Raises:
        UnknownRoom: at least one name is not the name of a room.
    """
    return frozenset(map(parse_room, names if isinstance(names, list) else [names]))


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
    return tuple(dict.fromkeys((*rooms, *last_state)))
