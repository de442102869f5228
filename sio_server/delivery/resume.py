"""Where a consumer starts, and whether it is told of a gap. This is the only place that decides it.

A gap says that events of the consumer's rooms may have been missed. A consumer that is not told of
a gap has missed nothing. Pure: no I/O and no asyncio.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from sio_server.contract.errors import InvalidOffset
from sio_server.contract.events import Offset
from sio_server.eventlog.contract import Bounds


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """What a client says about its past.

    Attributes:
        since: the offset after which it asks for events.
        claims_session: it presents a ``pid``, whether or not that names a session.
        last_offset: the offset of the last event that it received in that session, unchecked.
        has_rooms: it is in at least one room. Without rooms there is nothing to miss.
    """

    since: Offset | None = None
    claims_session: bool = False
    last_offset: object = None
    has_rooms: bool = True

    @property
    def has_past(self) -> bool:
        """Whether the client says anything about its past."""
        return self.since is not None or self.claims_session


class LastSeen(NamedTuple):
    """What a session's consumer had received when the server saw it disconnect.

    Attributes:
        position: every event for the consumer, up to this offset, was written to it.
        last_seq: the ``seq`` of the last event that was written to it.
    """

    position: Offset
    last_seq: int


class SessionPast(NamedTuple):
    """What the session store knows about a session's past.

    Attributes:
        start: the offset at which the session began. Earlier events do not belong to it.
        began_with_gap: the session began with a gap, and its client may not know it.
        last_seen: None if the older connection is still open, or no server saw it end (a crash).
    """

    start: Offset
    began_with_gap: bool
    last_seen: LastSeen | None


class GapCause(StrEnum):
    """Why a consumer is told of a gap, for the metrics."""

    RETENTION = "retention"
    """The log has removed events after its offset: they were too old, or too many."""
    EPOCH = "epoch"
    """Its offset belongs to another log: the log was lost, or was created again."""
    FUTURE = "future"
    """The log does not have its offset yet: an older state of the log was restored."""
    NO_SESSION = "no_session"
    """Its ``pid`` names no session that it may continue, and it has no other offset."""
    EARLIER_GAP = "earlier_gap"
    """Its session began with a gap, and it may not know that."""


class Result(StrEnum):
    """What a consumer that came back got, for the metrics."""

    RECOVERED = "recovered"
    """Its session, and all missed events."""
    RESUMED = "resumed"
    """All missed events; its session has ended, or it had none."""
    GAP = "gap"
    """The announcement that it may have missed events."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a consumer starts.

    Attributes:
        position: the consumer receives the events after this offset.
        recovered: it continues its session.
        gap: events of its rooms may have been missed.
        has_past: it came back: it said something about its past.
        cause: why there is a gap; None: there is none.
    """

    position: Offset
    recovered: bool = False
    gap: bool = False
    has_past: bool = field(default=False, compare=False)
    cause: GapCause | None = field(default=None, compare=False)

    @property
    def result(self) -> Result | None:
        """What the consumer got; None if it did not come back."""
        if not self.has_past:
            return None
        if self.gap:
            return Result.GAP
        return Result.RECOVERED if self.recovered else Result.RESUMED


def resume(
    request: ResumeRequest, session: SessionPast | None, bounds: Bounds | None, head: Offset
) -> Start:
    """Decide where a consumer starts.

    The tests of this module have a row for each rule.

    Args:
        request: what the client says about its past.
        session: the session that its ``pid`` names, or None if there is no such session.
        bounds: the log's bounds, read after the client's request. None is enough for a client
            without a past.
        head: the position up to which this server has delivered. A consumer without a past, or
            with a gap, starts here.
    """
    if bounds is None or not request.has_past:
        return Start(head)
    if session is not None:
        position = _recovery_position(session, _parse(request.last_offset), bounds)
        if position is not None:
            return Start(position, recovered=True, has_past=True)
    offset = _parse(request.last_offset)
    if request.since is not None:
        if bounds.has_all_after(request.since):
            return Start(request.since, has_past=True)
        cause = gap_cause(request.since, bounds)
    elif offset == head and bounds.has_all_after(head):
        return Start(head, has_past=True)
    elif session is not None:
        cause = _cause_in_session(session, offset, bounds)
    else:
        cause = GapCause.NO_SESSION if offset is None else gap_cause(offset, bounds)
    if not request.has_rooms:
        return Start(head, has_past=True)
    return Start(head, gap=True, has_past=True, cause=cause)


def gap_cause(offset: Offset, bounds: Bounds) -> GapCause:
    """Return why a consumer cannot continue after an offset."""
    if offset.epoch != bounds.position.epoch:
        return GapCause.EPOCH
    if offset.seq > bounds.position.seq:
        return GapCause.FUTURE
    return GapCause.RETENTION if offset.seq < bounds.oldest.seq else GapCause.NO_SESSION


def _cause_in_session(session: SessionPast, offset: Offset | None, bounds: Bounds) -> GapCause:
    """Return why a session cannot continue."""
    start = _start_in_session(session, offset)
    return GapCause.EARLIER_GAP if start is None else gap_cause(start, bounds)


def _recovery_position(
    session: SessionPast, offset: Offset | None, bounds: Bounds
) -> Offset | None:
    """Return the offset after which a session continues; None if events may be missing."""
    start = _start_in_session(session, offset)
    if start is None:
        return None
    if bounds.has_all_after(start):
        return start
    if start.epoch != bounds.position.epoch or start.seq > bounds.position.seq:
        return None
    # The retention has passed the start. Nothing is missing if the client has received the last
    # event that was written to it: the events in between were not for this consumer.
    last_seen = session.last_seen
    if last_seen is None or start.seq < last_seen.last_seq:
        return None
    return last_seen.position if last_seen.position.seq >= bounds.oldest.seq else None


def _start_in_session(session: SessionPast, offset: Offset | None) -> Offset | None:
    """Return the offset up to which the client has the session's events; None: it has a gap."""
    start = session.start
    if offset is not None and offset.epoch == start.epoch and offset.seq >= start.seq:
        return offset
    return None if session.began_with_gap else start


def _parse(offset: object) -> Offset | None:
    """Read the offset that a client claims; None if it is not an offset."""
    try:
        return None if offset is None else Offset.parse(offset)
    except InvalidOffset:
        return None
