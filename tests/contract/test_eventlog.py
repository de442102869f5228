"""One suite for every event log: each sentence of the contract in ``eventlog/contract.py``."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sio_server.contract.errors import IdConflict, LogUnavailable
from sio_server.contract.events import EVENT_TYPES, Event, Offset, Receipt, Record
from sio_server.eventlog import reading
from sio_server.eventlog.contract import (
    AppendResult,
    EventLog,
    Page,
    Piece,
    PiecePage,
    Retention,
)
from tests.support.eventlogs import KINDS, Clock, new_place
from tests.support.valkey import Valkey

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
    """Return a function that makes logs of each kind in turn; they are closed after the test."""
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


def seqs(results: list[AppendResult]) -> list[int]:
    """Return the seqs of the receipts among the results."""
    return [result.offset.seq for result in results if isinstance(result, Receipt)]


def ids(records: list[Record]) -> list[str]:
    """Return the ids of records."""
    return [json.loads(record.body)["id"] for record in records]


async def append(log: EventLog, *events: Event) -> list[Receipt]:
    """Append events and return their receipts; no event may be a conflict."""
    results = await log.append(events)
    receipts = [result for result in results if isinstance(result, Receipt)]
    assert len(receipts) == len(events)
    return receipts


async def read_all(
    log: EventLog,
    after: Offset | None = None,
    rooms: Collection[str] | None = None,
    limit: int = 100,
) -> list[Record]:
    """Read page after page up to the log's end, as a consumer does that catches up."""
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
    """Return the rooms of an appended event's record."""
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


async def test_a_new_log_is_empty_and_starts_at_seq_0(log: EventLog) -> None:
    """The oldest offset and the position of an empty log are its epoch and 0."""
    bounds = await log.bounds()
    assert bounds.position == bounds.oldest == Offset(bounds.position.epoch, 0)
    assert Offset.parse(str(bounds.position)) == bounds.position
    assert await log.read(None, None, 10) == Page([], bounds.position, at_end=True)
    assert await log.read(bounds.position, None, 10) == Page([], bounds.position, at_end=True)


async def test_every_log_has_an_epoch_of_its_own(make_log: MakeLog) -> None:
    """Three new logs have three epochs."""
    bounds = [await (await make_log()).bounds() for _ in range(3)]
    assert len({bound.position.epoch for bound in bounds}) == 3


async def test_seq_counts_events_from_1(log: EventLog) -> None:
    """The seqs follow the order of the appends, without holes."""
    first = await log.append([event("a"), event("b")])
    second = await log.append([event("c")])
    assert seqs(first + second) == [1, 2, 3]
    assert (await log.bounds()).position.seq == 3
    assert ids(await read_all(log)) == ["a", "b", "c"]


async def test_a_record_is_the_appended_event(log: EventLog) -> None:
    """Its body is exactly the event's own encoding with the receipt's timestamp."""
    odd = event(altura=10**99, ancho=1e-7, nombre='"\\\0\n🪑\u2028', extra={"a": [None, True, {}]})
    (receipt,) = await append(log, odd)
    (record,) = await read_all(log)
    assert record.offset == receipt.offset
    assert record.type == odd.type
    assert record.body == odd.body(receipt.timestamp)
    assert receipt == Receipt(odd.id, receipt.offset, "2023-11-14T22:13:20.250Z")


async def test_appending_nothing_changes_nothing(log: EventLog) -> None:
    """An append without events returns no results."""
    assert await log.append([]) == []
    assert (await log.bounds()).position.seq == 0


async def test_each_of_many_concurrent_appends_is_one_step(log: EventLog) -> None:
    """The events of one append have consecutive seqs, although other appends run."""
    calls = [[event(f"{call}-{n}") for n in range(3)] for call in range(50)]
    answers = await asyncio.gather(*map(log.append, calls))
    for call in answers:
        first, *rest = seqs(call)
        assert rest == [first + 1, first + 2]
    assert sorted(itertools.chain(*map(seqs, answers))) == list(range(1, 151))


async def test_a_read_sees_an_append_whole_or_not_at_all(log: EventLog) -> None:
    """A read during appends of three events never ends within an append."""
    appends = asyncio.gather(*(log.append([event() for _ in range(3)]) for _ in range(50)))
    pages = [await log.read(None, None, 1_000) for _ in range(20)]
    await appends
    pages.append(await log.read(None, None, 1_000))
    assert [len(page.records) % 3 for page in pages] == [0] * len(pages)
    assert len(pages[-1].records) == 150


# Dedupe.


async def test_a_duplicate_gets_the_first_appends_receipt(make_log: MakeLog) -> None:
    """A known id appends nothing, and gets the first offset and timestamp."""
    clock = Clock()
    log = await make_log(clock=clock)
    (first,) = await append(log, event("a"))
    await append(log, event("b"))
    clock.now += 60
    (again,) = await append(log, event("a"))
    assert again == Receipt("a", first.offset, first.timestamp, duplicate=True)
    assert ids(await read_all(log)) == ["a", "b"]


async def test_furniture_is_compared_as_json(log: EventLog) -> None:
    """Furniture with another order of keys, or with 75.0 instead of 75, is a duplicate."""
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
async def test_a_known_id_with_another_event_is_a_conflict(log: EventLog, other: Event) -> None:
    """If type or furniture differ, the result is IdConflict, and nothing is appended."""
    await append(log, event("a", flag=True))
    (answer,) = await log.append([other])
    assert isinstance(answer, IdConflict)
    assert (await log.bounds()).position.seq == 1


async def test_dedupe_holds_within_one_call(log: EventLog) -> None:
    """A call may contain an id twice; this does not change the results of its other events."""
    events = [event("a"), event("b"), event("a"), event("a", nombre="Silla"), event("c")]
    first, second, again, conflict, third = await log.append(events)
    assert seqs([first, second, third]) == [1, 2, 3]
    assert isinstance(first, Receipt)
    assert again == Receipt("a", first.offset, first.timestamp, duplicate=True)
    assert isinstance(conflict, IdConflict)
    assert ids(await read_all(log)) == ["a", "b", "c"]


async def test_concurrent_appends_of_one_id_append_it_once(log: EventLog) -> None:
    """One of the appends is the first; all others are duplicates."""
    answers = await asyncio.gather(*(append(log, event("a")) for _ in range(20)))
    assert [receipt.duplicate for (receipt,) in answers].count(False) == 1
    assert {receipt.offset.seq for (receipt,) in answers} == {1}


async def test_an_id_is_new_again_after_the_retention(make_log: MakeLog) -> None:
    """When the log has removed the event, it has forgotten the id."""
    log = await make_log(Retention(events=2))
    await append(log, event("a"), event("b"), event("c"))
    await eventually(lambda: is_oldest(log, 1))
    (again,) = await append(log, event("a", nombre="Silla"))
    assert not again.duplicate
    assert again.offset.seq == 4


# Rooms.


async def test_an_event_goes_to_its_own_rooms(log: EventLog) -> None:
    """If the piece has no earlier state, the record has no other rooms."""
    (receipt,) = await append(log, event())
    assert await rooms_of(log, receipt) == {
        "catalog",
        "furniture:mesa",
        "type:furniture_created",
        "material:roble",
        "author:Juan",
    }


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("type", EVENT_TYPES)
async def test_an_event_goes_to_the_rooms_of_the_last_state_too(
    log: EventLog, type: str, one_call: bool
) -> None:
    """A list of the old material or author learns once that the piece has left it."""
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
    """After its deletion a piece has no last state until its next event."""
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


async def test_a_state_is_known_after_the_retention(make_log: MakeLog) -> None:
    """A piece's last state stays when the log has removed all its events."""
    log = await make_log(Retention(events=1))
    former = event(material="roble")
    await append(log, former, event(piece="silla"))
    await eventually(lambda: is_oldest(log, 1))
    (receipt,) = await append(log, event(type="furniture_updated", material="pino"))
    assert "material:roble" in await rooms_of(log, receipt)
    (record,) = await read_all(log)
    assert record.former == former.furniture_json


async def test_a_former_state_is_the_furniture_whatever_it_contains(log: EventLog) -> None:
    """Further fields may look like the end of the furniture."""
    field = ',"id":"x","furniture":{},"id":'
    furniture = {**event().furniture, "id": field, "furniture": {"id": "y"}, "ñ\n": "\u2028"}
    former = Event("furniture_created", furniture, 'a ","id":"')
    moved = event(type="furniture_updated", material="pino")
    await append(log, former, moved)
    records = await read_all(log)
    assert [record.former for record in records] == [None, former.furniture_json]
    departure = records[1].departure
    assert departure is not None
    assert json.loads(departure.body) == {
        **json.loads(records[1].body),
        "type": "furniture_deleted",
        "furniture": furniture,
    }


async def test_a_duplicate_and_a_conflict_change_no_state(log: EventLog) -> None:
    """Only an appended event changes the last state of its piece."""
    await append(log, event("a", material="roble"))
    await append(log, event("b", type="furniture_updated", material="pino"))
    await log.append([event("a", material="roble"), event("b", material="haya")])
    (receipt,) = await append(log, event(type="furniture_updated", material="cedro"))
    rooms = await rooms_of(log, receipt)
    assert "material:pino" in rooms
    assert not rooms & {"material:roble", "material:haya"}


async def test_pieces_have_states_of_their_own(log: EventLog) -> None:
    """Pieces with similar names do not share a state."""
    names = ["mesa", "MESA", "mesa ", "mesa\0", "mesa\0x", "ｍesa"]
    await append(log, *(event(piece=name, material=f"m{n}") for n, name in enumerate(names)))
    for n, name in enumerate(names):
        (receipt,) = await append(log, event(piece=name, material="pino"))
        materials = {room for room in await rooms_of(log, receipt) if room.startswith("material")}
        assert materials == {f"material:m{n}", "material:pino"}


# Pieces.


async def has_former_state(log: EventLog, piece: str) -> bool:
    """Tell whether the log knows the last state of a piece; let the piece move for that."""
    (receipt,) = await append(log, event(type="furniture_updated", piece=piece, material="pino"))
    return "material:roble" in await rooms_of(log, receipt)


@pytest.mark.parametrize("one_call", [True, False])
async def test_the_longest_unchanged_pieces_are_forgotten(
    make_log: MakeLog, one_call: bool
) -> None:
    """The log knows as many pieces as the retention says; one more, and it forgets the first."""
    for pieces, is_known in ((4, True), (5, False)):
        log = await make_log(Retention(pieces=4))
        events = [event(piece=f"{number}") for number in range(pieces)]
        if one_call:
            await append(log, *events)
        else:
            for each in events:
                await append(log, each)
        assert await has_former_state(log, f"{pieces - 1}")
        assert await has_former_state(log, "0") is is_known


async def test_an_event_keeps_its_piece_known(make_log: MakeLog) -> None:
    """It counts as a change, even if the rooms stay the same. A duplicate does not."""
    log = await make_log(Retention(pieces=3))
    await append(log, event("a", piece="a"), event("b", piece="b"), event("c", piece="c"))
    await append(log, event(piece="a"))
    await append(log, event("b", piece="b"))
    await append(log, event(piece="d"))
    assert [await has_former_state(log, piece) for piece in "acd"] == [True, True, True]
    assert not await has_former_state(log, "b")


async def test_a_deleted_piece_makes_room_for_another(make_log: MakeLog) -> None:
    """Only pieces whose state is known count."""
    log = await make_log(Retention(pieces=2))
    await append(log, event(piece="a"), event(piece="b"))
    await append(log, event(type="furniture_deleted", piece="b"))
    await append(log, event(piece="c"))
    assert await has_former_state(log, "a")
    assert await has_former_state(log, "c")


async def all_pieces(log: EventLog, limit: int) -> list[Piece]:
    """Return all pieces, read in pages."""
    page = await log.pieces(None, limit)
    pieces = page.pieces
    while page.next is not None:
        page = await log.pieces(page.next, limit)
        assert len(page.pieces) <= limit
        pieces.extend(page.pieces)
    return pieces


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_the_pieces_are_those_that_exist_now(make_log: MakeLog, limit: int) -> None:
    """The latest changed one is first. Events beyond the retention do not matter."""
    log = await make_log(Retention(events=1))
    first = event(piece="a", nombre="ñ", extra={"id": ',"id":"'})
    events = [first, event(piece="b"), event(piece="c"), event(piece="d", material="pino")]
    await append(log, *events)
    await append(log, event(type="furniture_deleted", piece="b"))
    (receipt,) = await append(log, event(type="furniture_updated", piece="c", material="haya"))
    pieces = await all_pieces(log, limit)
    assert [json.loads(it.furniture)["furniture_id"] for it in pieces] == ["c", "d", "a"]
    assert pieces[0].offset == receipt.offset
    assert set(pieces[0].rooms) == {"catalog", "furniture:c", "material:haya", "author:Juan"}
    assert pieces[2].furniture == first.furniture_json


async def test_a_read_of_large_pieces_ends_early(log: EventLog) -> None:
    """No read holds much memory. The next one continues."""
    await append(log, *(event(piece=f"{n}", descripcion="x" * 9_000) for n in range(40)))
    page = await log.pieces(None, 40)
    assert 9_000 * len(page.pieces) < reading.PAGE_BYTES + 10_000
    assert len(await all_pieces(log, 40)) == 40


async def test_there_are_no_pieces_before_an_offset_of_another_epoch(log: EventLog) -> None:
    """A log that began again has other pieces."""
    await append(log, event())
    assert await log.pieces(Offset("another", 5), 10) == PiecePage([], None)
    assert await log.pieces((await log.bounds()).oldest, 10) == PiecePage([], None)


# Reading.


async def test_a_read_returns_the_events_after_an_offset(log: EventLog) -> None:
    """A read after any offset of the log returns the later events; after None, all events."""
    start = (await log.bounds()).position
    receipts = await append(log, *(event(f"e{n}") for n in range(5)))
    for n, offset in enumerate([start, *(receipt.offset for receipt in receipts)]):
        page = await log.read(offset, None, 100)
        assert ids(page.records) == ["e0", "e1", "e2", "e3", "e4"][n:]
        assert page.position == receipts[-1].offset
        assert page.at_end
        assert not page.gap
    assert ids((await log.read(None, None, 100)).records) == ["e0", "e1", "e2", "e3", "e4"]


async def test_a_full_page_ends_at_its_last_record(log: EventLog) -> None:
    """``position`` is the last record's offset; ``at_end`` says whether it is the log's end."""
    receipts = await append(log, *(event() for _ in range(4)))
    part = await log.read(None, None, 3)
    assert (part.position, part.at_end) == (receipts[2].offset, False)
    whole = await log.read(None, None, 4)
    assert (whole.position, whole.at_end) == (receipts[3].offset, True)


async def test_a_full_page_of_one_room_ends_at_its_last_record(log: EventLog) -> None:
    """It is not at the end if only events of other rooms follow; the next read reaches the end."""
    receipts = await append(log, event(material="pino"), event(piece="b"), event(piece="c"))
    page = await log.read(None, ["material:pino"], 1)
    assert (page.position, page.at_end) == (receipts[0].offset, False)
    assert ids(page.records) == [receipts[0].id]
    rest = await log.read(page.position, ["material:pino"], 1)
    assert rest == Page([], receipts[2].offset, at_end=True)


async def test_a_read_with_limit_0_returns_the_logs_end(log: EventLog) -> None:
    """The page has no records; it still reports a gap."""
    receipts = await append(log, event(), event())
    assert await log.read(None, None, 0) == Page([], receipts[1].offset, at_end=True)
    assert await log.read(receipts[0].offset, ["catalog"], 0) == Page(
        [], receipts[1].offset, at_end=True
    )
    assert (await log.read(Offset("other", 0), None, 0)).gap


async def test_a_read_of_large_events_ends_early(log: EventLog) -> None:
    """A page holds a bounded number of bytes, and the next reads return the rest."""
    receipts = await append(log, *(event(descripcion="x" * 9_000) for _ in range(100)))
    page = await log.read(None, None, 1_000)
    assert 9_000 * len(page.records) < 300_000
    assert not page.at_end
    assert page.position == receipts[len(page.records) - 1].offset
    records = await read_all(log)
    assert [record.offset for record in records] == [receipt.offset for receipt in receipts]
    last = await log.read(receipts[98].offset, None, 1_000)
    assert (len(last.records), last.at_end) == (1, True)


async def test_reading_no_rooms_finds_nothing(log: EventLog) -> None:
    """An empty collection of rooms does not mean all rooms."""
    (receipt,) = await append(log, event())
    assert await log.read(None, [], 10) == Page([], receipt.offset, at_end=True)


async def test_a_record_of_several_requested_rooms_is_returned_once(log: EventLog) -> None:
    """This holds for duplicate names in the request too."""
    await append(log, event("a"))
    for rooms in ({"material:roble", "author:Juan"}, ["material:roble"] * 2, ("catalog", "x")):
        assert ids((await log.read(None, rooms, 10)).records) == ["a"]


async def test_rare_rooms_are_found_among_many_events(log: EventLog) -> None:
    """One read examines a bounded number of events; the next reads find all records."""
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


@pytest.mark.parametrize("descripcion", ["", "x" * 10_000])
async def test_a_read_examines_a_bounded_number_of_events(log: EventLog, descripcion: str) -> None:
    """The bound depends neither on the number of requested rooms nor on the limit."""
    for _ in range(6):
        await append(log, *(event(descripcion=descripcion) for _ in range(100)))
    many = [f"material:{number:03}{'ñ' * 252}" for number in range(100)]
    for rooms in (["material:roble"], [*many, "material:roble"]):
        page = await log.read(None, rooms, 1_000)
        assert 0 < page.position.seq <= reading.MAX_EXAMINED_EVENTS
        assert not page.at_end
    page = await log.read(None, None, 1_000)
    assert 0 < len(page.records) <= reading.MAX_EXAMINED_EVENTS


@pytest.mark.parametrize(
    ("appended", "requested"),
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
async def test_room_names_match_whole_and_exactly(
    log: EventLog, appended: str, requested: str
) -> None:
    """A room is found by its own name, never by a similar name or by a part of it."""
    await append(log, event("a", material=appended))
    assert ids((await log.read(None, [f"material:{appended}"], 10)).records) == ["a"]
    assert (await log.read(None, [requested], 10)).records == []


# Gaps and retention.


async def is_oldest(log: EventLog, seq: int) -> bool:
    """Tell whether the log has removed exactly the events up to a seq."""
    return (await log.bounds()).oldest.seq == seq


async def test_an_offset_of_another_epoch_or_of_the_future_is_a_gap(log: EventLog) -> None:
    """The page has no records, and its position is the log's end."""
    (receipt,) = await append(log, event())
    gap = Page([], receipt.offset, at_end=True, gap=True)
    assert await log.read(Offset("other", 1), None, 10) == gap
    assert await log.read(Offset("other", 0), None, 10) == gap
    assert await log.read(receipt.offset._replace(seq=2), None, 10) == gap
    assert not (await log.read(receipt.offset, None, 10)).gap


async def test_events_beyond_the_count_go_oldest_first(make_log: MakeLog) -> None:
    """The newest events stay. An offset before the oldest one is a gap; the oldest is not."""
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
    """All of its events get a receipt, and the newest stay."""
    log = await make_log(Retention(events=3))
    assert len(await append(log, *(event() for _ in range(10)))) == 10
    await eventually(lambda: is_oldest(log, 7))


async def test_events_beyond_the_age_go_without_an_append(make_log: MakeLog) -> None:
    """The next event continues the numbering."""
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


async def test_an_event_as_old_as_the_maximum_age_stays(make_log: MakeLog) -> None:
    """Only an event that is older than the retention goes."""
    clock = Clock()
    log = await make_log(Retention(seconds=60), clock)
    await append(log, event())
    clock.now += 60
    await append(log, event())
    assert (await log.bounds()).oldest.seq == 0


async def test_many_old_events_go_in_steps(make_log: MakeLog) -> None:
    """All events that are too old go, however many they are; appends work meanwhile."""
    clock = Clock()
    log = await make_log(Retention(seconds=60), clock)
    for _ in range(4):
        await append(log, *(event() for _ in range(1_000)))
    clock.now += 61
    (receipt,) = await append(log, event())
    await eventually(lambda: is_oldest(log, 4_000))
    assert [record.offset for record in await read_all(log)] == [receipt.offset]


async def test_timestamps_never_decrease(make_log: MakeLog) -> None:
    """If the clock is set back, the timestamps stay equal until it has caught up."""
    clock = Clock()
    log = await make_log(clock=clock)
    stamps = []
    for change in (0, 5, -60, 1, 60):
        clock.now += change
        stamps.append((await append(log, event()))[0].timestamp)
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 3


async def test_a_clock_that_goes_back_is_logged_once(make_log: MakeLog) -> None:
    """Until it has caught up. A correction by parts of a second is not worth a line."""
    clock = Clock()
    log = await make_log(clock=clock)
    with capture_logs() as lines:
        for change in (0, -0.5, 0.5):
            clock.now += change
            await append(log, event())
        assert lines == []
        for change in (-259_200, 1, 259_199, -60, 1):
            clock.now += change
            await append(log, event())
    assert [(line["event"], line["seconds"]) for line in lines] == [
        ("clock_behind_log", 259_200),
        ("clock_behind_log", 60),
    ]


# Tail.


async def take(tail: AsyncIterator[list[Record]], count: int) -> list[Record]:
    """Follow a tail until it has yielded a number of records."""
    records: list[Record] = []
    async with asyncio.timeout(20):
        while len(records) < count:
            records += await anext(tail)
    return records


async def test_every_record_reaches_every_tail_in_order_once(log: EventLog) -> None:
    """A tail yields exactly the records that are appended after the call of ``tail``."""
    await append(log, event("before"))
    tails = [log.tail(), log.tail()]
    await asyncio.gather(*(log.append([event(), event()]) for _ in range(20)))
    expected = (await read_all(log))[1:]
    for tail in tails:
        assert await take(tail, 40) == expected
    late = log.tail()
    await append(log, event("after"))
    assert ids(await take(late, 1)) == ids(await take(tails[0], 1)) == ["after"]


async def test_a_record_of_the_tail_knows_when_it_was_committed(log: EventLog) -> None:
    """The metrics count the time from then to its consumers."""
    tail = log.tail()
    began = time.monotonic()
    await log.append([event("a"), event("b")])
    for record in await take(tail, 2):
        assert record.committed_at is not None
        assert began <= record.committed_at <= time.monotonic()


async def test_a_duplicate_reaches_no_tail(log: EventLog) -> None:
    """An event that was not appended is not delivered again."""
    tail = log.tail()
    await append(log, event("a"))
    await append(log, event("a"), event("b"))
    assert ids(await take(tail, 2)) == ["a", "b"]


async def test_a_record_reaches_the_tail_not_later_than_the_append_returns(log: EventLog) -> None:
    """The consumers of the tail have an event before its producer has the receipt."""
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


async def test_a_cancelled_wait_for_the_tail_loses_no_record(log: EventLog) -> None:
    """The next wait gets the records."""
    tail = log.tail()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await anext(tail)
    await append(log, event("a"))
    assert ids(await take(tail, 1)) == ["a"]


async def test_a_tail_ends_when_the_log_is_closed(log: EventLog) -> None:
    """It first yields the records that it holds. A tail of a closed log ends at once."""
    waiting, holding = log.tail(), log.tail()
    waiter = asyncio.create_task(take(waiting, 2))
    await append(log, event("a"))
    await log.close()
    with pytest.raises(StopAsyncIteration):
        await waiter
    assert [ids(records) async for records in holding] == [["a"]]
    assert [records async for records in log.tail()] == []


# Whether the log takes appends.


async def test_a_check_of_a_writable_log_changes_nothing(log: EventLog) -> None:
    """It appends no event, and no tail gets anything."""
    tail = log.tail()
    (receipt,) = await append(log, event("a"))
    bounds = await log.bounds()
    await asyncio.gather(*(log.check_writable() for _ in range(5)))
    assert await log.bounds() == bounds
    (next_receipt,) = await append(log, event("b"))
    assert next_receipt.offset.seq == receipt.offset.seq + 1
    assert ids(await take(tail, 2)) == ["a", "b"]


async def test_a_check_does_not_move_the_time(make_log: MakeLog) -> None:
    """A node whose clock is ahead must not date the events of the others, if it appends none."""
    clock = Clock()
    log = await make_log(clock=clock)
    (first,) = await append(log, event())
    clock.now += 60
    await log.check_writable()
    clock.now -= 60
    (second,) = await append(log, event())
    assert second.timestamp == first.timestamp


# Closing and cancelling.


async def test_a_closed_log_is_unavailable(log: EventLog) -> None:
    """After ``close``, every call raises LogUnavailable, and a second ``close`` does nothing."""
    await append(log, event())
    await log.close()
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append([event()])
    with pytest.raises(LogUnavailable):
        await log.read(None, None, 10)
    with pytest.raises(LogUnavailable):
        await log.bounds()
    with pytest.raises(LogUnavailable):
        await log.check_writable()


async def test_close_finishes_the_calls_that_have_started(log: EventLog) -> None:
    """Every call before ``close`` returns its usual result."""
    appends = [asyncio.create_task(log.append([event(), event()])) for _ in range(20)]
    queries = [asyncio.create_task(log.bounds()) for _ in range(20)]
    checks = [asyncio.create_task(log.check_writable()) for _ in range(2)]
    reads = [asyncio.create_task(log.read(None, ["none"], 10)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(log.close(), log.close())
    results = await asyncio.gather(*appends)
    assert sorted(itertools.chain(*map(seqs, results))) == list(range(1, 41))
    await asyncio.gather(*queries, *checks, *reads)


async def test_a_cancelled_append_harms_no_other(log: EventLog) -> None:
    """The log has all of its events or none; the other appends get their results."""
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


# Everything together, against a model.

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
events_strategy = st.builds(
    lambda id, type, piece, material, author: event(
        id, type=type, piece=piece, material=material, autor_username=author
    ),
    st.sampled_from("abcdefghij"),
    st.sampled_from(EVENT_TYPES),
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
    """The contract in its shortest form: a list of events, and the last state of each piece."""

    def __init__(self) -> None:
        self.records: list[tuple[Event, list[str]]] = []
        self.former: list[Any] = []
        self.states: dict[str, tuple[list[str], Any]] = {}

    def append(self, new: Event) -> tuple[int, bool] | None:
        """Append an event; return its seq and whether it is a duplicate, or None for a conflict."""
        for seq, (old, _) in enumerate(self.records, 1):
            if old.id == new.id:
                return (seq, True) if old == new else None
        piece = new.furniture["furniture_id"]
        state = [
            f"material:{new.furniture['material']}",
            f"author:{new.furniture['autor_username']}",
        ]
        own = ["catalog", f"furniture:{piece}", f"type:{new.type}"]
        former_rooms, former = self.states.pop(piece, ([], None))
        self.records.append((new, own + state + former_rooms))
        self.former.append(former if set(former_rooms) - set(state) else None)
        if new.type != "furniture_deleted":
            self.states[piece] = state, new.furniture
        return len(self.records), False


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(st.lists(events_strategy, max_size=4), max_size=6),
    reads=st.lists(reads_strategy, max_size=5),
)
async def test_a_log_behaves_like_the_model(
    make_log: MakeLog,
    calls: list[list[Event]],
    reads: list[tuple[int, list[int] | None, int]],
) -> None:
    """Any appends and any reads have the results of the model."""
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
    former = [record.former and json.loads(record.former) for record in everything]
    assert former == model.former
    assert ids(everything) == [appended.id for appended, _ in model.records]
    await log.close()
    assert [record async for batch in tail for record in batch] == everything
