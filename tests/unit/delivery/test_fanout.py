"""Fan-out: live, parked and replaying cursors, without holes and without duplicates."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sio_server.contract.events import Offset, Record
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp
from sio_server.delivery.resume import Start
from tests.unit.delivery.node import Node, Outlet, is_live, offset, turns, until


async def test_an_event_reaches_the_members_of_its_rooms(node: Node) -> None:
    """No other consumer gets it, and ``deliver`` returns the number of recipients."""
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
    """The number of common rooms does not matter."""
    rooms = ("catalog", "material:roble", "author:ana", "type:furniture_created", "furniture:1")
    _, outlet = node.join(rooms)
    _, other = node.join(rooms[1:3])
    assert node.publish(*rooms) == 2
    assert outlet.seqs == other.seqs == [1]


async def test_a_second_common_room_costs_no_call_for_each_recipient(node: Node) -> None:
    """The calls of Python functions are counted, because each of them takes as long as a send."""
    rooms = ("catalog", "material:roble", "author:ana")
    members = 100
    for _ in range(members):
        node.join(rooms)

    def calls(*names: str) -> int:
        count = 0

        def count_call(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(count_call)
        try:
            assert node.publish(*names) == members
        finally:
            sys.setprofile(None)
        return count

    assert calls(*rooms) - calls("catalog") < members


async def test_an_event_that_was_delivered_before_is_skipped(node: Node) -> None:
    """A tail may start before the position that the server started at."""
    _, outlet = node.join()
    node.publish("catalog")
    node.publish("catalog")
    assert node.fanout.deliver(node.log.records) == [0, 0]
    assert outlet.seqs == [1, 2]
    assert node.fanout.position == offset(2)
    assert node.publish("catalog") == 1


async def test_an_event_is_encoded_once_for_each_class_of_outlet(node: Node) -> None:
    """All outlets of a class get the same frame."""
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
    """It starts at the head, and nothing is replayed."""
    node.publish("catalog")
    reports: list[Any] = []
    cursor, outlet = node.join(on_caught_up=reports.append)
    assert [(report.position, report.replayed) for report in reports] == [(offset(1), 0)]
    assert is_live(cursor)
    assert node.log.reads == 0
    node.publish("catalog")
    assert outlet.seqs == [2]


@pytest.mark.parametrize("since", range(6))
async def test_with_since_the_missed_events_come_first(since: int, node: Node) -> None:
    """The report and the live events follow. Only events of the cursor's rooms count."""
    for number in range(5):
        node.publish("catalog", f"parity:{number % 2}")
    order: list[Any] = []

    class RecordingOutlet(Outlet):
        def write(self, frame: Any) -> bool:
            order.append(frame[0].offset.seq)
            return super().write(frame)

    cursor, _ = node.join(["parity:0"], since, RecordingOutlet(), on_caught_up=order.append)
    await until(lambda: is_live(cursor))
    node.publish("catalog", "parity:0")
    missed = [seq for seq in (1, 3, 5) if seq > since]
    assert order == [*missed, CaughtUp(Start(offset(since)), offset(5), len(missed)), 6]


async def test_events_during_a_replay_are_neither_lost_nor_repeated(node: Node) -> None:
    """They belong to the replay, in the log's order."""
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
    assert [(report.position, report.replayed) for report in reports] == [(offset(end), end)]


@pytest.mark.parametrize("bound", [0, 1, 5])
async def test_a_consumer_over_its_bound_is_parked(bound: int, node: Node) -> None:
    """When it reads again, it gets the missed events first and then the live ones."""
    cursor, outlet = node.join(outlet=Outlet(bound))
    _, other = node.join()
    for _ in range(10):
        node.publish("catalog")
    assert not is_live(cursor)
    assert (node.parked, node.fanout.parked_now) == (1, 1)
    await turns()
    assert outlet.seqs == list(range(1, bound + 2))
    assert other.seqs == list(range(1, 11))
    while not is_live(cursor):
        outlet.read()
        await turns()
    node.publish("catalog")
    assert outlet.seqs == list(range(1, 12))
    assert node.delivered == 22
    assert node.replayed == 10 - (bound + 1)
    assert node.fanout.parked_now == (not is_live(cursor))
    assert outlet.closed == 0


async def test_the_event_that_parks_a_consumer_is_delivered_to_it(node: Node) -> None:
    """The consumer counts as a recipient, whether or not other consumers are in the room."""
    node.join(outlet=Outlet(0))
    assert node.publish("catalog") == 1
    assert node.delivered == 1
    node.join(["a", "b"], outlet=Outlet(0))
    node.join(["b"], outlet=Outlet(0))
    assert node.publish("a", "b") == 2
    assert node.delivered == 3


async def test_a_parked_consumer_costs_no_reads(node: Node) -> None:
    """The log is read only after the consumer has read."""
    _, outlet = node.join(outlet=Outlet(0))
    for _ in range(100):
        node.publish("catalog")
        await asyncio.sleep(0)
    assert node.log.reads == 0
    assert outlet.seqs == [1]


async def test_a_room_counts_from_the_position_of_its_subscribe(node: Node) -> None:
    """A live cursor gets only later events of the room."""
    cursor, outlet = node.join(["a"])
    node.publish("b")
    node.fanout.subscribe(cursor, ["b", "a"])
    node.publish("b")
    node.publish("a")
    assert outlet.seqs == [2, 3]
    assert set(cursor.rooms) == {"a", "b"}


async def test_a_room_that_a_parked_cursor_adds_counts_from_its_subscribe(node: Node) -> None:
    """The cursor itself stands at an older position."""
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


async def test_the_catalogue_counts_from_the_subscribe_of_a_parked_cursor(node: Node) -> None:
    """The catalogue contains every event, but missed events of other rooms stay excluded."""
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


async def test_a_room_that_is_entered_again_counts_from_the_last_subscribe(node: Node) -> None:
    """Events between leaving and entering are not for this consumer."""
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
    """This holds for live and parked cursors. Rooms that the cursor is not in are ignored."""
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


async def test_a_cursor_without_rooms_can_subscribe_again(node: Node) -> None:
    """It stays in the fan-out when it leaves its last room."""
    cursor, outlet = node.join(["a"])
    node.fanout.unsubscribe(cursor, ["a"])
    assert node.publish("a") == 0
    node.fanout.subscribe(cursor, ["a"])
    assert node.publish("a") == 1
    assert outlet.seqs == [2]


async def test_a_live_cursor_that_left_gets_no_events(node: Node) -> None:
    """It may leave twice, and its rooms are forgotten."""
    cursor, outlet = node.join(["a", "b"])
    for _ in range(2):
        node.fanout.leave(cursor)
    assert node.publish("a", "b") == 0
    assert outlet.seqs == []
    assert list(node.fanout.room_sizes()) == []


async def test_a_cursor_may_leave_before_it_joins(node: Node) -> None:
    """A connection may end before its consumer has started. The consumer receives nothing."""
    node.publish("catalog")
    outlet = Outlet()
    cursor = Cursor(outlet, ["catalog"], offset(0))
    node.fanout.leave(cursor)
    node.fanout.join(cursor, Start(offset(1)), lambda caught_up: None)
    assert node.publish("catalog") == 0
    assert outlet.seqs == []


async def test_a_cursor_may_leave_during_its_report(node: Node) -> None:
    """The report comes at once, or after a replay."""
    node.publish("catalog")
    for since in (None, 0):
        outlet = Outlet()
        cursor = Cursor(outlet, ["catalog"], offset(0))
        start = Start(node.fanout.position if since is None else offset(since))
        node.fanout.join(cursor, start, lambda _, joined=cursor: node.fanout.leave(joined))
        await turns()
        before = list(outlet.seqs)
        assert node.publish("catalog") == 0
        await turns()
        assert outlet.seqs == before


@pytest.mark.parametrize("moment", range(14))
async def test_a_cursor_may_leave_at_any_moment_of_a_replay(moment: int, node: Node) -> None:
    """Nothing is written or reported after that, and no task is left."""
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
async def test_a_cursor_may_leave_at_any_moment_of_parking(
    moment: int, reads: bool, node: Node
) -> None:
    """At that moment it waits for its consumer or for the log."""
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
    assert node.fanout.parked_now == 0
    assert asyncio.all_tasks() == tasks


async def test_a_cursor_may_leave_while_it_waits_for_the_tail(node: Node) -> None:
    """Other waiting cursors still become live."""
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


async def test_a_cursor_may_leave_while_the_log_fails(node: Node) -> None:
    """The log is read again only after a pause, and not at all after the cursor left."""
    node.publish("catalog")
    node.log.available = False
    tasks = asyncio.all_tasks()
    cursor, _ = node.join(since=0)
    await turns()
    assert node.log.reads == 1
    node.fanout.leave(cursor)
    await turns()
    assert asyncio.all_tasks() == tasks


async def test_commands_of_a_cursor_that_left_are_ignored(node: Node) -> None:
    """A command may still run when its connection ends."""
    cursor, _ = node.join(["a"])
    node.fanout.leave(cursor)
    node.fanout.subscribe(cursor, ["b"])
    node.fanout.unsubscribe(cursor, ["a"])
    assert node.publish("a", "b") == 0


async def test_a_failing_catch_up_closes_only_its_own_outlet(
    node: Node,
) -> None:
    """The failure is one log line."""

    class Broken(Outlet):
        def write(self, frame: Any) -> bool:
            raise RuntimeError("broken outlet")

    node.publish("catalog")
    with capture_logs() as lines:
        _, outlet = node.join(since=0, outlet=Broken())
        cursor, other = node.join(since=0)
        await until(lambda: outlet.closed and is_live(cursor))
    assert other.seqs == [1]
    assert [line["event"] for line in lines] == ["catch_up_failed"]


ROOMS = ("a", "b", "catalog")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["a", "b", "ab", "c"])),
        st.tuples(st.just("deliver"), st.integers(1, 5)),
        st.tuples(st.just("deliver together"), st.integers(1, 5)),
        st.tuples(st.just("turns"), st.integers(1, 6)),
        st.tuples(st.just("read"), st.none()),
        st.tuples(st.just("subscribe"), st.sampled_from(ROOMS)),
        st.tuples(st.just("unsubscribe"), st.sampled_from(ROOMS)),
    ),
    max_size=60,
)


class Membership:
    """The events that a consumer must get, and those that it may get, by its times in rooms.

    An event that is appended but not yet delivered when a room is entered or left may come or not.
    """

    def __init__(self, rooms: Iterable[str], after: int) -> None:
        self._since = dict.fromkeys(rooms, (after, after))
        self._earlier: list[tuple[str, int, int]] = []

    def subscribe(self, room: str, position: int, end: int) -> None:
        """Enter a room. ``position`` is the fan-out's, and ``end`` is the log's."""
        self._since.setdefault(room, (position, end))

    def unsubscribe(self, room: str, end: int) -> None:
        """Leave a room. ``end`` is the log's."""
        if room in self._since:
            self._earlier.append((room, self._since.pop(room)[0], end))

    def must(self, record: Record) -> bool:
        """Tell whether the record came after the consumer entered a room that it is still in."""
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
    """Run a schedule with one consumer, and compare its events with its membership."""
    node = Node(recent_events=recent)
    node.log.examined = examined
    for number in range(4):
        node.publish("catalog", "ab"[number % 2])
    reports: list[Any] = []
    cursor, outlet = node.join(rooms, since, Outlet(bound), on_caught_up=reports.append)
    membership = Membership(rooms, 4 if since is None else since)
    for action, value in schedule:
        if action == "append":
            node.log.add("catalog", *value)
        elif action == "deliver":
            node.deliver(value)
        elif action == "deliver together":
            node.deliver_together(value)
        elif action == "turns":
            await turns(value)
        elif action == "read":
            outlet.read()
        elif action == "subscribe":
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
    """It appends, delivers, reads, and enters and leaves rooms, in any order."""
    asyncio.run(play(schedule, rooms, since, bound, examined, recent))


async def test_events_that_are_delivered_together_are_one_write_for_each_consumer(
    node: Node,
) -> None:
    """A consumer gets those of its rooms, each once, in the log's order."""
    _, everything = node.join(["catalog", "material:roble"])
    _, oak = node.join(["material:roble"])
    _, nothing = node.join(["material:pino"])
    for rooms in (("catalog",), ("catalog", "material:roble"), ("material:roble",)):
        node.log.add(*rooms)
    assert node.deliver_together() == [1, 2, 2]
    assert (everything.seqs, everything.writes) == ([1, 2, 3], 1)
    assert (oak.seqs, oak.writes) == ([2, 3], 1)
    assert nothing.writes == 0
    assert node.delivered == 5


async def test_events_that_are_delivered_together_may_park_a_consumer(node: Node) -> None:
    """It has got all of them. Later ones follow when it has read."""
    cursor, outlet = node.join(outlet=Outlet(1))
    for _ in range(3):
        node.log.add("catalog")
    assert node.deliver_together() == [1, 1, 1]
    assert (node.parked, is_live(cursor)) == (1, False)
    node.publish("catalog")
    outlet.read()
    await until(lambda: is_live(cursor))
    assert outlet.seqs == [1, 2, 3, 4]
    assert node.delivered == 4


@pytest.mark.parametrize("is_together", [False, True])
async def test_an_event_that_cannot_be_encoded_costs_no_other_event(
    is_together: bool, node: Node
) -> None:
    """The failure is one log line, with the event's offset."""

    class Strict(Outlet):
        @staticmethod
        def encode(record: Record) -> Any:
            if record.offset.seq == 2:
                raise ValueError("not this one")
            return [record]

    _, outlet = node.join(outlet=Strict())
    for _ in range(3):
        node.log.add("catalog")
    with capture_logs() as lines:
        assert (node.deliver_together if is_together else node.deliver)() == [1, 0, 1]
    assert outlet.seqs == [1, 3]
    assert [(line["event"], line["offset"]) for line in lines] == [
        ("encoding_failed", str(offset(2)))
    ]


@pytest.mark.parametrize("is_together", [False, True])
async def test_a_failing_outlet_costs_no_other_consumer_an_event(
    is_together: bool, node: Node
) -> None:
    """The outlet is dropped, and the others get all events."""

    class Failing(Outlet):
        def write(self, frame: Any) -> bool:
            raise OSError("gone")

    _, first = node.join()
    _, failing = node.join(outlet=Failing())
    _, last = node.join()
    for _ in range(2):
        node.log.add("catalog")
    assert (node.deliver_together if is_together else node.deliver)() == [2, 2]
    assert first.seqs == last.seqs == [1, 2]
    assert failing.closed == 1
    assert node.delivered == 4


async def test_a_jump_drops_live_consumers_once(node: Node) -> None:
    """A consumer in a room may have missed events. A consumer without rooms has not."""
    _, outlet = node.join(["catalog", "material:roble"])
    quiet, nothing = node.join([])
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 0))
    assert (outlet.closed, nothing.closed) == (1, 0)
    assert is_live(quiet)
    record = Record(Offset("new", 1), "furniture_created", ("catalog", "material:roble"), "{}")
    assert node.fanout.deliver([record]) == [0]
    assert outlet.seqs == [1]
    assert node.fanout.position == Offset("new", 1)


async def test_a_consumer_that_joins_after_a_jump_starts_at_the_new_head(node: Node) -> None:
    """It receives the next event."""
    node.publish("catalog")
    node.fanout.jump_to(Offset("new", 7))
    cursor, outlet = node.join()
    assert cursor.position == Offset("new", 7)
    record = Record(Offset("new", 8), "furniture_created", ("catalog",), "{}")
    assert node.fanout.deliver([record]) == [1]
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


@pytest.mark.parametrize("since", [None, 1, 3])
async def test_a_consumer_has_seen_no_event_of_its_room_from_before_it_was_there(
    since: int | None, node: Node
) -> None:
    """Other members have received it. A replayed or a live event counts."""
    node.join(["material:roble"])
    for _ in range(3):
        node.publish("material:roble")
    cursor, outlet = node.join(["material:roble"], since)
    await until(lambda: is_live(cursor))
    assert node.fanout.last_seen(cursor) == (offset(3), 3 if outlet.seqs else 0)
    node.publish("material:pino")
    assert node.fanout.last_seen(cursor) == (offset(4), 3 if outlet.seqs else 0)
    node.publish("material:roble")
    assert node.fanout.last_seen(cursor) == (offset(5), 5)
