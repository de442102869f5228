"""The records of a run: all publishes with their answers, and all that happened to each consumer.

Times are seconds of the machine's monotonic clock, which all processes of a run share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The answer says that the event is in the log."""

    offset: str
    timestamp: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer is an error."""

    code: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer arrived, or an answer that leaves open whether the event is in the log."""

    reason: str = ""


Outcome = Acknowledged | Refused | Unanswered


@dataclass(frozen=True, slots=True)
class Attempt:
    """One publish, with its answer.

    Attributes:
        began: time before the first byte was sent.
        ended: time when the answer arrived, or when the client stopped waiting.
        retries: the client may have sent the event more than once.
    """

    id: str
    type: str
    furniture: dict[str, Any]
    began: float
    ended: float
    outcome: Outcome
    retries: bool = False


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event as ``GET /api/events`` returns it after the run."""

    offset: str
    id: str
    type: str
    furniture: dict[str, Any]
    timestamp: str


@dataclass(frozen=True, slots=True)
class Log:
    """The whole log, without any trimming. ``start`` is the position before all events."""

    start: str
    events: list[LogEvent]


@dataclass(frozen=True, slots=True)
class Connecting:
    """A consumer begins to connect.

    Attributes:
        rooms: the rooms that it asks for; None: it asks for none, so it is in ``catalog``.
        since: the offset that it sends.
        resumes: it sends the ``pid`` of its session.
    """

    at: float
    rooms: tuple[str, ...] | None = None
    since: str | None = None
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """CONNECT was answered, or a plain WebSocket is open, which has no ``sid``."""

    at: float
    sid: str | None = None
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The consumer got ``ready``: it has caught up."""

    at: float
    position: str
    rooms: tuple[str, ...]
    recovered: bool = False
    gap: bool = False
    replayed: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The consumer got an event."""

    at: float
    offset: str
    id: str
    type: str
    furniture: dict[str, Any]
    timestamp: str


@dataclass(frozen=True, slots=True)
class Changing:
    """The consumer asks to ``subscribe`` or ``unsubscribe``."""

    at: float
    kind: str
    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """The answer with all rooms of the consumer; None: an error, so its rooms are unchanged."""

    at: float
    rooms: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended."""

    at: float
    reason: str = ""


Record = Connecting | Connected | Ready | Delivered | Changing | Changed | Disconnected


@dataclass(slots=True)
class Consumer:
    """All records of one consumer, in its own order."""

    name: str
    records: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """A run.

    Attributes:
        settled: all consumers had time to reconnect and to get all of their events. Otherwise, each
            consumer is checked only up to the last event that it got.
    """

    attempts: list[Attempt]
    log: Log
    consumers: list[Consumer]
    settled: bool = True
