"""The rules that a history must obey, and violations of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """A promise of the server, named by its violation."""

    LOST = "an acknowledged event is not in the log"
    DOUBLED = "an id is in the log more than once"
    REFUSED_IN_LOG = "an event whose attempts were all refused is in the log"
    INVENTED = "an event that no producer published is in the log"
    WRONG_ANSWER = "an answer names another offset or timestamp than the log"
    FALSE_DUPLICATE = "answers disagree on which append was the first"
    OUT_OF_TIME = "an event is in the log before one that was acknowledged before it was sent"
    LOG_DISORDER = "the log's timestamps or offsets are out of order"
    OFFSET_REUSED = "an offset names two events"
    UNKNOWN_OFFSET = "a consumer got an offset that the log never issued"
    WRONG_BODY = "an event was delivered with another body than the log's"
    DUPLICATE = "an event was delivered twice"
    OUT_OF_ORDER = "an event was delivered after a later one"
    HOLE = "an event was missed without the announcement of a gap"
    FOREIGN = "an event was delivered to a consumer outside its rooms"
    FALSE_RECOVERY = "a connection of another session was reported as recovered"
    GAP_ON_RECOVERED = "a gap was announced to a recovered connection"
    WRONG_COUNT = "replayed is not the number of events before ready"
    NOT_READY = "an event came after a ready that covers it, or before the connection was accepted"
    STALE_POSITION = "a position is older than what was acknowledged before the connection opened"
    WRONG_ROOMS = "a consumer got other rooms than its own"
    NEVER_CAME_BACK = "a consumer is not connected at the end"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise.

    Attributes:
        rule: the broken rule.
        subject: the consumer's name, or ``log`` or ``answers``.
        description: the violation in words.
        offset: the offset of the event, if there is one.
        id: the id of the event, if there is one.
    """

    rule: Rule
    subject: str
    description: str
    offset: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        named = "".join(
            f" {name}={value}"
            for name, value in (("offset", self.offset), ("id", self.id))
            if value is not None
        )
        return f"{self.rule.name} {self.subject}: {self.rule} ({self.description}){named}"
