"""What a consumer is owed: the rules of delivery and of recovery, over plain lists. Pure.

The events of a log have the places 1, 2, 3, … These are the rules:

**Events.** A consumer receives each event that is for one of its rooms: in the log's order, once,
and no other event. The rooms of an event include those of its piece's last known state. A room
counts from the place at which the consumer entered it.

**Sight.** A consumer's token may bound the rooms that it may see. If it may see none of the rooms
of a new state, the event comes to it as the deletion of the piece, with the former state.

**Start.** A connection starts at the log's end. With ``since`` it starts at that offset: the missed
events come first, then ``ready``, then the live events.

**Recovery.** With a ``pid`` and the offset of its last event, a client continues its session after
that event, in the rooms of the session. If the offset is not one of the session, the session
continues from its start. The client gets a fresh session instead if its own has ended, if the log
is another one, or if the retention may have removed events that it has not received.

**Gap.** If a consumer may have missed events, its ``ready`` announces a gap, and it starts at the
log's end. A consumer without rooms cannot miss an event, so it has no gap.

**Slow consumers.** A consumer that does not read is owed the same events. It receives them when it
reads again, or its connection is closed.

Events are published while clients connect, so the server may see the log before or after them. If
both are right, the model has both: see ``Outcomes`` and ``ModelConnection.possible_starts``.

Reading order: ``ModelLog.owed`` says which events a consumer gets, ``reconnect_outcomes`` whether
it recovers its session, and ``ModelConnection`` compares both with the packets of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sio_server.contract.events import EVENT_TYPES, Event
from tests.chaos.order import rooms_of, same


class Position(NamedTuple):
    """A place in the log of an epoch. A history may have several logs, one after another."""

    epoch: str
    place: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.place}"

    @classmethod
    def parse(cls, offset: str) -> Position:
        """Read an offset."""
        epoch, _, place = offset.rpartition("-")
        return cls(epoch, int(place))


Sight = tuple[str, ...]
"""The patterns of the rooms that a consumer may see."""

EVERYTHING: Sight = ("*",)


def allows(sight: Sight, room: str) -> bool:
    """Tell whether a consumer may be in a room."""
    return not {"*", room, f"{room.partition(':')[0]}:*"}.isdisjoint(sight)


class Acknowledgement(NamedTuple):
    """The answer to a publish: the event's place, and whether an earlier publish appended it."""

    place: int
    duplicate: bool


class ModelLog:
    """All events that were ever appended. The retention has removed those up to ``oldest``.

    Args:
        epoch: the name of the log, the first part of its offsets.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.oldest = 0
        self.events: list[Event] = []
        self.rooms: list[frozenset[str]] = []
        self._former: list[Event | None] = []  # each event's last one of the same piece
        self._last: dict[str, Event] = {}

    @property
    def end(self) -> int:
        """The place of the last event."""
        return len(self.events)

    @property
    def position(self) -> Position:
        """The log's end, as a position."""
        return Position(self.epoch, self.end)

    def append(self, events: list[Event]) -> list[Acknowledgement | None]:
        """Append events; return the answers, with None for an id that another event has."""
        places = {
            event.id: place for place, event in enumerate(self.events, 1) if place > self.oldest
        }
        answers: list[Acknowledgement | None] = []
        for event in events:
            place = places.get(event.id)
            if place is None:
                self._append(event)
                places[event.id] = self.end
                answers.append(Acknowledgement(self.end, duplicate=False))
            elif _is_same(event, self.events[place - 1]):
                answers.append(Acknowledgement(place, duplicate=True))
            else:
                answers.append(None)
        self.rooms = rooms_of(self.events)  # type: ignore[arg-type] - it needs type and furniture
        return answers

    def _append(self, event: Event) -> None:
        self.events.append(event)
        piece = event.furniture["furniture_id"]
        self._former.append(self._last.pop(piece, None))
        if event.type != "furniture_deleted":
            self._last[piece] = event

    def view(self, place: int, sight: Sight) -> tuple[str, dict[str, Any]]:
        """Return the type and the furniture of an event as a consumer of its rooms sees it."""
        event, former = self.events[place - 1], self._former[place - 1]
        if any(allows(sight, room) for room in rooms_of([event])[0]):  # type: ignore[list-item]
            return event.type, event.furniture
        assert former is not None, "the consumer is in none of the event's rooms"
        return "furniture_deleted", former.furniture

    def has_all_after(self, since: Position) -> bool:
        """Tell whether every event after a position is in the log."""
        return since.epoch == self.epoch and self.oldest <= since.place <= self.end

    def owed(self, after: int, rooms: Mapping[str, int], until: int | None = None) -> list[int]:
        """Return the places of the events that a consumer gets after a place.

        Args:
            after: the place up to which the consumer has every event for it.
            rooms: its rooms, each with the place from which it counts.
            until: the last place to consider; None: the log's end.
        """
        last = self.end if until is None else until
        return [
            place
            for place in range(after + 1, last + 1)
            if any(place > rooms[room] for room in self.rooms[place - 1] if room in rooms)
        ]


def _is_same(one: Event, other: Event) -> bool:
    return one.type == other.type and same(one.furniture, other.furniture)


@dataclass
class ModelSession:
    """A session that a client may recover.

    Attributes:
        start: its start; earlier events are not part of it.
        earliest_start: the earliest place that the server may have stored as its start.
        rooms: its rooms, each with the place from which it counts.
        gap: it started with a gap, and its client may not know that.
        claimed: the place of the last event that its client claimed to have.
        written: the place of the last event that was written to its consumer.
        complete_until: the place up to which its consumer had every event at a disconnect that the
            server saw; None: the server saw none.
        left_at: the time of its last disconnect; None: it is connected.
        ended: it cannot be recovered any more.
    """

    pid: str
    sid: str
    start: Position
    earliest_start: int
    rooms: dict[str, int]
    gap: bool = False
    claimed: int = 0
    written: int = 0
    complete_until: int | None = None
    left_at: float | None = None
    ended: bool = False


@dataclass(frozen=True)
class Outcomes:
    """The allowed outcomes of a reconnect with a ``pid``.

    Attributes:
        recovered_after: the session may continue after each of these places; empty: it may not.
        fresh: the client may get a fresh session.
    """

    recovered_after: frozenset[int] = frozenset()
    fresh: bool = False

    def __or__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.recovered_after | other.recovered_after, self.fresh or other.fresh)


ONLY_FRESH = Outcomes(fresh=True)


def reconnect_outcomes(log: ModelLog, session: ModelSession, claim: Position | None) -> Outcomes:
    """Return the allowed outcomes of a reconnect.

    Args:
        log: the log at the time of the reconnect.
        session: the session of the client's ``pid``.
        claim: the offset of the last event that the client claims to have; None: it claims none.
    """
    start = session.start
    if session.ended or start.epoch != log.epoch:
        return ONLY_FRESH
    outcomes = Outcomes()
    in_epoch = claim is not None and claim.epoch == start.epoch
    if claim is not None and in_epoch and claim.place >= session.earliest_start:
        outcomes |= _outcomes_after(log, session, claim.place, is_claim=True)
    if claim is None or not in_epoch or claim.place < start.place:
        outcomes |= _outcomes_after(log, session, start.place, is_claim=False)
    return outcomes


def _outcomes_after(
    log: ModelLog, session: ModelSession, place: int, *, is_claim: bool
) -> Outcomes:
    """Return the outcomes for a place: the client's claim, or otherwise the session's start."""
    if not is_claim and session.gap:
        return ONLY_FRESH  # the client may never have received the first ``ready``
    if place > log.end:
        return ONLY_FRESH
    if place >= log.oldest:
        starts = {place} if is_claim else {place, session.earliest_start}
        return Outcomes(frozenset(starts), fresh=min(starts) < log.oldest)
    # The retention has removed events after this place. That is no gap if they were all for
    # other consumers, and if the server saw the disconnect and so knows this.
    received = max(place, session.claimed)
    if log.owed(received, session.rooms, until=log.oldest):
        return ONLY_FRESH
    disconnect_was_seen = (
        session.complete_until is not None and session.complete_until >= log.oldest
    )
    # The client may still miss an event of a room that it has unsubscribed in the meantime.
    return Outcomes(
        frozenset((received,)), fresh=not disconnect_was_seen or session.written > place
    )


@dataclass
class ConnectionStart:
    """The circumstances of a new connection, which decide about its ``ready``.

    Attributes:
        log_end: the log's end when the client connected.
        since: the offset after which the client asked for events; None: it did not ask.
        since_was_in_log: the log had every event after ``since`` when the client connected.
        recovered: the client recovered its session.
        missed_events: the client asked for recovery, got a fresh session, and may have missed
            events; None: `gap` may be true or false.
    """

    log_end: int
    since: Position | None = None
    since_was_in_log: bool = False
    recovered: bool = False
    missed_events: bool | None = False


@dataclass
class ModelConnection:
    """The packets that one connection is owed.

    Attributes:
        received_until: every event for it up to this place was written to it.
        possible_starts: other places after which it may have started.
        may_lag: it may be served from the log, and so its events may still come.
        replayed: the number of events before ``ready``.
        is_ready: ``ready`` was written to it.
        sight: the rooms that its client may see.
    """

    log: ModelLog
    rooms: dict[str, int]
    start: ConnectionStart
    session: ModelSession | None
    received_until: int
    possible_starts: frozenset[int] = frozenset()
    may_lag: bool = False
    replayed: int = 0
    is_ready: bool = False
    sight: Sight = EVERYTHING

    def check(self, events: list[list[Any]], *, may_lag: bool) -> None:
        """Compare the Socket.IO events that were written since the last check with the model.

        Args:
            events: name and arguments of each.
            may_lag: the server may still wait for the client or for the log. Otherwise every event
                must have been written.
        """
        for name, *arguments in events:
            if name == "ready":
                self._check_ready(*arguments)
            elif name in EVENT_TYPES:
                self._check_event(name, *arguments)
            else:
                raise AssertionError(f"unexpected event: {name} {arguments}")
        if may_lag:
            return
        missing = self.log.owed(self.received_until, self.rooms)
        assert not missing, f"events are not delivered: {missing}"
        assert self.is_ready, "ready is missing"
        self.received_until = self.log.end

    def _check_event(self, name: str, event: dict[str, Any], offset: str | None = None) -> None:
        self._settle_start(event["id"])
        owed = self.log.owed(self.received_until, self.rooms)
        assert owed, f"the event is not for this consumer: {offset} {event}"
        place = owed[0]
        expected_type, furniture = self.log.view(place, self.sight)
        assert (name, event["type"]) == (expected_type, expected_type)
        expected_id = self.log.events[place - 1].id
        assert (event["id"], event["furniture"]) == (expected_id, furniture), owed
        if self.session is not None:
            self.session.written = max(self.session.written, place)
            assert offset == str(Position(self.log.epoch, place))
        self.received_until = place
        self.replayed += not self.is_ready

    def _settle_start(self, id: str) -> None:
        """Choose the start by the first event: it is the first one after the start."""
        for after in self.possible_starts:
            owed = self.log.owed(after, self.rooms)
            if owed and self.log.events[owed[0] - 1].id == id:
                self.received_until = after
        self.possible_starts = frozenset()

    def _check_ready(self, ready: dict[str, Any]) -> None:
        assert not self.is_ready, "ready came twice"
        self.is_ready = True
        position = Position.parse(ready["position"])
        assert position.epoch == self.log.epoch
        assert self.start.log_end <= position.place <= self.log.end
        assert ready["recovered"] == self.start.recovered
        assert ready["rooms"] == sorted(self.rooms)
        assert ready["replayed"] == self.replayed
        gap = ready["gap"]
        assert not (gap and self.replayed), "ready announces a gap after a replay"
        starts_at_ready = self._starts_at_ready(gap=gap)
        if starts_at_ready:
            assert not self.replayed
            if self.session is not None:
                self.session.start, self.session.gap = position, gap
                if self.start.since is not None and not self.start.since_was_in_log:
                    self.session.earliest_start = position.place
        else:
            missing = self.log.owed(self.received_until, self.rooms, until=position.place)
            assert not missing, f"ready came before missed events: {missing}"
        assert starts_at_ready or self.received_until <= position.place
        self.received_until = position.place

    def _starts_at_ready(self, *, gap: bool) -> bool:
        """Check ``gap``; tell whether the consumer starts at the position of ``ready``."""
        start = self.start
        if start.recovered:
            assert not gap, "a recovered session has a gap"
            return False
        if start.since is None:
            if start.missed_events is not None:
                assert gap == bool(start.missed_events and self.rooms)
            return True
        is_in_log = self.log.has_all_after(start.since)
        if not self.rooms:
            assert not gap, "a consumer without rooms has a gap"
            return not (start.since_was_in_log and is_in_log)
        if gap:
            assert not (start.since_was_in_log and is_in_log), "a gap without missing events"
        else:
            assert start.since_was_in_log or is_in_log, "a gap was not announced"
        return bool(gap)
