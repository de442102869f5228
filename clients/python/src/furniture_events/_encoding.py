"""Turn what the user hands over into the JSON of one event.

Pure: this module never sends, and it leaves the contract's rules on lengths and ranges to the
broker; it refuses only what is missing and what JSON cannot hold, naming all of it at once.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from furniture_events._results import Detail
from furniture_events.errors import InvalidFurniture, InvalidMessage

__all__ = ["FURNITURE_FIELDS", "EncodedEvent", "encode_event"]

FURNITURE_FIELDS: Final = (
    "furniture_id",
    "nombre",
    "descripcion",
    "altura",
    "ancho",
    "material",
    "autor_username",
)

_MAX_DIGITS = 100
_MAX_DEPTH = 64
_FURNITURE_DEPTH = 2  # the event itself is depth 1
_INTEGER_BOUND = 10**_MAX_DIGITS
_MISSING = object()


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event as it goes out, and the id by which its answer is recognised."""

    id: str
    body: bytes


def encode_event(event: object, new_id: Callable[[], str]) -> EncodedEvent:
    """Encode a mapping `{"type", "furniture", "id"?}`; other keys are left out.

    An `id` that is absent or None is made by `new_id`. Raises `InvalidMessage` where the event is
    no such mapping, `InvalidFurniture` where its furniture lacks a field or JSON cannot hold it.
    """
    if not isinstance(event, Mapping):
        raise InvalidMessage(f"an event must be a mapping, not a {type(event).__name__}")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise InvalidMessage(
            "an event must have a type", details=(Detail("type", "must be a string"),)
        )
    id = _event_id(event.get("id"), new_id)
    furniture = _encode_furniture(event.get("furniture", _MISSING))
    document = {"type": kind, "furniture": furniture, "id": id}
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return EncodedEvent(id, text.encode())
    except UnicodeEncodeError:
        raise InvalidMessage("type and id must not hold lone surrogates") from None


def _event_id(id: object, new_id: Callable[[], str]) -> str:
    if id is None:
        return new_id()
    if isinstance(id, UUID):
        return str(id)
    if isinstance(id, str):
        return id
    raise InvalidMessage(
        f"an event's id must be a string, not a {type(id).__name__}",
        details=(Detail("id", "must be a string"),),
    )


def _encode_furniture(furniture: object) -> dict[str, object]:
    if furniture is _MISSING:
        raise InvalidFurniture(
            "furniture: is missing", details=(Detail("furniture", "is missing"),)
        )
    values = _furniture_values(furniture)
    problems = [
        Detail(f"furniture.{name}", "is missing") for name in FURNITURE_FIELDS if name not in values
    ]
    plain = _Plain(problems)
    encoded = plain.mapping(values, "furniture", _FURNITURE_DEPTH)
    if problems:
        raise InvalidFurniture(
            "; ".join(f"{field}: {message}" for field, message in problems[:20]),
            details=tuple(problems),
        )
    return encoded


def _furniture_values(furniture: object) -> Mapping[object, object]:
    """Read a mapping whole, a dataclass's fields, and of any object the seven attributes."""
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


class _Plain:
    """Makes plain JSON values; what cannot become one is added to `problems`."""

    def __init__(self, problems: list[Detail]) -> None:
        self._problems = problems

    def value(self, value: object, where: str, depth: int) -> object:  # noqa: PLR0911 - a table
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, where)
            case int():
                return self._integer(value, where)
            case float():
                return self._float(value, where)
            case Decimal():
                return self._decimal(value, where)
            case UUID():
                return str(value)
            case Mapping():
                return self.mapping(value, where, depth)
            case list() | tuple():
                return self._list(value, where, depth)
            case _ if _is_dataclass_instance(value):
                return self.mapping(_dataclass_values(value), where, depth)
        return self._problem(where, f"a {type(value).__name__} is no JSON value")

    def mapping(self, values: Mapping[object, object], where: str, depth: int) -> dict[str, object]:
        plain: dict[str, object] = {}
        if self._too_deep(where, depth):
            return plain
        for name, value in values.items():
            if isinstance(name, str):
                field = f"{where}.{name[:100]}".encode(errors="replace").decode()
                self._text(name, field)
                plain[name] = self.value(value, field, depth + 1)
            else:
                self._problem(where, f"a {type(name).__name__} is no JSON key")
        return plain

    def _list(self, values: list[object] | tuple[object, ...], where: str, depth: int) -> object:
        if self._too_deep(where, depth):
            return None
        return [
            self.value(value, f"{where}[{index}]", depth + 1) for index, value in enumerate(values)
        ]

    def _text(self, value: str, where: str) -> object:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._problem(where, "holds a lone surrogate")
        return value

    def _integer(self, value: int, where: str) -> object:
        if abs(value) >= _INTEGER_BOUND:
            return self._problem(where, f"has more than {_MAX_DIGITS} digits")
        return int(value)

    def _float(self, value: float, where: str) -> object:
        if not math.isfinite(value):
            return self._problem(where, "must be a finite number")
        return float(value)

    def _decimal(self, value: Decimal, where: str) -> object:
        # The size is looked at first: int(Decimal("1E+999999999")) would not come back.
        if value.is_finite() and value.adjusted() < _MAX_DIGITS:
            if value == value.to_integral_value():
                return int(value)
            return float(value)
        return self._float(float(value) if not value.is_snan() else math.nan, where)

    def _too_deep(self, where: str, depth: int) -> bool:
        if depth <= _MAX_DEPTH:
            return False
        self._problem(where[:100], f"is nested deeper than {_MAX_DEPTH}")
        return True

    def _problem(self, where: str, message: str) -> object:
        self._problems.append(Detail(where, message))
        return None
