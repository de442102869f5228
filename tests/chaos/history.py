"""What is written down of a run: what was asked, what was answered, what every consumer was told.

Times are seconds of the machine's monotonic clock, the same one in every process of a run.
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
    """No answer came, or none that says what became of the event."""

    why: str = ""


Outcome = Acknowledged | Refused | Unanswered


@dataclass(frozen=True, slots=True)
class Attempt:
    """One publish, with its answer.

    Attributes:
        began: before anything was sent.
        ended: when the answer was there, or was given up.
        retries: the client may have sent it more than once.
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
    """An event as ``GET /api/events`` tells it after the run."""

    offset: str
    id: str
    type: str
    furniture: dict[str, Any]
    timestamp: str


@dataclass(frozen=True, slots=True)
class Log:
    """The whole log, of which nothing has gone; ``start`` is the position before all events."""

    start: str
    events: list[LogEvent]


@dataclass(frozen=True, slots=True)
class Opening:
    """A consumer begins to connect.

    Attributes:
        rooms: what it names; None: nothing, so that it is in ``catalog``.
        since: the offset it gives.
        resumes: it gives the ``pid`` of its session.
    """

    at: float
    rooms: tuple[str, ...] | None = None
    since: str | None = None
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """CONNECT was answered, or a plain WebSocket is open (it has no ``sid``)."""

    at: float
    sid: str | None = None
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The consumer was told that it has caught up."""

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
    """It was answered with all its rooms; None: an error, nothing has changed."""

    at: float
    rooms: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection has ended."""

    at: float
    reason: str = ""


Told = Opening | Connected | Ready | Delivered | Changing | Changed | Dropped


@dataclass(slots=True)
class Consumer:
    """All that happened to one consumer, in the order in which it saw it."""

    name: str
    records: list[Told] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """A run.

    Attributes:
        settled: everything was given the time to arrive: each consumer has come back and must have
            all of its events. Otherwise only what lies before the last thing it saw is looked at.
    """

    attempts: list[Attempt]
    log: Log
    consumers: list[Consumer]
    settled: bool = True
