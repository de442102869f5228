"""What consumers are owed: delivery and recovery as rules over plain lists. Pure.

Places are the events' numbers in the log: 1, 2, 3, … A consumer that stands at a place has got all
that is for it up to there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sio_server.contract.events import Event
from tests.chaos.order import rooms_of, same


class Position(NamedTuple):
    """A place in one of the logs that there have been."""

    epoch: str
    place: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.place}"

    @classmethod
    def parse(cls, offset: str) -> Position:
        """Read an offset."""
        epoch, _, place = offset.rpartition("-")
        return cls(epoch, int(place))


class Answer(NamedTuple):
    """What a publisher is told: the place, and whether that is an earlier append's."""

    place: int
    duplicate: bool


class Log:
    """The log: all events that were ever appended, of which those up to ``oldest`` are gone.

    Args:
        epoch: its name.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.oldest = 0
        self.events: list[Event] = []
        self.rooms: list[frozenset[str]] = []

    @property
    def end(self) -> int:
        """The place of the last event."""
        return len(self.events)

    @property
    def position(self) -> Position:
        """The log's end, as a position."""
        return Position(self.epoch, self.end)

    def append(self, events: list[Event]) -> list[Answer | None]:
        """Append events; return the answers, None for an id that another event has."""
        kept = {it.id: place for place, it in enumerate(self.events, 1) if place > self.oldest}
        answers: list[Answer | None] = []
        for event in events:
            place = kept.get(event.id)
            if place is None:
                self.events.append(event)
                kept[event.id] = self.end
                answers.append(Answer(self.end, duplicate=False))
            elif _is_same(event, self.events[place - 1]):
                answers.append(Answer(place, duplicate=True))
            else:
                answers.append(None)
        self.rooms = rooms_of(self.events)  # type: ignore[arg-type] - an event is as good as told
        return answers

    def has(self, since: Position) -> bool:
        """Tell whether all that came after a position is there."""
        return since.epoch == self.epoch and self.oldest <= since.place <= self.end

    def owed(self, after: int, rooms: Mapping[str, int], until: int | None = None) -> list[int]:
        """Return the places of the events that a consumer gets which stands at a place.

        Args:
            after: where it stands.
            rooms: its rooms, each with the place that it counts from.
            until: the last place that counts; None: the end.
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
class Session:
    """What a client can come back to.

    Attributes:
        start: where it began; what came before is not its own.
        may_start: the earliest place that the server may have noted as its start.
        rooms: each with the place that it counts from.
        gap: it began with one, of which its client may not know.
        said: the place of the last event that its client has said to have got.
        written: the place of the last event that was written to its consumer.
        stood: up to where its consumer was written all that is for it, when the server saw it go.
        left: when it was last connected; None: it is.
        ended: for good.
    """

    pid: str
    sid: str
    start: Position
    may_start: int
    rooms: dict[str, int]
    gap: bool = False
    said: int = 0
    written: int = 0
    stood: int | None = None
    left: float | None = None
    ended: bool = False


@dataclass(frozen=True)
class Ways:
    """What a client that comes back may meet with.

    Attributes:
        after: it goes on with its session after one of these places; none: it can't.
        lost: it may get a fresh session.
    """

    after: frozenset[int] = frozenset()
    lost: bool = False

    def __or__(self, other: Ways) -> Ways:
        return Ways(self.after | other.after, self.lost or other.lost)


LOST = Ways(lost=True)


def ways_back(log: Log, session: Session, claim: Position | None) -> Ways:
    """Return what a client meets with that has this session, and says that it got this last."""
    start = session.start
    if session.ended or start.epoch != log.epoch:
        return LOST
    ways = Ways()
    own = claim is not None and claim.epoch == start.epoch
    if claim is not None and own and claim.place >= session.may_start:
        ways |= _ways_from(log, session, claim.place, counts=True)
    if claim is None or not own or claim.place < start.place:
        ways |= _ways_from(log, session, start.place, counts=False)
    return ways


def _ways_from(log: Log, session: Session, place: int, *, counts: bool) -> Ways:
    """Return the ways after a place: its client's own word, or where its session began."""
    if not counts and session.gap:
        return LOST  # it may not have been told yet
    if place > log.end:
        return LOST
    if place >= log.oldest:
        begins = {place} if counts else {place, session.may_start}
        return Ways(frozenset(begins), lost=min(begins) < log.oldest)
    # The retention has passed it. It is not told a gap because of events that were not for it,
    # where the server saw it go.
    got = max(place, session.said)
    if log.owed(got, session.rooms, until=log.oldest):
        return LOST
    seen = session.stood is not None and session.stood >= log.oldest
    # What was written for a room that it has left since may be missed all the same.
    return Ways(frozenset((got,)), lost=not seen or session.written > place)


@dataclass
class Beginning:
    """How a connection begins, as its ``ready`` has to say.

    Attributes:
        low: the log's end when it was opened.
        since: what it asked for.
        since_was_good: the log had all after that when it was opened.
        recovered: it goes on with its session.
        lost: it wanted to, and events may have been missed; None: either may be said.
    """

    low: int
    since: Position | None = None
    since_was_good: bool = False
    recovered: bool = False
    lost: bool | None = False


@dataclass
class Connection:
    """What one connection has to be written.

    Attributes:
        passed: up to here it was written all that is for it.
        may_have: other places that it may have begun after.
        behind: it may still have to catch up: it is served from the log.
        replayed: how many events came before ``ready``.
        ready: that has come.
    """

    log: Log
    rooms: dict[str, int]
    beginning: Beginning
    session: Session | None
    passed: int
    may_have: frozenset[int] = frozenset()
    behind: bool = False
    replayed: int = 0
    ready: bool = False

    def hear(self, messages: list[list[Any]], *, waits: bool) -> None:
        """Take the events that were written to it since the last time.

        Args:
            messages: name and arguments.
            waits: it may still wait for its client or for the log; otherwise nothing is missing.
        """
        for name, *arguments in messages:
            if name == "ready":
                self._hear_ready(*arguments)
            elif name.startswith("furniture_"):
                self._hear_event(name, *arguments)
            else:
                raise AssertionError(f"unexpected: {name} {arguments}")
        if waits:
            return
        missing = self.log.owed(self.passed, self.rooms)
        assert not missing, f"not delivered: {missing}"
        assert self.ready, "no ready"
        self.passed = self.log.end

    def _hear_event(self, name: str, event: dict[str, Any], offset: str | None = None) -> None:
        self._settle_beginning(event["id"])
        due = self.log.owed(self.passed, self.rooms)
        assert due, f"not its event: {offset} {event}"
        expected = self.log.events[due[0] - 1]
        assert (name, event["type"]) == (expected.type, expected.type)
        assert (event["id"], event["furniture"]) == (expected.id, expected.furniture), due
        if self.session is not None:
            self.session.written = max(self.session.written, due[0])
            assert offset == str(Position(self.log.epoch, due[0]))
        self.passed = due[0]
        self.replayed += not self.ready

    def _settle_beginning(self, id: str) -> None:
        """Tell by the first event where it began."""
        for after in self.may_have:
            due = self.log.owed(after, self.rooms)
            if due and self.log.events[due[0] - 1].id == id:
                self.passed = after
        self.may_have = frozenset()

    def _hear_ready(self, ready: dict[str, Any]) -> None:
        assert not self.ready, "ready twice"
        self.ready = True
        position = Position.parse(ready["position"])
        assert position.epoch == self.log.epoch
        assert self.beginning.low <= position.place <= self.log.end
        assert ready["recovered"] == self.beginning.recovered
        assert ready["rooms"] == sorted(self.rooms)
        assert ready["replayed"] == self.replayed
        gap = ready["gap"]
        assert not (gap and self.replayed), "a gap, and a replay"
        begins_here = self._begins_here(gap=gap, place=position.place)
        if begins_here:
            assert not self.replayed
            if self.session is not None:
                self.session.start, self.session.gap = position, gap
                if self.beginning.since is not None and not self.beginning.since_was_good:
                    self.session.may_start = position.place
        else:
            missing = self.log.owed(self.passed, self.rooms, until=position.place)
            assert not missing, f"ready before {missing}"
        assert begins_here or self.passed <= position.place
        self.passed = position.place

    def _begins_here(self, *, gap: bool, place: int) -> bool:
        """Hold ``gap`` to what can have been; tell whether it begins at ``ready``'s position."""
        how = self.beginning
        if how.recovered:
            assert not gap, "recovered, with a gap"
            return False
        if how.since is None:
            assert gap in ((bool(how.lost and self.rooms),) if how.lost is not None else (0, 1))
            return True
        good = self.log.has(how.since)
        if not self.rooms:
            assert not gap, "a gap without rooms"
            return not (how.since_was_good and good)
        if gap:
            assert not (how.since_was_good and good), "a gap of nothing"
        else:
            assert how.since_was_good or good, "a gap was not said"
        return bool(gap)
