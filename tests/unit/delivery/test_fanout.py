"""Fan-out: live, parked and replaying cursors, without holes and without duplicates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sio_server.contract.events import Offset, Record
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp
from sio_server.delivery.resume import Start
from tests.unit.delivery.node import Node, Outlet, is_live, offset, turns, until


async def test_an_event_reaches_the_members_of_its_rooms(node: Node) -> None:
    """And nobody else; the answer is how many there are."""
    _, everything = node.join(["catalog"])
    _, oak = node.join(["material:roble"])
    _, pine = node.join(["material:pino"])
    _, nothing = node.join([])
    assert node.publish("catalog", "material:roble") == 2
    assert node.publish("catalog", "material:pino") == 2
    assert node.publish("nowhere") == 0
    assert everything.seqs == [1, 2]
    assert (oak.seqs, pine.seqs, nothing.seqs) == ([1], [2], [])
    assert node.delivered == 4


async def test_a_member_of_several_rooms_gets_one_copy(node: Node) -> None:
    """However many of the event's rooms it is in."""
    rooms = ("catalog", "material:roble", "author:ana", "type:furniture_created", "furniture:1")
    _, outlet = node.join(rooms)
    _, other = node.join(rooms[1:3])
    assert node.publish(*rooms) == 2
    assert outlet.seqs == other.seqs == [1]


async def test_an_event_that_came_before_is_passed_over(node: Node) -> None:
    """A tail may begin before the position that the server began at."""
    _, outlet = node.join()
    node.publish("catalog")
    node.publish("catalog")
    for record in node.log.records:
        assert node.fanout.deliver(record) == 0
    assert outlet.seqs == [1, 2]
    assert node.fanout.position == offset(2)
    assert node.publish("catalog") == 1


async def test_an_event_is_encoded_once_for_each_class_of_outlet(node: Node) -> None:
    """All of a class get the same frame."""
    encoded: list[type] = []

    class Plain(Outlet):
        @staticmethod
        def encode(record: Record) -> Any:
            encoded.append(Plain)
            return [record, "plain"]

    class Other(Outlet):
        @staticmethod
        def encode(record: Record) -> Any:
            encoded.append(Other)
            return [record, "other"]

    plain = [node.join(outlet=Plain())[1] for _ in range(3)]
    other = [node.join(outlet=Other())[1] for _ in range(3)]
    assert node.publish("catalog") == 6
    assert sorted(kind.__name__ for kind in encoded) == ["Other", "Plain"]
    for outlets, form in ((plain, "plain"), (other, "other")):
        assert all(outlet.frames[0] is outlets[0].frames[0] for outlet in outlets)
        assert outlets[0].frames[0][1] == form


async def test_without_since_a_cursor_is_live_at_once(node: Node) -> None:
    """It starts at the end, without a gap, with nothing replayed."""
    node.publish("catalog")
    reports: list[Any] = []
    cursor, outlet = node.join(on_caught_up=reports.append)
    assert [(it.position, it.replayed) for it in reports] == [(offset(1), 0)]
    assert is_live(cursor)
    assert node.log.reads == 0
    node.publish("catalog")
    assert outlet.seqs == [2]


@pytest.mark.parametrize("since", range(6))
async def test_with_since_the_missed_events_come_first(since: int, node: Node) -> None:
    """Then ``started``, then what is live; those that matter only."""
    for number in range(5):
        node.publish("catalog", f"parity:{number % 2}")
    story: list[Any] = []

    class Teller(Outlet):
        def write(self, frame: Any) -> bool:
            story.append(frame[0].offset.seq)
            return super().write(frame)

    cursor, _ = node.join(["parity:0"], since, Teller(), on_caught_up=story.append)
    await until(lambda: is_live(cursor))
    node.publish("catalog", "parity:0")
    missed = [seq for seq in (1, 3, 5) if seq > since]
    assert story == [*missed, CaughtUp(Start(offset(since)), offset(5), len(missed)), 6]


async def test_what_comes_during_a_replay_is_neither_lost_nor_repeated(node: Node) -> None:
    """It belongs to the replay, in its order."""
    for _ in range(300):
        node.publish("catalog")
    reports: list[Any] = []
    cursor, outlet = node.join(since=0, on_caught_up=reports.append)
    while not is_live(cursor):
        if node.fanout.position.seq < 700:
            node.publish("catalog")
        await asyncio.sleep(0)
    end = node.fanout.position.seq
    node.publish("catalog")
    assert outlet.seqs == list(range(1, end + 2))
    assert [(it.position, it.replayed) for it in reports] == [(offset(end), end)]


@pytest.mark.parametrize("bound", [0, 1, 5])
async def test_a_consumer_over_its_bound_is_parked(bound: int, node: Node) -> None:
    """It gets no more until it reads; then all it missed, and what is live again."""
    cursor, outlet = node.join(outlet=Outlet(bound))
    _, other = node.join()
    for _ in range(10):
        node.publish("catalog")
    assert not is_live(cursor)
    assert node.parked == 1
    await turns()
    assert outlet.seqs == list(range(1, bound + 2))
    assert other.seqs == list(range(1, 11))
    while not is_live(cursor):
        outlet.read()
        await turns()
    node.publish("catalog")
    assert outlet.seqs == list(range(1, 12))
    assert node.delivered == 22
    assert outlet.closed == 0


async def test_the_event_that_parks_a_consumer_is_delivered_to_it(node: Node) -> None:
    """It counts among the recipients, alone in a room or not."""
    node.join(outlet=Outlet(0))
    assert node.publish("catalog") == 1
    assert node.delivered == 1
    node.join(["a", "b"], outlet=Outlet(0))
    node.join(["b"], outlet=Outlet(0))
    assert node.publish("a", "b") == 2
    assert node.delivered == 3


async def test_a_parked_consumer_costs_no_reads(node: Node) -> None:
    """It is the log's affair only once it reads."""
    _, outlet = node.join(outlet=Outlet(0))
    for _ in range(100):
        node.publish("catalog")
        await asyncio.sleep(0)
    assert node.log.reads == 0
    assert outlet.seqs == [1]


async def test_a_room_counts_from_the_position_of_its_subscribe(node: Node) -> None:
    """For a live cursor: what comes from now on."""
    cursor, outlet = node.join(["a"])
    node.publish("b")
    node.fanout.subscribe(cursor, ["b", "a"])
    node.publish("b")
    node.publish("a")
    assert outlet.seqs == [2, 3]
    assert set(cursor.rooms) == {"a", "b"}


async def test_a_room_that_a_parked_cursor_adds_counts_from_then(node: Node) -> None:
    """Though the cursor itself is further back."""
    cursor, outlet = node.join(["a"], outlet=Outlet(0))
    node.publish("a")
    node.publish("b")
    node.publish("a")
    node.fanout.subscribe(cursor, ["b", "a"])
    node.publish("b")
    node.publish("a", "b")
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == [1, 3, 4, 5]
    outlet.read()
    node.publish("b")
    assert outlet.seqs == [1, 3, 4, 5, 6]


async def test_the_catalogue_that_a_parked_cursor_adds_counts_from_then(node: Node) -> None:
    """It does not open up what came before."""
    cursor, outlet = node.join(["a"], outlet=Outlet(0))
    node.publish("catalog", "a")
    node.publish("catalog", "b")
    node.publish("catalog", "a")
    node.fanout.subscribe(cursor, ["catalog"])
    node.publish("catalog", "b")
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == [1, 3, 4]


async def test_a_room_that_was_left_and_entered_again_counts_anew(node: Node) -> None:
    """What came between is not for it."""
    cursor, outlet = node.join(["a"], outlet=Outlet(0))
    node.publish("a")
    node.publish("a")
    node.fanout.unsubscribe(cursor, ["a"])
    node.publish("a")
    node.fanout.subscribe(cursor, ["a"])
    node.publish("a")
    while not is_live(cursor):
        outlet.read()
        await turns()
    assert outlet.seqs == [1, 4]


async def test_unsubscribing_takes_effect_at_once(node: Node) -> None:
    """Live or parked, for the rooms that it names; others it may name as well."""
    live, in_live = node.join(["a", "b"])
    parked, in_parked = node.join(["a", "b"], outlet=Outlet(0))
    node.publish("a")
    node.publish("a")
    for cursor in (live, parked):
        node.fanout.unsubscribe(cursor, ["a", "nowhere"])
    node.publish("a")
    node.publish("b")
    while not is_live(parked):
        in_parked.read()
        await turns()
    assert in_live.seqs == [1, 2, 4]
    assert in_parked.seqs == [1, 4]
    assert set(live.rooms) == set(parked.rooms) == {"b"}
    assert node.publish("a") == 0


async def test_a_cursor_without_rooms_is_there_still(node: Node) -> None:
    """It gets what it subscribes to later."""
    cursor, outlet = node.join(["a"])
    node.fanout.unsubscribe(cursor, ["a"])
    assert node.publish("a") == 0
    node.fanout.subscribe(cursor, ["a"])
    assert node.publish("a") == 1
    assert outlet.seqs == [2]


async def test_leaving_live_ends_it(node: Node) -> None:
    """A second time is no trouble, and the rooms are not kept."""
    cursor, outlet = node.join(["a", "b"])
    for _ in range(2):
        node.fanout.leave(cursor)
    assert node.publish("a", "b") == 0
    assert outlet.seqs == []
    assert not any(node.fanout._rooms.values())


async def test_leaving_before_joining_ends_it(node: Node) -> None:
    """The end of a connection may come before its beginning."""
    node.publish("catalog")
    outlet = Outlet()
    cursor = Cursor(outlet, ["catalog"], offset(0))
    node.fanout.leave(cursor)
    assert node.publish("catalog") == 0
    assert outlet.seqs == []


async def test_leaving_while_it_starts_ends_it(node: Node) -> None:
    """Whether it starts at once or after a replay."""
    node.publish("catalog")
    for since in (None, 0):
        outlet = Outlet()
        cursor = Cursor(outlet, ["catalog"], offset(0))
        start = Start(node.fanout.position if since is None else offset(since))
        node.fanout.join(cursor, start, lambda _, it=cursor: node.fanout.leave(it))
        await turns()
        before = list(outlet.seqs)
        assert node.publish("catalog") == 0
        await turns()
        assert outlet.seqs == before


@pytest.mark.parametrize("moment", range(14))
async def test_leaving_at_any_moment_of_a_replay_ends_it(moment: int, node: Node) -> None:
    """Nothing is written any more, ``started`` is not called, no task is left."""
    for _ in range(250):
        node.publish("catalog")
    reports: list[Any] = []
    tasks = asyncio.all_tasks()
    cursor, outlet = node.join(since=0, on_caught_up=reports.append)
    await turns(moment)
    node.fanout.leave(cursor)
    before = list(outlet.seqs), list(reports)
    node.publish("catalog")
    await turns()
    assert (outlet.seqs, reports) == before
    assert outlet.closed == 0
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("moment", range(10))
@pytest.mark.parametrize("reads", [False, True])
async def test_leaving_at_any_moment_of_parking_ends_it(
    moment: int, reads: bool, node: Node
) -> None:
    """While it waits for the consumer, or for the log."""
    tasks = asyncio.all_tasks()
    cursor, outlet = node.join(outlet=Outlet(2))
    for _ in range(10):
        node.publish("catalog")
    if reads:
        outlet.read()
    await turns(moment)
    node.fanout.leave(cursor)
    before = list(outlet.seqs)
    outlet.read()
    node.publish("catalog")
    await turns()
    assert outlet.seqs == before
    assert outlet.closed == 0
    assert asyncio.all_tasks() == tasks


async def test_leaving_while_the_tail_is_waited_for_ends_it(node: Node) -> None:
    """The tail goes on for the others that wait."""
    node.log.add("catalog")
    cursor, _ = node.join(since=0)
    other, outlet = node.join(since=0)
    await turns()
    node.fanout.leave(cursor)
    await turns()
    node.deliver()
    await until(lambda: is_live(other))
    assert not is_live(cursor)
    assert node.publish("catalog") == 1
    assert outlet.seqs == [1, 2]


async def test_leaving_while_the_log_is_away_ends_it(node: Node) -> None:
    """It is asked now and then, not again and again, and then no more."""
    node.publish("catalog")
    node.log.available = False
    tasks = asyncio.all_tasks()
    cursor, _ = node.join(since=0)
    await turns()
    assert node.log.reads == 1
    node.fanout.leave(cursor)
    await turns()
    assert asyncio.all_tasks() == tasks


async def test_a_cursor_that_left_can_be_told_anything(node: Node) -> None:
    """A command may still be at work when its connection ends."""
    cursor, _ = node.join(["a"])
    node.fanout.leave(cursor)
    node.fanout.subscribe(cursor, ["b"])
    node.fanout.unsubscribe(cursor, ["a"])
    assert node.publish("a", "b") == 0


async def test_a_failure_of_one_outlet_closes_it_alone(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """While it catches up, and with a line in the log."""

    class Broken(Outlet):
        def write(self, frame: Any) -> bool:
            raise RuntimeError("broken outlet")

    node.publish("catalog")
    with caplog.at_level(logging.ERROR):
        _, outlet = node.join(since=0, outlet=Broken())
        cursor, other = node.join(since=0)
        await until(lambda: outlet.closed and is_live(cursor))
    assert other.seqs == [1]
    assert [record.getMessage() for record in caplog.records] == ["catch_up_failed"]


ROOMS = ("a", "b", "catalog")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["a", "b", "ab", "c"])),
        st.tuples(st.just("deliver"), st.integers(1, 5)),
        st.tuples(st.just("turns"), st.integers(1, 6)),
        st.tuples(st.just("read"), st.none()),
        st.tuples(st.just("subscribe"), st.sampled_from(ROOMS)),
        st.tuples(st.just("unsubscribe"), st.sampled_from(ROOMS)),
    ),
    max_size=60,
)


class Membership:
    """Which events a consumer must get and which it may, by when it was in which room.

    An event that the log has but the fan-out has not yet, when a room is entered or left, may come
    or not: it was on its way.
    """

    def __init__(self, rooms: Iterable[str], after: int) -> None:
        self._since = dict.fromkeys(rooms, (after, after))
        self._earlier: list[tuple[str, int, int]] = []

    def subscribe(self, room: str, position: int, end: int) -> None:
        """Enter a room while the fan-out has come as far as ``position``, the log to ``end``."""
        self._since.setdefault(room, (position, end))

    def unsubscribe(self, room: str, end: int) -> None:
        """Leave a room while the log ends there."""
        if room in self._since:
            self._earlier.append((room, self._since.pop(room)[0], end))

    def must(self, record: Record) -> bool:
        """Tell whether the record came after a room was entered that was never left since."""
        entered = [end for room, (_, end) in self._since.items() if room in record.rooms]
        return any(record.offset.seq > end for end in entered)

    def may(self, record: Record) -> bool:
        """Tell whether the record came while the consumer was in one of its rooms."""
        seq = record.offset.seq
        now = [start for room, (start, _) in self._since.items() if room in record.rooms]
        return any(seq > start for start in now) or any(
            start < seq <= end for room, start, end in self._earlier if room in record.rooms
        )


async def play(
    schedule: list[tuple[str, Any]],
    rooms: set[str],
    since: int | None,
    bound: int,
    examined: int,
    recent: int,
) -> None:
    """Play a schedule with one consumer, and hold it to what it must get."""
    node = Node(recent_events=recent)
    node.log.examined = examined
    for number in range(4):
        node.publish("catalog", "ab"[number % 2])
    reports: list[Any] = []
    cursor, outlet = node.join(rooms, since, Outlet(bound), on_caught_up=reports.append)
    membership = Membership(rooms, 4 if since is None else since)
    for what, value in schedule:
        if what == "append":
            node.log.add("catalog", *value)
        elif what == "deliver":
            node.deliver(value)
        elif what == "turns":
            await turns(value)
        elif what == "read":
            outlet.read()
        elif what == "subscribe":
            node.fanout.subscribe(cursor, [value])
            membership.subscribe(value, node.fanout.position.seq, len(node.log.records))
        else:
            node.fanout.unsubscribe(cursor, [value])
            membership.unsubscribe(value, len(node.log.records))
    node.deliver()
    async with asyncio.timeout(10):
        while not is_live(cursor):
            outlet.read()
            await turns(3)
    outlet.read()
    node.publish("catalog", "a", "b")
    assert outlet.seqs == sorted(set(outlet.seqs)), "in order, without duplicates"
    must = [record.offset.seq for record in node.log.records if membership.must(record)]
    may = [record.offset.seq for record in node.log.records if membership.may(record)]
    assert set(must) <= set(outlet.seqs), "without holes"
    assert set(outlet.seqs) <= set(may), "nothing of other rooms"
    assert len(reports) == 1
    assert outlet.closed == 0
    assert node.delivered == len(outlet.seqs)
    node.fanout.leave(cursor)


@settings(max_examples=300, deadline=None)
@given(
    steps,
    st.sets(st.sampled_from(ROOMS)),
    st.none() | st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([1, 3, 1000]),
    st.sampled_from([0, 2, 1000]),
)
def test_any_schedule_delivers_each_event_once(
    schedule: list[tuple[str, Any]],
    rooms: set[str],
    since: int | None,
    bound: int,
    examined: int,
    recent: int,
) -> None:
    """Appending, delivering, reading, entering and leaving rooms, in whatever order."""
    asyncio.run(play(schedule, rooms, since, bound, examined, recent))


async def test_an_outlet_that_fails_costs_nobody_else_an_event(node: Node) -> None:
    """It is dropped; the others get the event, and the next ones."""

    class Failing(Outlet):
        def write(self, frame: Any) -> bool:
            raise OSError("gone")

    _, first = node.join()
    _, failing = node.join(outlet=Failing())
    _, last = node.join()
    node.publish("catalog")
    node.publish("catalog")
    assert first.seqs == last.seqs == [1, 2]
    assert failing.closed == 1


async def test_a_jump_drops_live_consumers_once(node: Node) -> None:
    """A consumer in a room may have missed events. A consumer without rooms has not."""
    _, outlet = node.join(["catalog", "material:roble"])
    quiet, nothing = node.join([])
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 0))
    assert (outlet.closed, nothing.closed) == (1, 0)
    assert is_live(quiet)
    record = Record(Offset("new", 1), "furniture_created", ("catalog", "material:roble"), "{}")
    assert node.fanout.deliver(record) == 0
    assert outlet.seqs == [1]
    assert node.fanout.position == Offset("new", 1)


async def test_a_consumer_that_joins_after_a_jump_starts_at_the_new_head(node: Node) -> None:
    """It receives the next event."""
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 7))
    cursor, outlet = node.join()
    assert cursor.position == Offset("new", 7)
    record = Record(Offset("new", 8), "furniture_created", ("catalog",), "{}")
    assert node.fanout.deliver(record) == 1
    assert outlet.seqs == [8]


async def test_a_jump_wakes_a_cursor_that_waits_for_the_tail(node: Node) -> None:
    """The log was ahead of the tail, and the jump brings the head to the log's end."""
    for _ in range(3):
        node.log.add("catalog")
    node.fanout.jump_to(offset(1))
    cursor, outlet = node.join(since=0)
    await until(lambda: outlet.seqs == [1, 2, 3])
    await turns()
    assert not is_live(cursor)
    node.fanout.jump_to(offset(3))
    await until(lambda: is_live(cursor))
    assert outlet.closed == 0
