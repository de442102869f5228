"""The broker's rules for one event, so that a test sees the refusals that the broker would give.

Pure: this module checks an event that was decoded from JSON, and never changes it. The sentences
are the broker's own, and a test compares them with the broker's.
"""

from collections.abc import Mapping
from typing import Any

from furniture_events._contract import EVENT_TYPES, ID_RULE, MAX_EVENT_BYTES, MAX_ID_CHARACTERS
from furniture_events._fields import FURNITURE_RULES
from furniture_events._results import Detail
from furniture_events.errors import (
    IdConflict,
    InvalidFurniture,
    InvalidMessage,
    Refused,
    TooLarge,
    UnknownType,
)

__all__ = [
    "FURNITURE_RULES",
    "check_body_size",
    "check_event",
    "check_member_size",
    "id_conflict",
    "problem_body",
    "same_json",
]

_MAX_NAMED_TYPE_CHARACTERS = 80


def check_body_size(size: int) -> None:
    """Refuse an event that is a request's whole body and has more bytes than allowed."""
    if size > MAX_EVENT_BYTES:
        raise TooLarge(f"the body has more than {MAX_EVENT_BYTES} bytes")


def check_member_size(size: int) -> None:
    """Refuse an event of a batch that has more bytes than allowed."""
    if size > MAX_EVENT_BYTES:
        raise TooLarge(f"an event has at most {MAX_EVENT_BYTES} bytes")


def check_event(event: Mapping[str, Any]) -> None:
    """Raise the ``Refused`` that the broker would answer for this event, if any."""
    event_type, id = event["type"], event["id"]
    if event_type not in EVENT_TYPES:
        name = event_type[:_MAX_NAMED_TYPE_CHARACTERS]
        raise UnknownType(f"{name!r} is not a known type; there are {', '.join(EVENT_TYPES)}")
    if not 1 <= len(id) <= MAX_ID_CHARACTERS or not id.isascii() or not id.isprintable():
        raise InvalidMessage(f"id: {ID_RULE}", details=(Detail("id", ID_RULE),))
    problems = tuple(_problems(event["furniture"]))
    if problems:
        raise InvalidFurniture(
            "; ".join(f"{field}: {message}" for field, message in problems), details=problems
        )


def _problems(furniture: Mapping[str, Any]) -> list[Detail]:
    return [
        Detail(f"furniture.{name}", rule.message)
        for name, rule in FURNITURE_RULES.items()
        if not rule.allows(furniture[name])
    ]


def id_conflict(id: str) -> IdConflict:
    """Make the error for an id that another event has used."""
    return IdConflict(f"id {id!r} was used before for another event")


def same_json(one: object, other: object) -> bool:
    """Compare as the broker does: the order of keys says nothing, 75 is 75.0, true is not 1."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case dict(), dict():
            return one.keys() == other.keys() and all(
                same_json(value, other[name]) for name, value in one.items()
            )
        case list(), list():
            return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def problem_body(error: Refused) -> dict[str, object]:
    """Write a refusal in the contract's error shape."""
    body: dict[str, object] = {"code": error.code, "message": error.message}
    if error.details:
        body["details"] = [detail._asdict() for detail in error.details]
    return body
