"""The steps that the core asks a producer for, and their outcomes.

Pure data. A core operation is a generator. It yields a ``Send`` or a ``Wait``; the producer carries
it out and sends a ``Resumption`` back. At the end the generator returns the call's result or raises
its error.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from furniture_events._encoding import EncodedEvent
from furniture_events.errors import FurnitureEventsError

__all__ = ["Answer", "Operation", "Outcome", "Request", "Resumption", "Send", "Wait"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request.

    ``target`` is the path below the base URL, with its query. ``events`` are those in the body.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    events: Sequence[EncodedEvent] = field(default=(), repr=False)

    @property
    def publishes(self) -> bool:
        """Whether this request may append events."""
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request once, within ``budget`` seconds."""

    request: Request
    budget: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for ``seconds`` before attempt number ``attempt``, because of ``reason``."""

    seconds: float
    attempt: int
    reason: FurnitureEventsError


Outcome: TypeAlias = Answer | FurnitureEventsError
"""An answer, or the error instead of an answer."""


class Resumption(NamedTuple):
    """A step's outcome (None after a ``Wait``), and the monotonic clock in seconds."""

    outcome: Outcome | None
    now: float


Operation: TypeAlias = Generator[Send | Wait, Resumption, T]
