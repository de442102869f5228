"""The three furniture events: what a producer sends, and each form in which consumers get them.

Pure: no I/O, no asyncio. The clock and randomness are arguments where a caller may want others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from sio_server.contract import strictjson
from sio_server.contract.errors import (
    Fault,
    InvalidFurniture,
    InvalidMessage,
    InvalidOffset,
    UnknownType,
)

EVENT_TYPES = ("furniture_created", "furniture_updated", "furniture_deleted")

MAX_ID_LENGTH = 128
MAX_OFFSET_LENGTH = 64
_OFFSET_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

Id = Annotated[str, Field(min_length=1, max_length=128)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=10_000)]
Measure = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0), AllowInfNan(False)], Field()
]


class Furniture(BaseModel):
    """A piece of furniture as the catalogue names it. Fields beyond these are kept as they came."""

    model_config = ConfigDict(strict=True, extra="allow")

    furniture_id: Id
    nombre: Name
    descripcion: Text
    altura: Measure
    ancho: Measure
    material: Name
    autor_username: Name


_RULES = {
    "furniture_id": "must be a string of 1 to 128 characters",
    "nombre": "must be a string of 1 to 255 characters",
    "descripcion": "must be a string of at most 10000 characters",
    "altura": "must be a number ≥ 0",
    "ancho": "must be a number ≥ 0",
    "material": "must be a string of 1 to 255 characters",
    "autor_username": "must be a string of 1 to 255 characters",
}


def check_furniture(furniture: Any) -> dict[str, Any]:
    """Return the furniture if it is valid.

    Raises:
        InvalidFurniture: naming every field at fault at once.
    """
    if not isinstance(furniture, dict):
        raise InvalidFurniture.of_faults([Fault("furniture", "must be an object")])
    try:
        Furniture.model_validate(furniture)
    except ValidationError as error:
        missing = {fault["loc"][0] for fault in error.errors() if fault["type"] == "missing"}
        at_fault = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        raise InvalidFurniture.of_faults(
            [
                Fault(f"furniture.{field}", "is required" if field in missing else _RULES[field])
                for field in at_fault
            ]
        ) from None
    return furniture


@dataclass(frozen=True, slots=True)
class Event:
    """A valid event that a producer published and the log has not appended yet."""

    type: str
    furniture: dict[str, Any]
    id: str

    def body(self, timestamp: str) -> str:
        """Encode what every consumer receives, on whichever transport."""
        return strictjson.dumps(
            {
                "type": self.type,
                "furniture": self.furniture,
                "id": self.id,
                "timestamp": timestamp,
            }
        )


def parse_event(message: Any, *, id: str | None = None) -> Event:
    """Return the event that a decoded message describes.

    Args:
        message: the decoded JSON.
        id: the idempotency key where the transport carries it beside the message
            (HTTP's ``Idempotency-Key``).

    Raises:
        InvalidMessage: no object, no ``type``, a bad ``id``, or two ids that differ.
        UnknownType: a ``type`` that is none of the three.
        InvalidFurniture: the piece is missing or has fields at fault.
    """
    event_type = message_type(message)
    if event_type not in EVENT_TYPES:
        raise unknown_type(event_type)
    own_id = message.get("id")
    for candidate in (own_id, id):
        if candidate is not None:
            _check_id(candidate)
    if own_id is not None and id is not None and own_id != id:
        raise InvalidMessage("id and Idempotency-Key differ")
    if "furniture" not in message:
        raise InvalidFurniture.of_faults([Fault("furniture", "is required")])
    furniture = check_furniture(message["furniture"])
    return Event(event_type, furniture, own_id or id or new_id())


def message_type(message: Any) -> str:
    """Return a message's ``type``.

    Raises:
        InvalidMessage: it is no object or has none.
    """
    if not isinstance(message, dict):
        raise InvalidMessage("must be a JSON object")
    if not isinstance(message.get("type"), str):
        raise InvalidMessage.of_faults([Fault("type", "must be a string and is required")])
    return str(message["type"])


def unknown_type(name: str) -> UnknownType:
    """Build the error for a type or an event name that the contract lacks."""
    return UnknownType(f"{name[:80]!r} is not a known type")


def _check_id(id: Any) -> None:
    if not (
        isinstance(id, str)
        and 1 <= len(id) <= MAX_ID_LENGTH
        and all(" " <= character <= "~" for character in id)
    ):
        raise InvalidMessage.of_faults([Fault("id", "must be 1 to 128 printable ASCII characters")])


def new_id(
    clock: Callable[[], float] = time.time, random: Callable[[int], bytes] = os.urandom
) -> str:
    """Make a UUIDv7 (RFC 9562, 5.7): milliseconds since the epoch, then 74 random bits."""
    milliseconds = int(clock() * 1000) & (1 << 48) - 1
    tail = int.from_bytes(random(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    return str(UUID(int=value))


def format_timestamp(milliseconds: int) -> str:
    """Write milliseconds since the epoch as the contract does: UTC, milliseconds, ``Z``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def now_timestamp() -> str:
    """Return the current time in the contract's form."""
    return format_timestamp(time.time_ns() // 1_000_000)


class Offset(NamedTuple):
    """A position in a log: the log's epoch, and how many events it had appended by then.

    Two offsets can be compared only within one epoch, which changes when a log is made anew.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: Any) -> Offset:
        """Read an offset that a client sent.

        Text that keeps to the contract's alphabet but was never an offset of ours is read as one
        of an unknown epoch: to the client it may be another log's, and is told as a gap.

        Raises:
            InvalidOffset: not 1 to 64 characters of ``[A-Za-z0-9._-]``.
        """
        if not (
            isinstance(text, str)
            and 1 <= len(text) <= MAX_OFFSET_LENGTH
            and _OFFSET_ALPHABET.issuperset(text)
        ):
            raise InvalidOffset("an offset is 1 to 64 characters of A-Z a-z 0-9 . _ -")
        epoch, _, seq = text.rpartition("-")
        if epoch and seq.isdigit() and len(seq) <= 18 and str(int(seq)) == seq:
            return cls(epoch, int(seq))
        return cls(f"?{text}", 0)  # no epoch has such a name


@dataclass(frozen=True)
class Record:
    """An appended event. Each wire form is encoded once, when a consumer first needs it.

    Attributes:
        offset: where the log has it.
        type: one of the three.
        rooms: every room that it goes to, those of the piece's last known state included.
        body: the event as JSON, without the offset.
    """

    offset: Offset
    type: str
    rooms: tuple[str, ...]
    body: str

    @cached_property
    def json_with_offset(self) -> str:
        """The plain WebSocket's form, which the history answers with too."""
        return f'{self.body[:-1]},"offset":"{self.offset}"}}'

    @cached_property
    def event_arguments(self) -> str:
        """The Socket.IO form: event name, event, offset."""
        return f'["{self.type}",{self.body},"{self.offset}"]'

    @cached_property
    def event_argument(self) -> str:
        """The Socket.IO form for clients whose handlers take one argument."""
        return f'["{self.type}",{self.body}]'

    @cached_property
    def sse(self) -> str:
        """The form of a Server-Sent Event."""
        return f"id: {self.offset}\ndata: {self.body}\n\n"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the log answers for an event that it has for good.

    For a duplicate, the offset and the timestamp are the first append's.
    """

    id: str
    offset: Offset
    timestamp: str
    duplicate: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the acknowledgement's wire shape."""
        return {
            "id": self.id,
            "offset": str(self.offset),
            "timestamp": self.timestamp,
            "duplicate": self.duplicate,
        }
