"""Pages of the log and of the pieces: nothing is missing between two pages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sio_server.contract.events import Event, Offset
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.delivery import history
from sio_server.delivery.history import PAGE_BYTES, read_back, read_furniture
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.log import MemoryLog

CATALOG = frozenset(("catalog",))
OAK = frozenset(("material:roble",))


def event(number: int, material: str = "roble", piece: str = "mesa", length: int = 0) -> Event:
    """Make an event whose id is its number."""
    furniture = {
        "furniture_id": piece,
        "nombre": "Mesa",
        "descripcion": "x" * length,
        "altura": 75,
        "ancho": 120,
        "material": material,
        "autor_username": "ana",
    }
    return Event("furniture_updated", furniture, str(number))


async def filled(*events: Event, retention: int = 100_000) -> MemoryLog:
    """Return a log with these events."""
    log = MemoryLog(Retention(events=retention))
    await log.open()
    await log.append(events)
    return log


async def all_back(log: MemoryLog, rooms: frozenset[str], limit: int) -> list[int]:
    """Read the whole log backwards, page by page; return the ids in the order of the log."""
    until = (await log.bounds()).position
    numbers: list[int] = []
    while True:
        page = await read_back(log, rooms, ALL_ROOMS, until, limit)
        assert len(page.events) <= limit
        assert sum(map(len, page.events[1:])) <= PAGE_BYTES
        numbers[:0] = [int(json.loads(text)["id"]) for text in page.events]
        assert page.position.seq < until.seq or not page.more
        until = page.position
        if not page.more:
            return numbers


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["roble", "pino"]), max_size=700),
    long=st.sets(st.integers(0, 700), max_size=5),
    limit=st.integers(1, 300),
    only_oak=st.booleans(),
)
def test_pages_that_go_back_have_every_event_once(
    kinds: list[str], long: set[int], limit: int, only_oak: bool
) -> None:
    """Whatever the limit, the rooms and the sizes are. Each event is a piece of its own."""
    events = [
        event(n, kind, piece=f"p{n}", length=9_000 if n in long else 0)
        for n, kind in enumerate(kinds)
    ]
    wanted = [n for n, kind in enumerate(kinds) if kind == "roble" or not only_oak]

    async def check() -> None:
        log = await filled(*events)
        assert await all_back(log, OAK if only_oak else CATALOG, limit) == wanted
        await log.close()

    asyncio.run(check())


async def test_large_events_make_a_short_page() -> None:
    """The page has the newest of them."""
    log = await filled(*(event(n, piece=f"p{n}", length=9_000) for n in range(100)))
    page = await read_back(log, CATALOG, ALL_ROOMS, (await log.bounds()).position, 100)
    assert len(page.events) == pytest.approx(PAGE_BYTES / 9_200, abs=1)
    assert json.loads(page.events[-1])["id"] == "99"
    assert await all_back(log, CATALOG, 100) == list(range(100))


async def test_a_page_before_the_oldest_event_is_a_gap() -> None:
    """A page of another log is a gap, too. A page that ends at the oldest event is not."""
    log = await filled(*(event(n) for n in range(10)), retention=4)
    oldest, position = (await log.bounds()).oldest, (await log.bounds()).position
    for until in (Offset(oldest.epoch, oldest.seq - 1), Offset("another", 1)):
        assert await read_back(log, CATALOG, ALL_ROOMS, until, 5) == ([], position, True, False)
    assert await read_back(log, CATALOG, ALL_ROOMS, oldest, 5) == ([], oldest, False, False)
    assert await all_back(log, CATALOG, 3) == [6, 7, 8, 9]


async def test_one_page_examines_a_bounded_number_of_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Events of rare rooms are found by further pages, of which some are empty."""
    monkeypatch.setattr(history, "MAX_EXAMINED", 500)
    log = await filled(event(0, piece="p"), *(event(n, "pino") for n in range(1, 1200)))
    page = await read_back(log, OAK, ALL_ROOMS, (await log.bounds()).position, 10)
    assert (page.events, page.position.seq, page.more) == ([], 700, True)
    assert await all_back(log, OAK, 10) == [0]


async def furniture(log: MemoryLog, rooms: frozenset[str], **more: Any) -> list[str]:
    """Return the ids of all pieces in these rooms."""
    sees, limit = more.get("sees", ALL_ROOMS), more.get("limit", 1000)
    page = await read_furniture(log, rooms, sees, None, limit)
    items = page.items
    while page.next is not None:
        page = await read_furniture(log, rooms, sees, page.next, limit)
        assert len(page.items) <= limit
        items = items + page.items
    return [json.loads(item)["furniture_id"] for item in items]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_pieces_are_those_of_the_rooms(limit: int) -> None:
    """A piece that has left a room is not in it. Rooms of types have no pieces."""
    log = await filled(event(1, piece="a"), event(2, "pino", piece="b"), event(3, piece="c"))
    await log.append([event(4, "pino", piece="a")])
    assert await furniture(log, CATALOG, limit=limit) == ["a", "c", "b"]
    assert await furniture(log, OAK, limit=limit) == ["c"]
    assert await furniture(log, frozenset(("furniture:b", "author:eva")), limit=limit) == ["b"]
    assert await furniture(log, frozenset(("type:furniture_updated",)), limit=limit) == []


async def test_a_client_sees_only_pieces_in_rooms_that_it_may_be_in() -> None:
    """Also if it asks for more."""
    log = await filled(event(1, piece="a"), event(2, "pino", piece="b"))
    sees = RoomFilter.parse(["material:pino"])
    assert await furniture(log, CATALOG, sees=sees) == ["b"]


async def test_many_and_large_pieces_come_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends after its bytes, and after the pieces that it examines."""
    log = await filled(*(event(n, piece=f"p{n}", length=9_000) for n in range(100)))
    page = await read_furniture(log, CATALOG, ALL_ROOMS, None, 1000)
    assert len(page.items) == pytest.approx(PAGE_BYTES / 9_200, abs=1)
    assert len(set(await furniture(log, CATALOG))) == 100
    monkeypatch.setattr(history, "MAX_EXAMINED", 500)
    await log.append([event(n, "pino", piece=f"q{n}") for n in range(200, 1200)])
    assert (await read_furniture(log, OAK, ALL_ROOMS, None, 10)).items == []
    assert len(await furniture(log, OAK)) == 100
