"""One consumer's records, walked through in its own order and held to the log's.

A *session* is what goes on over recovered connections. Within it nothing may be missing between
its start and the last thing that the consumer knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from tests.chaos.history import (
    Changed,
    Changing,
    Connected,
    Consumer,
    Delivered,
    Dropped,
    Opening,
    Ready,
)
from tests.chaos.order import Order, same
from tests.chaos.violations import Rule, Violation


@dataclass(slots=True)
class Member:
    """A time in a room: from somewhere in (low, high] until somewhere in [end_low, end_high]."""

    room: str
    low: int
    high: int
    end_low: int
    end_high: int

    def may(self, place: int) -> bool:
        """Whether the event may come by this room."""
        return self.low < place <= self.end_high

    def must(self, place: int) -> bool:
        """Whether it has to."""
        return self.high < place <= self.end_low

    def skip(self, place: int) -> None:
        """Take note that an event did not come that may have."""
        if self.end_low < self.high:
            return  # it may never have been in the room at all
        if place <= self.high:
            self.low = max(self.low, place)
        else:
            self.end_high = min(self.end_high, place - 1)


class Walk:
    """A consumer's way through its records.

    Args:
        consumer: whose.
        order: the log's.
    """

    def __init__(self, consumer: Consumer, order: Order) -> None:
        self.violations: list[Violation] = []
        self.gaps = 0
        self.recovered = 0
        self._consumer = consumer
        self._order = order
        self._forever = order.end + 1
        self._opening = Opening(0.0)
        self._connected: Connected | None = None
        self._ready: int | None = None
        self._sid: str | None = None
        self._got = 0
        self._seen = self._begin = 0
        self._members: list[Member] = []
        self._delivered: set[int] = set()
        self._last = 0
        self._asked: tuple[Changing, int] | None = None
        self._left_open: list[tuple[Changing, int]] = []
        self._before: tuple[int, frozenset[str]] | None = None
        self._take: dict[type, Callable[..., None]] = {
            Opening: self._opens,
            Connected: self._connects,
            Ready: self._is_ready,
            Delivered: self._gets,
            Changing: self._asks,
            Changed: self._is_answered,
            Dropped: self._is_dropped,
        }

    def check(self, *, settled: bool) -> list[Violation]:
        """Return all that is wrong."""
        for record in self._consumer.records:
            self._take[type(record)](record)
        if settled and self._ready is None:
            self._report(Rule.NEVER_CAME_BACK, "its records end without a connection that is ready")
        self._close(self._order.end if settled and self._ready is not None else self._seen)
        return self.violations

    def _report(self, rule: Rule, what: str, place: int | None = None) -> None:
        event = self._order.event(place) if place else None
        self.violations.append(
            Violation(
                rule,
                self._consumer.name,
                what,
                event.offset if event else None,
                event.id if event else None,
            )
        )

    def _unknown(self, offset: str, what: str) -> None:
        name = self._consumer.name
        self.violations.append(Violation(Rule.UNKNOWN_OFFSET, name, what, offset))

    def _opens(self, record: Opening) -> None:
        self._is_dropped(None)
        self._opening = record

    def _connects(self, record: Connected) -> None:
        self._connected = record
        self._got = 0
        if record.recovered:
            self.recovered += 1
            if not self._opening.resumes or self._sid is None or record.sid != self._sid:
                self._report(Rule.FALSE_RECOVERY, f"sid {record.sid} after {self._sid}")
            return
        if record.sid is not None and record.sid == self._sid:
            self._report(Rule.FALSE_RECOVERY, f"a fresh session with the former's sid {record.sid}")
        since = self._opening.since
        place = None if since is None else self._order.place(since)
        if since is not None and place is None:
            self._unknown(since, "its own since")
        self._settle((), self._seen)
        wanted = place is None and self._sid is not None and self._opening.resumes
        former = self._seen, frozenset(self._rooms())
        self._close(max(self._seen, place or 0))
        self._before = former if wanted else None
        self._sid = record.sid
        rooms = ("catalog",) if self._opening.rooms is None else self._opening.rooms
        if place is None:
            self._start(rooms, self._seen, self._order.at_most(record.at))
        else:
            self._start(rooms, place, place)
            self._seen = place

    def _start(self, rooms: Iterable[str], low: int, high: int) -> None:
        high, end = max(low, high), self._forever
        self._members = [Member(room, low, high, end, end) for room in rooms]
        self._begin = low

    def _gets(self, record: Delivered) -> None:
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
        if place <= self._last:
            rule = Rule.DUPLICATE if place in self._delivered else Rule.OUT_OF_ORDER
            self._report(rule, f"after {self._order.event(self._last).offset}", place)
        self._last = max(self._last, place)
        self._delivered.add(place)
        if self._connected is None or (self._ready is not None and place <= self._ready):
            self._report(Rule.NOT_READY, f"ready's place is {self._ready}", place)
        if self._ready is None:
            self._got += 1
        self._seen = max(self._seen, place)

    def _is_ready(self, record: Ready) -> None:
        place = self._order.place(record.position)
        if place is None:
            self._unknown(record.position, "ready's position")
            return
        connected = self._connected
        if connected is None or connected.recovered != record.recovered:
            self._report(Rule.FALSE_RECOVERY, f"ready says recovered={record.recovered}")
        if record.replayed != self._got:
            self._report(Rule.WRONG_COUNT, f"{record.replayed} said, {self._got} came")
        if place < self._last:
            self._report(Rule.NOT_READY, f"ready's place is {place}", self._last)
        if place < (surely := self._order.at_least(self._opening.at)):
            self._report(Rule.STALE_POSITION, f"{record.position}", surely)
        if record.gap:
            self.gaps += 1
            if record.recovered:
                self._report(Rule.GAP_ON_RECOVERED, record.position)
        if self._before is not None:
            self._must_tell(place, gap=record.gap)
        if record.gap or not (record.recovered or self._opening.since is not None):
            self._start(sorted(self._rooms()), place, place)
        self._settle(record.rooms, place)
        self._told_rooms(record.rooms, "ready")
        self._seen = max(self._seen, place)
        self._ready = place

    def _must_tell(self, place: int, *, gap: bool) -> None:
        """Hold a session that could not go on to its gap: what lies between must be none."""
        assert self._before is not None
        (seen, rooms), self._before = self._before, None
        rooms |= self._rooms()
        for missed in range(seen + 1, place + 1):
            if not gap and rooms & self._order.rooms[missed] and missed not in self._delivered:
                self._report(Rule.HOLE, "a fresh session without gap: true", missed)

    def _asks(self, record: Changing) -> None:
        self._asked = (record, self._seen)

    def _is_answered(self, record: Changed) -> None:
        if self._asked is None:
            return
        (asked, low), self._asked = self._asked, None
        if record.rooms is None:
            return
        self._change(asked, low, self._order.at_most(record.at))
        self._told_rooms(record.rooms, asked.kind)

    def _change(self, asked: Changing, low: int, high: int) -> None:
        """Change rooms, somewhere from ``low`` to ``high``."""
        high, end = max(high, low), self._forever
        if asked.kind == "subscribe":
            new = [room for room in asked.rooms if room not in self._rooms()]
            self._members += [Member(room, low, high, end, end) for room in new]
            return
        for member in self._members:
            if member.room in asked.rooms and member.end_high == self._forever:
                member.end_low, member.end_high = low, high

    def _settle(self, rooms: Collection[str], place: int) -> None:
        """Make of changes that were never answered what the rooms told later show."""
        for asked, low in self._left_open:
            done = {room for room in asked.rooms if (room in rooms) == (asked.kind == "subscribe")}
            for room in asked.rooms:
                one = Changing(asked.at, asked.kind, (room,))
                if room in done:
                    self._change(one, low, place)
                elif asked.kind == "subscribe" and room not in self._rooms():
                    self._members.append(Member(room, low, place + 1, low, place))
        self._left_open = []

    def _told_rooms(self, rooms: Collection[str], by: str) -> None:
        if set(rooms) != self._rooms() or len(set(rooms)) != len(rooms):
            self._report(Rule.WRONG_ROOMS, f"{by} says {rooms}, they are {sorted(self._rooms())}")

    def _rooms(self) -> set[str]:
        return {member.room for member in self._members if member.end_high == self._forever}

    def _is_dropped(self, record: Dropped | None) -> None:
        if self._asked is not None:
            self._left_open.append(self._asked)
            self._asked = None
        self._connected = self._ready = None
        self._got = 0

    def _close(self, upto: int) -> None:
        """Hold a session's events to its rooms, up to a place."""
        places = range(self._begin + 1, upto + 1)
        by_room: dict[str, list[Member]] = {}
        for member in self._members:
            by_room.setdefault(member.room, []).append(member)

        def members(place: int) -> list[Member]:
            return [it for room in self._order.rooms[place] for it in by_room.get(room, ())]

        for place in places:
            if place in self._delivered:
                continue
            for member in members(place):
                if member.must(place):
                    self._report(Rule.HOLE, f"it is in {member.room}", place)
                    break
                if member.may(place):
                    member.skip(place)
        for place in sorted(self._delivered):
            if not any(member.may(place) for member in members(place)):
                shown = f"it is in {sorted(self._rooms())}, the event in "
                shown += str(sorted(self._order.rooms[place]))
                self._report(Rule.FOREIGN, shown, place)
        self._delivered = set()
        self._members = []
        self._begin = upto
