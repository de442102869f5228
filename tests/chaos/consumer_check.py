"""Checks the records of one consumer, in their order, against the log.

A *session* continues over recovered connections. Within a session, no event may be missing between
its start and the last event or position that the consumer knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from tests.chaos.history import (
    Changed,
    Changing,
    Connected,
    Connecting,
    Consumer,
    Delivered,
    Disconnected,
    Ready,
)
from tests.chaos.order import Order, same
from tests.chaos.violations import Rule, Violation


@dataclass(slots=True)
class Membership:
    """A membership in a room, with bounds for its start and its end.

    It starts at an unknown place in (low, high], and ends at one in [end_low, end_high].
    """

    room: str
    low: int
    high: int
    end_low: int
    end_high: int

    def may(self, place: int) -> bool:
        """Return whether the event may be delivered because of this room."""
        return self.low < place <= self.end_high

    def must(self, place: int) -> bool:
        """Return whether the event must be delivered because of this room."""
        return self.high < place <= self.end_low

    def skip(self, place: int) -> None:
        """Narrow the bounds: an event that could have been delivered was not."""
        if self.end_low < self.high:
            return  # perhaps the consumer was never in the room
        if place <= self.high:
            self.low = max(self.low, place)
        else:
            self.end_high = min(self.end_high, place - 1)


class ConsumerCheck:
    """The check of one consumer.

    Args:
        consumer: the consumer with its records.
        order: the order of the log.

    Attributes:
        violations: the violations so far.
        gaps: the number of announced gaps.
        recovered: the number of recovered connections.
    """

    def __init__(self, consumer: Consumer, order: Order) -> None:
        self.violations: list[Violation] = []
        self.gaps = 0
        self.recovered = 0
        self._consumer = consumer
        self._order = order
        self._never = order.end + 1
        self._connecting = Connecting(0.0)
        self._connected: Connected | None = None
        self._ready: int | None = None
        self._sid: str | None = None
        self._delivered_before_ready = 0
        self._last_known = self._begin = 0
        self._members: list[Membership] = []
        self._delivered: set[int] = set()
        self._last_delivered = 0
        self._pending_change: tuple[Changing, int] | None = None
        self._unanswered_changes: list[tuple[Changing, int]] = []
        self._old_session: tuple[int, frozenset[str]] | None = None
        self._handlers: dict[type, Callable[..., None]] = {
            Connecting: self._on_connecting,
            Connected: self._on_connected,
            Ready: self._on_ready,
            Delivered: self._on_delivered,
            Changing: self._on_changing,
            Changed: self._on_changed,
            Disconnected: self._on_disconnected,
        }

    def check(self, *, settled: bool) -> list[Violation]:
        """Return all violations.

        Args:
            settled: see ``History``.
        """
        for record in self._consumer.records:
            self._handlers[type(record)](record)
        if settled and self._ready is None:
            self._report(Rule.NEVER_CAME_BACK, "its records end without a ready connection")
        self._end_session(
            self._order.end if settled and self._ready is not None else self._last_known
        )
        return self.violations

    def _report(self, rule: Rule, description: str, place: int | None = None) -> None:
        event = self._order.event(place) if place else None
        self.violations.append(
            Violation(
                rule,
                self._consumer.name,
                description,
                event.offset if event else None,
                event.id if event else None,
            )
        )

    def _unknown(self, offset: str, description: str) -> None:
        name = self._consumer.name
        self.violations.append(Violation(Rule.UNKNOWN_OFFSET, name, description, offset))

    def _on_connecting(self, record: Connecting) -> None:
        self._on_disconnected(None)
        self._connecting = record

    def _on_connected(self, record: Connected) -> None:
        self._connected = record
        self._delivered_before_ready = 0
        if record.recovered:
            self.recovered += 1
            if not self._connecting.resumes or self._sid is None or record.sid != self._sid:
                self._report(Rule.FALSE_RECOVERY, f"sid {record.sid} after {self._sid}")
            return
        if record.sid is not None and record.sid == self._sid:
            self._report(
                Rule.FALSE_RECOVERY, f"a new session with the sid of the old one, {record.sid}"
            )
        since = self._connecting.since
        place = None if since is None else self._order.place(since)
        if since is not None and place is None:
            self._unknown(since, "its own since")
        self._apply_unanswered_changes((), self._last_known)
        wanted = place is None and self._sid is not None and self._connecting.resumes
        former = self._last_known, frozenset(self._rooms())
        self._end_session(max(self._last_known, place or 0))
        self._old_session = former if wanted else None
        self._sid = record.sid
        rooms = ("catalog",) if self._connecting.rooms is None else self._connecting.rooms
        if place is None:
            self._begin_session(rooms, self._last_known, self._order.at_most(record.at))
        else:
            self._begin_session(rooms, place, place)
            self._last_known = place

    def _begin_session(self, rooms: Iterable[str], low: int, high: int) -> None:
        high, end = max(low, high), self._never
        self._members = [Membership(room, low, high, end, end) for room in rooms]
        self._begin = low

    def _on_delivered(self, record: Delivered) -> None:
        if (place := self._order.place(record.offset)) is None or not place:
            self._unknown(record.offset, f"with the event {record.id}")
            return
        event = self._order.event(place)
        if record.id != event.id:
            self._report(Rule.OFFSET_REUSED, f"delivered as {record.id}", place)
        elif (record.type, record.timestamp) != (event.type, event.timestamp) or not same(
            record.furniture, event.furniture
        ):
            self._report(Rule.WRONG_BODY, f"{record}", place)
        if place <= self._last_delivered:
            rule = Rule.DUPLICATE if place in self._delivered else Rule.OUT_OF_ORDER
            self._report(rule, f"after {self._order.event(self._last_delivered).offset}", place)
        self._last_delivered = max(self._last_delivered, place)
        self._delivered.add(place)
        if self._connected is None or (self._ready is not None and place <= self._ready):
            self._report(Rule.NOT_READY, f"ready's place is {self._ready}", place)
        if self._ready is None:
            self._delivered_before_ready += 1
        self._last_known = max(self._last_known, place)

    def _on_ready(self, record: Ready) -> None:
        place = self._order.place(record.position)
        if place is None:
            self._unknown(record.position, "ready's position")
            return
        connected = self._connected
        if connected is None or connected.recovered != record.recovered:
            self._report(Rule.FALSE_RECOVERY, f"ready says recovered={record.recovered}")
        if record.replayed != self._delivered_before_ready:
            self._report(
                Rule.WRONG_COUNT,
                f"{record.replayed} announced, {self._delivered_before_ready} delivered",
            )
        if place < self._last_delivered:
            self._report(Rule.NOT_READY, f"ready's place is {place}", self._last_delivered)
        if place < (surely := self._order.at_least(self._connecting.at)):
            self._report(Rule.STALE_POSITION, f"{record.position}", surely)
        if record.gap:
            self.gaps += 1
            if record.recovered:
                self._report(Rule.GAP_ON_RECOVERED, record.position)
        if self._old_session is not None:
            self._check_gap(place, gap=record.gap)
        if record.gap or not (record.recovered or self._connecting.since is not None):
            self._begin_session(sorted(self._rooms()), place, place)
        self._apply_unanswered_changes(record.rooms, place)
        self._check_rooms(record.rooms, "ready")
        self._last_known = max(self._last_known, place)
        self._ready = place

    def _check_gap(self, place: int, *, gap: bool) -> None:
        """Check that a new session announces a gap if events of the old session are missing."""
        assert self._old_session is not None
        (seen, rooms), self._old_session = self._old_session, None
        rooms |= self._rooms()
        for missed in range(seen + 1, place + 1):
            if not gap and rooms & self._order.rooms[missed] and missed not in self._delivered:
                self._report(Rule.HOLE, "a new session without gap: true", missed)

    def _on_changing(self, record: Changing) -> None:
        self._pending_change = (record, self._last_known)

    def _on_changed(self, record: Changed) -> None:
        if self._pending_change is None:
            return
        (asked, low), self._pending_change = self._pending_change, None
        if record.rooms is None:
            return
        self._change(asked, low, self._order.at_most(record.at))
        self._check_rooms(record.rooms, asked.kind)

    def _change(self, asked: Changing, low: int, high: int) -> None:
        """Change rooms at an unknown place from ``low`` to ``high``."""
        high, end = max(high, low), self._never
        if asked.kind == "subscribe":
            new = [room for room in asked.rooms if room not in self._rooms()]
            self._members += [Membership(room, low, high, end, end) for room in new]
            return
        for member in self._members:
            if member.room in asked.rooms and member.end_high == self._never:
                member.end_low, member.end_high = low, high

    def _apply_unanswered_changes(self, rooms: Collection[str], place: int) -> None:
        """Apply unanswered changes, if the rooms of a later answer show that they happened."""
        for asked, low in self._unanswered_changes:
            done = {room for room in asked.rooms if (room in rooms) == (asked.kind == "subscribe")}
            for room in asked.rooms:
                one = Changing(asked.at, asked.kind, (room,))
                if room in done:
                    self._change(one, low, place)
                elif asked.kind == "subscribe" and room not in self._rooms():
                    self._members.append(Membership(room, low, place + 1, low, place))
        self._unanswered_changes = []

    def _check_rooms(self, rooms: Collection[str], by: str) -> None:
        if set(rooms) != self._rooms() or len(set(rooms)) != len(rooms):
            self._report(
                Rule.WRONG_ROOMS, f"{by} reports {rooms} instead of {sorted(self._rooms())}"
            )

    def _rooms(self) -> set[str]:
        return {member.room for member in self._members if member.end_high == self._never}

    def _on_disconnected(self, record: Disconnected | None) -> None:
        if self._pending_change is not None:
            self._unanswered_changes.append(self._pending_change)
            self._pending_change = None
        self._connected = self._ready = None
        self._delivered_before_ready = 0

    def _end_session(self, last: int) -> None:
        """Compare a session's deliveries with its rooms, up to a place."""
        places = range(self._begin + 1, last + 1)
        by_room: dict[str, list[Membership]] = {}
        for member in self._members:
            by_room.setdefault(member.room, []).append(member)

        def members(place: int) -> list[Membership]:
            return [it for room in self._order.rooms[place] for it in by_room.get(room, ())]

        for place in places:
            if place in self._delivered:
                continue
            for member in members(place):
                if member.must(place):
                    self._report(Rule.HOLE, f"the consumer is in {member.room}", place)
                    break
                if member.may(place):
                    member.skip(place)
        for place in sorted(self._delivered):
            if not any(member.may(place) for member in members(place)):
                consumer_rooms, event_rooms = (
                    sorted(self._rooms()),
                    sorted(self._order.rooms[place]),
                )
                description = f"the consumer is in {consumer_rooms}, the event in {event_rooms}"
                self._report(Rule.FOREIGN, description, place)
        self._delivered = set()
        self._members = []
        self._begin = last
