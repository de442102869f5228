"""The vocabulary between the core and the faces: what is to be done, and what came of it.

Pure data. A core operation is a generator: it yields a `Send` or a `Wait`, a face carries it out
and sends a `Resumption` back, until the generator returns the call's result or raises its error.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from furniture_events.errors import FurnitureEventsError

__all__ = ["Answer", "Operation", "Outcome", "Request", "Resumption", "Send", "Wait"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; `target` is the path below the base URL, with its query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def publishes(self) -> bool:
        """Tell whether the broker may append something because of it."""
        return self.method == "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request once, within `budget` seconds."""

    request: Request
    budget: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass before attempt number `attempt`, because of `reason`."""

    seconds: float
    attempt: int
    reason: FurnitureEventsError


Outcome: TypeAlias = Answer | FurnitureEventsError
"""An answer, or the error that stands for having none."""


class Resumption(NamedTuple):
    """What came of a step (None after a `Wait`), and the face's monotonic clock in seconds."""

    outcome: Outcome | None
    now: float


Operation: TypeAlias = Generator[Send | Wait, Resumption, T]
