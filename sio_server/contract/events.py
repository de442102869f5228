"""The furniture events: what a producer sends, and each form that consumers receive.

Pure: no I/O and no asyncio. The clock and the randomness are arguments, so that tests can set them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError, create_model

from sio_server.contract import strictjson
from sio_server.contract.errors import (
    Fault,
    InvalidFurniture,
    InvalidMessage,
    InvalidOffset,
    UnknownType,
)
from sio_server.randomness import random_bytes

EVENT_TYPES: Final = ("furniture_created", "furniture_updated", "furniture_deleted")

MAX_ID_CHARACTERS = 128
MAX_OFFSET_CHARACTERS = 64
_OFFSET_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class TextRule(NamedTuple):
    """A field that is a string. Lengths are in Unicode code points."""

    min_length: int
    max_length: int

    @property
    def message(self) -> str:
        """The sentence that an error says about the field."""
        if self.min_length == 0:
            return f"must be a string of at most {self.max_length} characters"
        return f"must be a string of {self.min_length} to {self.max_length} characters"

    @property
    def annotation(self) -> Any:
        """The rule as a type that pydantic checks."""
        return Annotated[str, Field(min_length=self.min_length, max_length=self.max_length)]


class NumberRule(NamedTuple):
    """A field that is a finite JSON number. Integers stay integers."""

    minimum: int

    @property
    def message(self) -> str:
        """The sentence that an error says about the field."""
        return f"must be a number ≥ {self.minimum}"

    @property
    def annotation(self) -> Any:
        """The rule as a type that pydantic checks."""
        bound = Field(ge=self.minimum)
        return Annotated[int, bound] | Annotated[float, bound, AllowInfNan(False)]


FURNITURE_FIELDS: Final[Mapping[str, TextRule | NumberRule]] = MappingProxyType(
    {
        "furniture_id": TextRule(1, 128),
        "nombre": TextRule(1, 255),
        "descripcion": TextRule(0, 10_000),
        "altura": NumberRule(0),
        "ancho": NumberRule(0),
        "material": TextRule(1, 255),
        "autor_username": TextRule(1, 255),
    }
)
"""The fields that every piece of furniture has. The model and the messages follow from this table.

A piece may have further fields. They are delivered as they came.
"""

Furniture: type[BaseModel] = create_model(
    "Furniture",
    __doc__="A piece of furniture. Further fields are allowed.",
    __config__=ConfigDict(strict=True, extra="allow"),
    **{name: (rule.annotation, ...) for name, rule in FURNITURE_FIELDS.items()},  # type: ignore[call-overload]
)


def check_furniture(furniture: Any) -> dict[str, Any]:
    """Return the furniture if it is valid.

    Raises:
        InvalidFurniture: fields are missing or bad; the error names all of them at once.
    """
    if not isinstance(furniture, dict):
        raise InvalidFurniture.of_faults([Fault("furniture", "must be an object")])
    try:
        Furniture.model_validate(furniture)
    except ValidationError as error:
        missing = {fault["loc"][0] for fault in error.errors() if fault["type"] == "missing"}
        bad_fields = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        raise InvalidFurniture.of_faults(
            [
                Fault(
                    f"furniture.{field}",
                    "is required" if field in missing else FURNITURE_FIELDS[field].message,
                )
                for field in bad_fields
            ]
        ) from None
    return furniture


@dataclass(frozen=True)
class Event:
    """A valid event that the log has not appended yet."""

    type: str
    furniture: dict[str, Any]
    id: str

    @property
    def deletes_piece(self) -> bool:
        """Whether the piece of furniture no longer exists after this event."""
        return self.type == "furniture_deleted"

    @cached_property
    def furniture_json(self) -> str:
        """The piece as JSON."""
        return strictjson.dumps(self.furniture)

    def body(self, timestamp: str) -> str:
        """Encode the event as every consumer receives it, without the offset."""
        id = strictjson.dumps(self.id)
        return _body(self.type, self.furniture_json, f'{_ID}{id},"timestamp":"{timestamp}"}}')


_ID = ',"id":'
"""What follows the furniture in a body. No JSON text has this within a string, because the text
would escape the quotes; so its last place in a body is the one after the furniture."""


def _body(event_type: str, furniture_json: str, rest: str) -> str:
    return f'{{"type":"{event_type}","furniture":{furniture_json}{rest}'


def parse_event(message: Any, *, id: str | None = None) -> Event:
    """Return the event that a decoded message describes.

    Args:
        message: the decoded JSON.
        id: the idempotency key, if the transport carries it beside the message (HTTP's
            ``Idempotency-Key`` header).

    Raises:
        InvalidMessage: the message is not an object, has no ``type``, has a bad ``id``, or the two
            ids differ.
        UnknownType: the ``type`` is not one of ``EVENT_TYPES``.
        InvalidFurniture: the piece is missing or has bad fields.
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
        InvalidMessage: the message is not an object, or has no ``type``.
    """
    if not isinstance(message, dict):
        raise InvalidMessage("must be a JSON object")
    if not isinstance(message.get("type"), str):
        raise InvalidMessage.of_faults([Fault("type", "must be a string and is required")])
    return str(message["type"])


def unknown_type(name: str, known: Iterable[str] = EVENT_TYPES) -> UnknownType:
    """Build the error for a type or an event name that the contract does not have."""
    return UnknownType(f"{name[:80]!r} is not a known type; there are {', '.join(known)}")


def _check_id(id: Any) -> None:
    if not (
        isinstance(id, str)
        and 1 <= len(id) <= MAX_ID_CHARACTERS
        and id.isascii()
        and id.isprintable()
    ):
        raise InvalidMessage.of_faults(
            [Fault("id", f"must be 1 to {MAX_ID_CHARACTERS} printable ASCII characters")]
        )


def new_id(
    clock: Callable[[], float] = time.time, random: Callable[[int], bytes] = random_bytes
) -> str:
    """Make a UUIDv7 (RFC 9562, 5.7): the Unix time in milliseconds, then 74 random bits."""
    milliseconds = int(clock() * 1000) & (1 << 48) - 1
    tail = int.from_bytes(random(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def format_timestamp(milliseconds: int) -> str:
    """Format a Unix time in milliseconds as the contract does: UTC, milliseconds, ``Z``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def now_timestamp() -> str:
    """Return the current time in the contract's format."""
    return format_timestamp(time.time_ns() // 1_000_000)


class Offset(NamedTuple):
    """A position in a log: the log's epoch, and the number of events appended up to there.

    The epoch changes when a log is created again, so only offsets of one epoch can be compared.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: Any) -> Offset:
        """Read an offset that a client sent.

        Well-formed text that this server never wrote becomes an offset of an unknown epoch. It may
        come from another log, so the client is told of a gap.

        Raises:
            InvalidOffset: the text is not 1 to 64 characters of ``[A-Za-z0-9._-]``.
        """
        if not (
            isinstance(text, str)
            and 1 <= len(text) <= MAX_OFFSET_CHARACTERS
            and _OFFSET_ALPHABET.issuperset(text)
        ):
            raise InvalidOffset("an offset is 1 to 64 characters of A-Z a-z 0-9 . _ -")
        epoch, _, seq = text.rpartition("-")
        if epoch and seq.isdigit() and len(seq) <= 18 and str(int(seq)) == seq:
            return cls(epoch, int(seq))
        return cls(f"?{text}", 0)  # no epoch has a name with a question mark


OWN_ROOMS = 5
"""The rooms of an event itself are so many. They are the first ones of its record."""


@dataclass(frozen=True)
class Record:
    """An appended event. Each wire form is encoded once, when a consumer first needs it.

    Attributes:
        offset: its position in the log.
        type: one of ``EVENT_TYPES``.
        rooms: every room that receives it, including the rooms of the piece's last known state.
        body: the event as JSON, without the offset.
        former: the piece's former state as JSON, if that state was in a room that the event itself
            is not in; otherwise, or if the log does not know the state, None.
        committed_at: when the log had stored it permanently, in seconds of the monotonic clock;
            a record of the tail has it, other records may not.
    """

    offset: Offset
    type: str
    rooms: tuple[str, ...]
    body: str
    former: str | None = None
    committed_at: float | None = field(default=None, compare=False, repr=False)

    def note_commit(self, seconds: float) -> None:
        """Set ``committed_at``. Only the log does this, once, before the tail has the record."""
        object.__setattr__(self, "committed_at", seconds)

    @property
    def id(self) -> str:
        """The event's id as it is in the JSON, for log lines."""
        start = self.body.rfind(_ID) + len(_ID) + 1
        return self.body[start : self.body.find('","timestamp"', start)]

    @property
    def size(self) -> int:
        """The number of characters of JSON that it holds."""
        return len(self.body) + len(self.former or "")

    @property
    def own_rooms(self) -> tuple[str, ...]:
        """The rooms of the event itself, without those of the piece's former state."""
        return self.rooms[:OWN_ROOMS]

    @property
    def former_rooms(self) -> tuple[str, ...]:
        """The rooms of the piece's former state that the event itself is not in."""
        return self.rooms[OWN_ROOMS:]

    @cached_property
    def departure(self) -> Record | None:
        """The event for a consumer that may see the piece's former state only: a deletion of it.

        None if that state is not known.
        """
        if self.former is None:
            return None
        rest = self.body[self.body.rindex(_ID) :]
        body = _body("furniture_deleted", self.former, rest)
        return Record(self.offset, "furniture_deleted", self.rooms, body)

    @cached_property
    def json_with_offset(self) -> str:
        """The form of the plain WebSocket and of the history: one object with the offset."""
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
    """The log's acknowledgement: the event is stored permanently.

    For a duplicate, the offset and the timestamp are those of the first append.
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
