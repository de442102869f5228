"""The frozen values that a producer returns and puts into errors."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["Detail", "HistoryPage", "Published", "Revoked"]


@dataclass(frozen=True, slots=True)
class Published:
    """An event that the log has stored.

    Attributes:
        id: the event's id.
        offset: the event's opaque position in the log.
        timestamp: when the event was appended, in UTC.
        duplicate: the log had this ``id`` before. Then offset and timestamp are the first append's.
    """

    id: str
    offset: str
    timestamp: datetime
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """Tokens that the broker accepts no longer.

    Attributes:
        sub: their subject.
        before: those that were issued until this time, in UTC, or at an unknown time.
    """

    sub: str
    before: datetime


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of the log.

    Attributes:
        events: the events as a consumer gets them, oldest first: dicts with ``type``,
            ``furniture``, ``id``, ``timestamp`` and ``offset``.
        position: where the next page starts.
        more: whether the log has further events now.
        gap: the log no longer has all events after the given offset. Then the page has no events,
            and its position is the log's end.
    """

    events: list[dict[str, Any]]
    position: str
    more: bool
    gap: bool


class Detail(NamedTuple):
    """One field at fault, such as ``Detail("furniture.altura", "must be a number ≥ 0")``."""

    field: str
    message: str
