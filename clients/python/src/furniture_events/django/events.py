"""An event that a transaction publishes. Its JSON text is made here, once.

The outbox stores this text and the relay sends it; direct mode sends it at the commit. Nothing on
the way decodes it or encodes it again.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

from django.utils.functional import Promise

from furniture_events import _encoding
from furniture_events._encoding import EncodedEvent, encode_plain, event_id
from furniture_events._ids import new_event_id

__all__ = ["ChangeEvent", "fields_at_fault", "is_same_json", "plain_furniture"]


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """An encoded event, with its type and its furniture's id, which the outbox shows."""

    type: str
    furniture_id: str
    encoded: EncodedEvent

    @classmethod
    def encode(cls, type: str, furniture: object, id: object = None) -> Self:
        """Encode an event.

        Args:
            type: one of the contract's event types.
            furniture: a mapping, a dataclass instance, or an object with the seven attributes.
            id: the idempotency key; made if None.

        Raises:
            InvalidFurniture: a field is missing, or JSON cannot hold a value.
            InvalidMessage: the id is neither text nor a UUID.
        """
        checked_id = event_id(id, new_event_id)
        return cls.encode_plain(type, plain_furniture(furniture), checked_id)

    @classmethod
    def encode_plain(cls, type: str, furniture: dict[str, Any], id: str | None = None) -> Self:
        """Encode an event whose furniture ``plain_furniture`` has returned."""
        encoded = encode_plain(type, furniture, new_event_id() if id is None else id)
        return cls(type, str(furniture["furniture_id"]), encoded)


def plain_furniture(furniture: object) -> dict[str, object]:
    """Return furniture as plain JSON values. A lazy text is translated into the active language.

    Raises:
        InvalidFurniture: a field is missing, or JSON cannot hold a value.
    """
    return _encoding.plain_furniture(furniture, lazy=(Promise,))


def fields_at_fault(error: Exception) -> str:
    """Return the names of the furniture's fields that an error is about, for a log line."""
    paths = [detail.field for detail in getattr(error, "details", ())]
    names = [re.split(r"[.[]", path.removeprefix("furniture."))[0] for path in paths]
    return f" fields={','.join(dict.fromkeys(names))!r}" if names else ""


def is_same_json(one: object, other: object) -> bool:
    """Compare plain values by their JSON text, except for the order of keys.

    So True is not 1, and 1 is not 1.0.
    """
    if type(one) is not type(other):
        return False
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(
                is_same_json(value, other[name]) for name, value in one.items()
            )
        case list(), list():
            return len(one) == len(other) and all(map(is_same_json, one, other))
        case float(), float():
            return repr(one) == repr(other)  # -0.0 is not 0.0
    return one == other
