"""The broker's rules for one event, so that a test meets the refusals that the broker would give.

Pure: this module judges an event that came out of JSON and never changes it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from furniture_events._results import Detail
from furniture_events.errors import (
    InvalidFurniture,
    InvalidMessage,
    Refused,
    TooLarge,
    UnknownType,
)

__all__ = ["EVENT_TYPES", "check_event", "same_json"]

EVENT_TYPES: Final = ("furniture_created", "furniture_updated", "furniture_deleted")

_MAX_EVENT_BYTES = 65_536
_MAX_ID = 128


def _text(shortest: int, longest: int) -> Callable[[object], str | None]:
    def fault(value: object) -> str | None:
        if isinstance(value, str) and shortest <= len(value) <= longest:
            return None
        return f"must be a string of {shortest} to {longest} characters"

    return fault


def _measure(value: object) -> str | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return None if sound else "must be a number ≥ 0"


_FIELDS: Final[Mapping[str, Callable[[object], str | None]]] = {
    "furniture_id": _text(1, 128),
    "nombre": _text(1, 255),
    "descripcion": _text(0, 10_000),
    "altura": _measure,
    "ancho": _measure,
    "material": _text(1, 255),
    "autor_username": _text(1, 255),
}


def check_event(event: Mapping[str, Any], size: int) -> None:
    """Raise the `Refused` that the broker would answer for an event of `size` bytes, if any."""
    if size > _MAX_EVENT_BYTES:
        raise TooLarge(f"the event is over {_MAX_EVENT_BYTES} bytes")
    id = event["id"]
    if not 1 <= len(id) <= _MAX_ID or not id.isascii() or not id.isprintable():
        raise InvalidMessage(
            "id: must be 1 to 128 printable ASCII characters",
            details=(Detail("id", "must be 1 to 128 printable ASCII characters"),),
        )
    if event["type"] not in EVENT_TYPES:
        raise UnknownType(f"type: must be one of {', '.join(EVENT_TYPES)}")
    problems = tuple(_problems(event["furniture"]))
    if problems:
        raise InvalidFurniture(
            "; ".join(f"{field}: {message}" for field, message in problems), details=problems
        )


def _problems(furniture: Mapping[str, Any]) -> list[Detail]:
    return [
        Detail(f"furniture.{name}", message)
        for name, fault in _FIELDS.items()
        if (message := fault(furniture[name])) is not None
    ]


def same_json(one: object, other: object) -> bool:
    """Compare as JSON values: key order is nothing, 75 equals 75.0, and true is not 1."""
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
