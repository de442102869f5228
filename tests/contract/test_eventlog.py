"""One suite for every event log: each sentence of the contract in ``eventlog/base.py``."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sio_server.contract.errors import IdConflict, LogUnavailable
from sio_server.contract.events import Event, Offset, Receipt, Record
from sio_server.eventlog.contract import AppendResult, EventLog, Page, Retention
from tests.support.eventlogs import KINDS, Clock, new_place
from tests.support.valkey import Valkey

type_names = ("furniture_created", "furniture_updated", "furniture_deleted")
numbers = itertools.count()


class MakeLog(Protocol):
    """Makes logs of the kind under test."""

    def __call__(
        self, retention: Retention = ..., clock: Callable[[], float] = ...
    ) -> Awaitable[EventLog]:
        """Make and open a new, empty log."""


@pytest.fixture(params=KINDS)
async def make_log(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey
) -> AsyncIterator[MakeLog]:
    """Make logs of each kind in turn; they are closed after the test."""
    logs = []

    async def make(
        retention: Retention | None = None, clock: Callable[[], float] | None = None
    ) -> EventLog:
        log = KINDS[request.param](
            new_place(tmp_path, valkey), retention or Retention(), clock or Clock()
        )
        logs.append(log)
        await log.open()
        return log

    yield make
    for log in logs:
        await log.close()


@pytest.fixture
async def log(make_log: MakeLog) -> EventLog:
    """Return an empty log with the default retention."""
    return await make_log()


def event(
    id: str | None = None, *, type: str = "furniture_created", piece: str = "mesa", **fields: Any
) -> Event:
    """Make a valid event."""
    furniture = {
        "furniture_id": piece,
        "nombre": "Mesa",
        "descripcion": "",
        "altura": 75,
        "ancho": 120.5,
        "material": "roble",
        "autor_username": "Juan",
        **fields,
    }
    return Event(type, furniture, id or f"id-{next(numbers)}")


def seqs(answers: list[AppendResult]) -> list[int]:
    """Return the numbers of what was appended."""
    return [answer.offset.seq for answer in answers if isinstance(answer, Receipt)]


def ids(records: list[Record]) -> list[str]:
    """Return the ids of records."""
    return [json.loads(record.body)["id"] for record in records]


async def append(log: EventLog, *events: Event) -> list[Receipt]:
    """Append events none of which is a conflict."""
    answers = await log.append(events)
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert len(receipts) == len(events)
    return receipts


async def read_all(
    log: EventLog,
    after: Offset | None = None,
    rooms: Collection[str] | None = None,
    limit: int = 100,
) -> list[Record]:
    """Read page after page to the end, as a consumer that catches up does."""
    records: list[Record] = []
    while True:
        page = await log.read(after, rooms, limit)
        assert not page.gap
        assert len(page.records) <= limit
        records += page.records
        if page.at_end:
            return records
        assert page.position != after
        after = page.position


async def rooms_of(log: EventLog, receipt: Receipt) -> set[str]:
    """Return the rooms that an appended event went to."""
    before = receipt.offset._replace(seq=receipt.offset.seq - 1)
    rooms = (await log.read(before, None, 1)).records[0].rooms
    assert len(rooms) == len(set(rooms))
    return set(rooms)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.002)


# Order.


async def test_a_new_log_is_empty_and_stands_at_its_epochs_start(log: EventLog) -> None:
    """An empty log's position is its epoch and 0, and is also the oldest offset."""
    bounds = await log.bounds()
    assert bounds.position == bounds.oldest == Offset(bounds.position.epoch, 0)
    assert Offset.parse(str(bounds.position)) == bounds.position
    assert await log.read(None, None, 10) == Page([], bounds.position, at_end=True)
    assert await log.read(bounds.position, None, 10) == Page([], bounds.position, at_end=True)


async def test_every_log_has_an_epoch_of_its_own(make_log: MakeLog) -> None:
    """Two logs never share an epoch."""
    bounds = [await (await make_log()).bounds() for _ in range(3)]
    assert len({bound.position.epoch for bound in bounds}) == 3


async def test_seq_counts_events_from_1(log: EventLog) -> None:
    """Events are numbered without holes in the order in which they were appended."""
    first = await log.append([event("a"), event("b")])
    second = await log.append([event("c")])
    assert seqs(first + second) == [1, 2, 3]
    assert (await log.bounds()).position.seq == 3
    assert ids(await read_all(log)) == ["a", "b", "c"]


async def test_a_record_is_what_was_appended(log: EventLog) -> None:
    """A record's body is the event's own encoding with the receipt's timestamp, to the letter."""
    odd = event(altura=10**99, ancho=1e-7, nombre='"\\\0\n🪑\u2028', extra={"a": [None, True, {}]})
    (receipt,) = await append(log, odd)
    (record,) = await read_all(log)
    assert record.offset == receipt.offset
    assert record.type == odd.type
    assert record.body == odd.body(receipt.timestamp)
    assert receipt == Receipt(odd.id, receipt.offset, "2023-11-14T22:13:20.250Z")


async def test_appending_nothing_changes_nothing(log: EventLog) -> None:
    """An append without events answers with no answers."""
    assert await log.append([]) == []
    assert (await log.bounds()).position.seq == 0


async def test_concurrent_appends_each_are_one_step(log: EventLog) -> None:
    """The events of one append stand side by side, whatever is appended at the same time."""
    calls = [[event(f"{call}-{n}") for n in range(3)] for call in range(50)]
    answers = await asyncio.gather(*map(log.append, calls))
    for call in answers:
        first, *rest = seqs(call)
        assert rest == [first + 1, first + 2]
    assert sorted(itertools.chain(*map(seqs, answers))) == list(range(1, 151))


async def test_others_see_an_append_whole_or_not_at_all(log: EventLog) -> None:
    """A read beside appends of three events never ends within one of them."""
    appends = asyncio.gather(*(log.append([event() for _ in range(3)]) for _ in range(50)))
    seen = [await log.read(None, None, 1_000) for _ in range(20)]
    await appends
    seen.append(await log.read(None, None, 1_000))
    assert [len(page.records) % 3 for page in seen] == [0] * len(seen)
    assert len(seen[-1].records) == 150


# Dedupe.


async def test_a_duplicate_gets_the_first_appends_receipt(make_log: MakeLog) -> None:
    """An id seen before appends nothing, and is answered with the first offset and timestamp."""
    clock = Clock()
    log = await make_log(clock=clock)
    (first,) = await append(log, event("a"))
    await append(log, event("b"))
    clock.now += 60
    (again,) = await append(log, event("a"))
    assert again == Receipt("a", first.offset, first.timestamp, duplicate=True)
    assert ids(await read_all(log)) == ["a", "b"]


async def test_furniture_is_compared_as_json(log: EventLog) -> None:
    """Key order is nothing and 75 equals 75.0; then it is a duplicate, not a conflict."""
    await append(log, event("a", altura=75, extra={"x": [1], "y": None}))
    same = event("a", extra={"y": None, "x": [1.0]}, altura=75.0)
    reordered = Event(same.type, dict(reversed(same.furniture.items())), "a")
    assert (await append(log, reordered))[0].duplicate


@pytest.mark.parametrize(
    "other",
    [
        event("a", type="furniture_updated", flag=True),
        event("a", nombre="Silla"),
        event("a", altura=76),
        event("a", flag=1),
        event("a", flag=None),
    ],
)
async def test_an_id_of_another_event_is_a_conflict(log: EventLog, other: Event) -> None:
    """The same id with another type or furniture is IdConflict, and appends nothing."""
    await append(log, event("a", flag=True))
    (answer,) = await log.append([other])
    assert isinstance(answer, IdConflict)
    assert (await log.bounds()).position.seq == 1


async def test_dedupe_holds_within_one_call(log: EventLog) -> None:
    """A call may hold an id twice; its other events are appended as if it didn't."""
    events = [event("a"), event("b"), event("a"), event("a", nombre="Silla"), event("c")]
    first, second, again, conflict, third = await log.append(events)
    assert seqs([first, second, third]) == [1, 2, 3]
    assert isinstance(first, Receipt)
    assert again == Receipt("a", first.offset, first.timestamp, duplicate=True)
    assert isinstance(conflict, IdConflict)
    assert ids(await read_all(log)) == ["a", "b", "c"]


async def test_concurrent_appends_of_one_id_append_it_once(log: EventLog) -> None:
    """Of many appends of one id at the same time, one is the first and all others duplicates."""
    answers = await asyncio.gather(*(append(log, event("a")) for _ in range(20)))
    assert [receipt.duplicate for (receipt,) in answers].count(False) == 1
    assert {receipt.offset.seq for (receipt,) in answers} == {1}


async def test_an_id_may_come_again_past_the_retention(make_log: MakeLog) -> None:
    """Once its event is gone, an id is new."""
    log = await make_log(Retention(events=2))
    await append(log, event("a"), event("b"), event("c"))
    await eventually(lambda: is_oldest(log, 1))
    (again,) = await append(log, event("a", nombre="Silla"))
    assert not again.duplicate
    assert again.offset.seq == 4


# Rooms.


async def test_an_event_goes_to_its_own_rooms(log: EventLog) -> None:
    """Without an earlier state, the rooms are those of the event itself."""
    (receipt,) = await append(log, event())
    assert await rooms_of(log, receipt) == {
        "catalog",
        "furniture:mesa",
        "type:furniture_created",
        "material:roble",
        "author:Juan",
    }


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("type", type_names)
async def test_an_event_goes_to_the_rooms_of_the_last_state_too(
    log: EventLog, type: str, one_call: bool
) -> None:
    """What shows the old material or author learns that the piece has left, once."""
    events = [
        event(material="roble", autor_username="Juan"),
        event(type="furniture_updated", material="pino", autor_username="Ana"),
        event(type=type, material="haya", autor_username="Ana"),
    ]
    if one_call:
        receipts = await append(log, *events)
    else:
        receipts = [(await append(log, each))[0] for each in events]
    rooms = await rooms_of(log, receipts[2])
    assert rooms >= {"material:haya", "material:pino", "author:Ana"}
    assert not rooms & {"material:roble", "author:Juan"}


@pytest.mark.parametrize("one_call", [True, False])
async def test_a_state_is_known_until_the_piece_is_deleted(log: EventLog, one_call: bool) -> None:
    """After its deletion a piece has no last state, until the next event."""
    events = [
        event(material="roble"),
        event(type="furniture_deleted", material="pino"),
        event(type="furniture_created", material="haya"),
    ]
    if one_call:
        receipts = await append(log, *events)
    else:
        receipts = [(await append(log, each))[0] for each in events]
    assert await rooms_of(log, receipts[1]) >= {"material:pino", "material:roble"}
    assert not await rooms_of(log, receipts[2]) & {"material:pino", "material:roble"}


async def test_a_state_is_known_past_the_retention(make_log: MakeLog) -> None:
    """A piece's last state stays when all its events are gone."""
    log = await make_log(Retention(events=1))
    await append(log, event(material="roble"), event(piece="silla"))
    await eventually(lambda: is_oldest(log, 1))
    (receipt,) = await append(log, event(type="furniture_updated", material="pino"))
    assert "material:roble" in await rooms_of(log, receipt)


async def test_a_duplicate_and_a_conflict_change_no_state(log: EventLog) -> None:
    """Only what is appended changes a piece's last state."""
    await append(log, event("a", material="roble"))
    await append(log, event("b", type="furniture_updated", material="pino"))
    await log.append([event("a", material="roble"), event("b", material="haya")])
    (receipt,) = await append(log, event(type="furniture_updated", material="cedro"))
    rooms = await rooms_of(log, receipt)
    assert "material:pino" in rooms
    assert not rooms & {"material:roble", "material:haya"}


async def test_pieces_have_states_of_their_own(log: EventLog) -> None:
    """One piece's state is nothing to another whose name is like it."""
    names = ["mesa", "MESA", "mesa ", "mesa\0", "mesa\0x", "ｍesa"]
    await append(log, *(event(piece=name, material=f"m{n}") for n, name in enumerate(names)))
    for n, name in enumerate(names):
        (receipt,) = await append(log, event(piece=name, material="pino"))
        materials = {room for room in await rooms_of(log, receipt) if room.startswith("material")}
        assert materials == {f"material:m{n}", "material:pino"}


# Reading.


async def test_a_read_returns_what_came_after_an_offset(log: EventLog) -> None:
    """From any kept offset, a read returns the rest; from None, all."""
    start = (await log.bounds()).position
    receipts = await append(log, *(event(f"e{n}") for n in range(5)))
    for n, offset in enumerate([start, *(receipt.offset for receipt in receipts)]):
        page = await log.read(offset, None, 100)
        assert ids(page.records) == ["e0", "e1", "e2", "e3", "e4"][n:]
        assert page.position == receipts[-1].offset
        assert page.at_end
        assert not page.gap
    assert ids((await log.read(None, None, 100)).records) == ["e0", "e1", "e2", "e3", "e4"]


async def test_a_page_that_is_cut_ends_at_its_last_record(log: EventLog) -> None:
    """Position is the last record's offset; at_end says whether anything lies beyond it."""
    receipts = await append(log, *(event() for _ in range(4)))
    cut = await log.read(None, None, 3)
    assert (cut.position, cut.at_end) == (receipts[2].offset, False)
    whole = await log.read(None, None, 4)
    assert (whole.position, whole.at_end) == (receipts[3].offset, True)


async def test_a_page_cut_among_other_rooms_ends_at_its_last_record(log: EventLog) -> None:
    """A page may be full though no more matches; what lies beyond is still to be read."""
    receipts = await append(log, event(material="pino"), event(piece="b"), event(piece="c"))
    page = await log.read(None, ["material:pino"], 1)
    assert (page.position, page.at_end) == (receipts[0].offset, False)
    assert ids(page.records) == [receipts[0].id]
    rest = await log.read(page.position, ["material:pino"], 1)
    assert rest == Page([], receipts[2].offset, at_end=True)


async def test_limit_0_asks_for_the_end_alone(log: EventLog) -> None:
    """With limit 0 there are no records, and position is the log's end; a gap is still told."""
    receipts = await append(log, event(), event())
    assert await log.read(None, None, 0) == Page([], receipts[1].offset, at_end=True)
    assert await log.read(receipts[0].offset, ["catalog"], 0) == Page(
        [], receipts[1].offset, at_end=True
    )
    assert (await log.read(Offset("other", 0), None, 0)).gap


async def test_a_read_of_large_events_ends_early(log: EventLog) -> None:
    """Nobody who reads holds much at a time; nothing is missed."""
    receipts = await append(log, *(event(descripcion="x" * 9_000) for _ in range(100)))
    page = await log.read(None, None, 1_000)
    assert 9_000 * len(page.records) < 300_000
    assert not page.at_end
    assert page.position == receipts[len(page.records) - 1].offset
    assert [it.offset for it in await read_all(log)] == [it.offset for it in receipts]
    last = await log.read(receipts[98].offset, None, 1_000)
    assert (len(last.records), last.at_end) == (1, True)


async def test_reading_no_rooms_finds_nothing(log: EventLog) -> None:
    """An empty collection of rooms is not all rooms."""
    (receipt,) = await append(log, event())
    assert await log.read(None, [], 10) == Page([], receipt.offset, at_end=True)


async def test_a_record_of_several_rooms_comes_once(log: EventLog) -> None:
    """However many of the rooms asked for an event is in, it is one record."""
    await append(log, event("a"))
    for rooms in ({"material:roble", "author:Juan"}, ["material:roble"] * 2, ("catalog", "x")):
        assert ids((await log.read(None, rooms, 10)).records) == ["a"]


async def test_rare_rooms_are_found_among_many_events(log: EventLog) -> None:
    """A read gives up examining after a while and says where it got to; nothing is missed."""
    rare = []
    for batch in range(12):
        events = [event(piece=f"{batch}-{n}") for n in range(1_000)]
        events[500] = event(f"rare-{batch}", piece=f"r{batch}", material="ébano")
        rare.append(f"rare-{batch}")
        await append(log, *events)
    page = await log.read(None, ["material:ébano"], 100)
    assert not page.at_end
    assert len(page.records) < 12
    assert ids(await read_all(log, None, ["material:ébano"])) == rare
    assert ids(await read_all(log, None, ["material:ébano", "author:Ana"], limit=1)) == rare


@pytest.mark.parametrize(
    ("appended", "asked"),
    [
        ('q"catalog', 'material:q"'),
        ('q"a\\', "material:a\\"),
        ('a"material:b', "material:b"),
        ("a\nmaterial:b", "material:b"),
        ('a"\n"material:b"\n', "material:b"),
        ("100%", "material:100_"),
        ("roble", "material:ROBLE"),
        ("roble", "material:robl"),
        ("roble", "material:roble "),
        ("a\0b", "material:a"),
        ("a", "material:a\0"),
        ("é", "material:e\u0301"),
    ],
)
async def test_room_names_match_whole_and_exactly(log: EventLog, appended: str, asked: str) -> None:
    """A room is found by its own name, never by one that is like it or within it."""
    await append(log, event("a", material=appended))
    assert ids((await log.read(None, [f"material:{appended}"], 10)).records) == ["a"]
    assert (await log.read(None, [asked], 10)).records == []


# Gaps and retention.


async def is_oldest(log: EventLog, seq: int) -> bool:
    """Tell whether all up to a number is gone, and no more."""
    return (await log.bounds()).oldest.seq == seq


async def test_an_offset_of_another_epoch_or_of_the_future_is_a_gap(log: EventLog) -> None:
    """Then nothing is returned, and position is the log's end."""
    (receipt,) = await append(log, event())
    gap = Page([], receipt.offset, at_end=True, gap=True)
    assert await log.read(Offset("other", 1), None, 10) == gap
    assert await log.read(Offset("other", 0), None, 10) == gap
    assert await log.read(receipt.offset._replace(seq=2), None, 10) == gap
    assert not (await log.read(receipt.offset, None, 10)).gap


async def test_events_beyond_the_count_go_oldest_first(make_log: MakeLog) -> None:
    """What is kept is the newest; an offset older than that is a gap, the oldest itself is not."""
    log = await make_log(Retention(events=10))
    for _ in range(7):
        await append(log, *(event() for _ in range(5)))
    await eventually(lambda: is_oldest(log, 25))
    bounds = await log.bounds()
    assert bounds.position == bounds.oldest._replace(seq=35)
    assert [record.offset.seq for record in await read_all(log)] == list(range(26, 36))
    assert len(await read_all(log, bounds.oldest)) == 10
    assert (await log.read(bounds.oldest._replace(seq=24), None, 10)).gap


async def test_one_append_may_be_longer_than_the_retention(make_log: MakeLog) -> None:
    """All of its events are answered, and the newest are kept."""
    log = await make_log(Retention(events=3))
    assert len(await append(log, *(event() for _ in range(10)))) == 10
    await eventually(lambda: is_oldest(log, 7))


async def test_events_beyond_the_age_go_by_themselves(make_log: MakeLog) -> None:
    """Old events go without any append; numbering goes on from where it was."""
    clock = Clock()
    log = await make_log(Retention(seconds=60), clock)
    await append(log, event("old"), event())
    clock.now += 40
    await append(log, event("young"))
    clock.now += 21
    await eventually(lambda: is_oldest(log, 2))
    assert ids(await read_all(log)) == ["young"]
    clock.now += 40
    await eventually(lambda: is_oldest(log, 3))
    bounds = await log.bounds()
    assert bounds.position == bounds.oldest
    assert not (await log.read(bounds.position, None, 10)).gap
    assert (await append(log, event("old")))[0].offset == bounds.position._replace(seq=4)


async def test_an_event_as_old_as_the_age_is_kept(make_log: MakeLog) -> None:
    """Only what is older than the retention goes."""
    clock = Clock()
    log = await make_log(Retention(seconds=60), clock)
    await append(log, event())
    clock.now += 60
    await append(log, event())
    assert (await log.bounds()).oldest.seq == 0


async def test_many_old_events_go_in_steps(make_log: MakeLog) -> None:
    """However many events grew too old at once, they all go, and appends go on meanwhile."""
    clock = Clock()
    log = await make_log(Retention(seconds=60), clock)
    for _ in range(4):
        await append(log, *(event() for _ in range(1_000)))
    clock.now += 61
    (receipt,) = await append(log, event())
    await eventually(lambda: is_oldest(log, 4_000))
    assert [record.offset for record in await read_all(log)] == [receipt.offset]


async def test_timestamps_never_decrease(make_log: MakeLog) -> None:
    """When the clock is set back, timestamps stand still until it has caught up."""
    clock = Clock()
    log = await make_log(clock=clock)
    stamps = []
    for change in (0, 5, -60, 1, 60):
        clock.now += change
        stamps.append((await append(log, event()))[0].timestamp)
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 3


# Tail.


async def take(tail: AsyncIterator[list[Record]], count: int) -> list[Record]:
    """Follow a tail until it has yielded so many records."""
    records: list[Record] = []
    async with asyncio.timeout(20):
        while len(records) < count:
            records += await anext(tail)
    return records


async def test_every_record_reaches_every_tail_in_order_once(log: EventLog) -> None:
    """A tail yields what is appended after it was asked for, and nothing of before."""
    await append(log, event("before"))
    tails = [log.tail(), log.tail()]
    await asyncio.gather(*(log.append([event(), event()]) for _ in range(20)))
    expected = (await read_all(log))[1:]
    for tail in tails:
        assert await take(tail, 40) == expected
    late = log.tail()
    await append(log, event("after"))
    assert ids(await take(late, 1)) == ids(await take(tails[0], 1)) == ["after"]


async def test_a_duplicate_reaches_no_tail(log: EventLog) -> None:
    """What is not appended is not delivered again."""
    tail = log.tail()
    await append(log, event("a"))
    await append(log, event("a"), event("b"))
    assert ids(await take(tail, 2)) == ["a", "b"]


async def test_a_record_reaches_the_tail_not_later_than_the_answer(log: EventLog) -> None:
    """Whoever follows the log has an event before its appender has the receipt."""
    seen: list[str] = []

    async def follow(tail: AsyncIterator[list[Record]]) -> None:
        async for records in tail:
            seen.extend(ids(records))

    followers = [asyncio.create_task(follow(log.tail())) for _ in range(2)]

    async def publish(n: int) -> None:
        await append(log, event(f"e{n}"))
        assert seen.count(f"e{n}") == 2

    await asyncio.sleep(0)
    await asyncio.gather(*map(publish, range(30)))
    for n in range(30, 35):
        await publish(n)
    await log.close()
    await asyncio.gather(*followers)


async def test_a_wait_for_the_tail_may_be_cancelled(log: EventLog) -> None:
    """A tail loses nothing when a wait for it is given up."""
    tail = log.tail()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await anext(tail)
    await append(log, event("a"))
    assert ids(await take(tail, 1)) == ["a"]


async def test_a_tail_ends_when_the_log_is_closed(log: EventLog) -> None:
    """It first yields what it still holds; a tail of a closed log ends at once."""
    waiting, holding = log.tail(), log.tail()
    waiter = asyncio.create_task(take(waiting, 2))
    await append(log, event("a"))
    await log.close()
    with pytest.raises(StopAsyncIteration):
        await waiter
    assert [ids(records) async for records in holding] == [["a"]]
    assert [records async for records in log.tail()] == []


# Closing and cancelling.


async def test_a_closed_log_is_unavailable(log: EventLog) -> None:
    """After close, every call raises LogUnavailable, and a second close does nothing."""
    await append(log, event())
    await log.close()
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append([event()])
    with pytest.raises(LogUnavailable):
        await log.read(None, None, 10)
    with pytest.raises(LogUnavailable):
        await log.bounds()


async def test_close_finishes_what_was_asked_for(log: EventLog) -> None:
    """What was called before close is answered as if nothing were closing."""
    appends = [asyncio.create_task(log.append([event(), event()])) for _ in range(20)]
    questions = [asyncio.create_task(log.bounds()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(log.close(), log.close())
    answers = await asyncio.gather(*appends)
    assert sorted(itertools.chain(*map(seqs, answers))) == list(range(1, 41))
    await asyncio.gather(*questions)


async def test_a_cancelled_append_harms_no_other(log: EventLog) -> None:
    """Its events are in the log whole or not at all; the others have their answers."""
    calls = [asyncio.create_task(log.append([event(), event()])) for _ in range(30)]
    await asyncio.sleep(0)
    for call in calls[::3]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for n, answer in enumerate(answers):
        assert isinstance(answer, list) or (n % 3 == 0 and type(answer) is asyncio.CancelledError)
    records = await read_all(log)
    assert len(records) % 2 == 0
    assert [record.offset.seq for record in records] == list(range(1, len(records) + 1))
    assert len(records) >= 40


# All at once, against a model.

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
events_strategy = st.builds(
    lambda id, type, piece, material, author: event(
        id, type=type, piece=piece, material=material, autor_username=author
    ),
    st.sampled_from("abcdefghij"),
    st.sampled_from(type_names),
    st.sampled_from(["p", "q"]) | names,
    st.sampled_from(["roble", "pino"]) | names,
    st.sampled_from(["Ana", "Juan"]) | names,
)
reads_strategy = st.tuples(
    st.integers(0, 12),
    st.none() | st.lists(st.integers(0, 60), max_size=4),
    st.integers(1, 5),
)


class Model:
    """The contract in its shortest form: a list, and what each piece was last."""

    def __init__(self) -> None:
        self.records: list[tuple[Event, list[str]]] = []
        self.states: dict[str, list[str]] = {}

    def append(self, new: Event) -> tuple[int, bool] | None:
        """Append an event: its number and whether it is a duplicate, or None for a conflict."""
        for seq, (old, _) in enumerate(self.records, 1):
            if old.id == new.id:
                return (seq, True) if old == new else None
        piece = new.furniture["furniture_id"]
        state = [
            f"material:{new.furniture['material']}",
            f"author:{new.furniture['autor_username']}",
        ]
        own = ["catalog", f"furniture:{piece}", f"type:{new.type}"]
        self.records.append((new, own + state + self.states.pop(piece, [])))
        if new.type != "furniture_deleted":
            self.states[piece] = state
        return len(self.records), False


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(st.lists(events_strategy, max_size=4), max_size=6),
    reads=st.lists(reads_strategy, max_size=5),
)
async def test_a_log_does_as_the_model_does(
    make_log: MakeLog,
    calls: list[list[Event]],
    reads: list[tuple[int, list[int] | None, int]],
) -> None:
    """Any appends are answered, and any rooms are read, as the model says."""
    log, model = await make_log(), Model()
    tail = log.tail()
    epoch = (await log.bounds()).position.epoch
    for call in calls:
        answers = [
            (answer.offset.seq, answer.duplicate) if isinstance(answer, Receipt) else None
            for answer in await log.append(call)
        ]
        assert answers == [model.append(each) for each in call]
    known = sorted({room for _, rooms in model.records for room in rooms})
    for after, picked, limit in reads:
        start = min(after, len(model.records))
        rooms = (
            None
            if picked is None
            else [(known or ["catalog"])[n % len(known or "c")] for n in picked]
        )
        expected = [
            seq
            for seq, (_, own) in enumerate(model.records, 1)
            if seq > start and (rooms is None or set(own) & set(rooms))
        ]
        found = await read_all(log, Offset(epoch, start), rooms, limit)
        assert [record.offset.seq for record in found] == expected
    everything = await read_all(log)
    assert [set(record.rooms) for record in everything] == [set(own) for _, own in model.records]
    assert ids(everything) == [appended.id for appended, _ in model.records]
    await log.close()
    assert [record async for batch in tail for record in batch] == everything
