"""What can be wrong with a history, each in one readable record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The promise that was broken."""

    LOST = "an acknowledged event is not in the log"
    DOUBLED = "an id is in the log more than once"
    REFUSED_KEPT = "an event that was only ever refused is in the log"
    INVENTED = "an event is in the log that nobody published"
    WRONG_ANSWER = "an answer names another offset or timestamp than the log"
    FALSE_DUPLICATE = "answers disagree on which append was the first"
    OUT_OF_TIME = "an event is in the log before one that was acknowledged before it was sent"
    LOG_DISORDER = "the log's timestamps or offsets are out of order"
    OFFSET_REUSED = "an offset names two events"
    UNKNOWN_OFFSET = "a consumer was told an offset that the log has not"
    WRONG_BODY = "an event was delivered with another body than the log's"
    DUPLICATE = "an event was delivered twice"
    OUT_OF_ORDER = "an event was delivered after a later one"
    HOLE = "an event was missed that was not announced as a gap"
    FOREIGN = "an event was delivered to a consumer that was in none of its rooms"
    FALSE_RECOVERY = "a connection was said to be recovered that is another session"
    GAP_ON_RECOVERED = "a recovered connection was told a gap"
    WRONG_COUNT = "replayed is not the number of events that came before ready"
    NOT_READY = "an event came after ready that ready's position covers, or before a fresh start"
    STALE_POSITION = "a position is older than what was acknowledged before the connection opened"
    WRONG_ROOMS = "a consumer was told other rooms than its own"
    NEVER_CAME_BACK = "a consumer is not connected at the end"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise.

    Attributes:
        who: the consumer's name, or ``log`` or ``answers``.
        what: in words.
    """

    rule: Rule
    who: str
    what: str
    offset: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        named = "".join(
            f" {name}={value}"
            for name, value in (("offset", self.offset), ("id", self.id))
            if value is not None
        )
        return f"{self.rule.name} {self.who}: {self.rule} ({self.what}){named}"
