"""Turn an event from the user's objects into JSON text.

Pure: this module never sends. The broker checks the contract's lengths and ranges. This module
refuses only missing fields and values that JSON cannot hold, and names all of them at once. Dates,
times and durations become text in the form of ISO 8601.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Self
from uuid import UUID

from furniture_events._contract import (
    FURNITURE_FIELDS,
    ID_RULE,
    MAX_INTEGER_DIGITS,
    MAX_JSON_DEPTH,
    REQUIRED,
)
from furniture_events._results import Detail
from furniture_events.errors import InvalidFurniture, InvalidMessage

__all__ = ["EncodedEvent", "encode_event", "encode_plain", "event_id", "plain_furniture"]

_FURNITURE_DEPTH = 2  # the event itself is depth 1
_INTEGER_BOUND = 10**MAX_INTEGER_DIGITS
_MAX_NAMED_PROBLEMS = 20
_MAX_NAME_CHARACTERS = 100
_MISSING = object()
_ID_KEY = ',"id":'


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """An event as JSON text, which is sent as it is.

    Attributes:
        id: the event's id, which the broker repeats in its answer.
        body: the whole event in UTF-8.
    """

    id: str
    body: bytes

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Return the event of a text that ``encode_event`` has made. None for another text.

        ``encode_event`` writes the id last, so that the id is read without decoding the furniture.
        In valid JSON ``,"id":`` is always a key: inside a string the quotes would be escaped.
        """
        before, _, after = text.rpartition(_ID_KEY)
        try:
            id = json.loads(after.removesuffix("}")) if before else None
        except ValueError:  # the id is not the last member of the event
            return None
        return cls(id, text.encode()) if isinstance(id, str) else None


def encode_event(event: object, new_id: Callable[[], str]) -> EncodedEvent:
    """Encode a mapping ``{"type", "furniture", "id"?}``; leave out all other keys.

    Args:
        event: the mapping.
        new_id: makes the id if the event has none, or None.

    Raises:
        InvalidMessage: the event is not such a mapping.
        InvalidFurniture: a field is missing, or JSON cannot hold a value.
    """
    if not isinstance(event, Mapping):
        raise InvalidMessage(f"an event must be a mapping, not a {type(event).__name__}")
    event_type = event.get("type")
    if not isinstance(event_type, str):
        raise _invalid_message("type", "must be a string and is required")
    id = event_id(event.get("id"), new_id)
    return encode_plain(event_type, plain_furniture(event.get("furniture", _MISSING)), id)


# json.dumps would make an encoder for each event.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode_plain(event_type: str, furniture: Mapping[str, object], id: str) -> EncodedEvent:
    """Encode an event whose furniture ``plain_furniture`` has returned.

    Raises:
        InvalidMessage: the type or the id holds a lone surrogate, which UTF-8 cannot encode.
    """
    document = {"type": event_type, "furniture": furniture, "id": id}
    try:
        return EncodedEvent(id, _ENCODER.encode(document).encode())
    except UnicodeEncodeError:
        raise InvalidMessage("type and id must not hold lone surrogates") from None


def plain_furniture(furniture: object, lazy: tuple[type, ...] = ()) -> dict[str, object]:
    """Return furniture as plain JSON values, without subclasses of ``str`` or ``int``.

    Args:
        furniture: a mapping, a dataclass instance, or an object with the seven attributes.
        lazy: types of values that become text only now, such as a framework's translations.

    Raises:
        InvalidFurniture: a field is missing, or JSON cannot hold a value.
    """
    if furniture is _MISSING:
        raise InvalidFurniture(f"furniture: {REQUIRED}", details=(Detail("furniture", REQUIRED),))
    values = _furniture_values(furniture)
    problems = [
        Detail(f"furniture.{name}", REQUIRED) for name in FURNITURE_FIELDS if name not in values
    ]
    plain = _PlainValues(problems, lazy).mapping(values, "furniture", _FURNITURE_DEPTH)
    if problems:
        raise InvalidFurniture(
            "; ".join(f"{field}: {message}" for field, message in problems[:_MAX_NAMED_PROBLEMS]),
            details=tuple(problems),
        )
    return plain


def event_id(id: object, new_id: Callable[[], str]) -> str:
    """Return the id as text; make one if it is None.

    Raises:
        InvalidMessage: it is neither text nor a UUID.
    """
    if id is None:
        return new_id()
    if isinstance(id, UUID):
        return str(id)
    if isinstance(id, str):
        return id
    raise _invalid_message("id", ID_RULE)


def _invalid_message(field: str, message: str) -> InvalidMessage:
    return InvalidMessage(f"{field}: {message}", details=(Detail(field, message),))


def _furniture_values(furniture: object) -> Mapping[object, object]:
    """Read all of a mapping, a dataclass's fields, or the seven attributes of another object."""
    if isinstance(furniture, Mapping):
        return furniture
    values: dict[object, object] = {}
    if _is_dataclass_instance(furniture):
        values = _dataclass_values(furniture)
    for name in FURNITURE_FIELDS:
        value = getattr(furniture, name, _MISSING)
        if value is not _MISSING:
            values[name] = value
    return values


def _is_dataclass_instance(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _dataclass_values(value: object) -> dict[object, object]:
    return {item.name: getattr(value, item.name) for item in fields(value)}  # type: ignore[arg-type]


class _PlainValues:
    """Makes plain JSON values. Adds each value that cannot become one to ``problems``."""

    def __init__(self, problems: list[Detail], lazy: tuple[type, ...]) -> None:
        self._problems = problems
        self._lazy = lazy

    def value(self, value: object, path: str, depth: int) -> object:  # noqa: PLR0911 - a table
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, path)
            case int():
                return self._integer(value, path)
            case float():
                return self._float(value, path)
            case Decimal():
                return self._decimal(value, path)
            case Mapping():
                return self.mapping(value, path, depth)
            case list() | tuple():
                return self._list(value, path, depth)
            case Enum():
                return self.value(value.value, path, depth)
            case _ if _is_dataclass_instance(value):
                return self.mapping(_dataclass_values(value), path, depth)
        return self._as_text(value, path)

    def mapping(self, values: Mapping[object, object], path: str, depth: int) -> dict[str, object]:
        plain: dict[str, object] = {}
        if self._too_deep(path, depth):
            return plain
        for name, value in values.items():
            if isinstance(name, str):
                key = str.__str__(name)
            elif name is None or isinstance(name, int | float):
                key = json.dumps(self.value(name, path, depth))  # as ``json`` writes such a key
            else:
                self._problem(path, f"a {type(name).__name__} is no JSON key")
                continue
            field = f"{path}.{key[:_MAX_NAME_CHARACTERS]}".encode(errors="replace").decode()
            self._text(key, field)
            plain[key] = self.value(value, field, depth + 1)
        return plain

    def _list(self, values: list[object] | tuple[object, ...], path: str, depth: int) -> object:
        if self._too_deep(path, depth):
            return None
        return [
            self.value(value, f"{path}[{index}]", depth + 1) for index, value in enumerate(values)
        ]

    def _as_text(self, value: object, path: str) -> object:
        match value:
            case UUID():
                return str(value)
            case dt.date() | dt.time():
                return value.isoformat()
            case dt.timedelta():
                return _duration(value)
            case _ if isinstance(value, self._lazy):
                return self._text(str(value), path)
        return self._problem(path, f"a {type(value).__name__} is no JSON value")

    def _text(self, value: str, path: str) -> object:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._problem(path, "holds a lone surrogate")
        return str.__str__(value)  # an enum's own str() may be its name

    def _integer(self, value: int, path: str) -> object:
        if abs(value) >= _INTEGER_BOUND:
            return self._problem(path, f"has more than {MAX_INTEGER_DIGITS} digits")
        return int(value)

    def _float(self, value: float, path: str) -> object:
        if not math.isfinite(value):
            return self._problem(path, "must be a finite number")
        return float(value)

    def _decimal(self, value: Decimal, path: str) -> object:
        # Look at the size first: int(Decimal("1E+999999999")) would run almost forever.
        if value.is_finite() and value.adjusted() < MAX_INTEGER_DIGITS:
            if value == value.to_integral_value():
                return int(value)
            return float(value)
        return self._float(float(value) if not value.is_snan() else math.nan, path)

    def _too_deep(self, path: str, depth: int) -> bool:
        if depth <= MAX_JSON_DEPTH:
            return False
        self._problem(path[:_MAX_NAME_CHARACTERS], f"is nested deeper than {MAX_JSON_DEPTH}")
        return True

    def _problem(self, path: str, message: str) -> object:
        self._problems.append(Detail(path, message))
        return None


def _duration(value: dt.timedelta) -> str:
    """Return a duration in the form of ISO 8601, with days as its largest unit."""
    sign, value = ("-", -value) if value.days < 0 else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours:02}H{minutes:02}M{seconds:02}{fraction}S"
