"""The summaries by which a search of the SQLite log skips events. They change no answer."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sio_server.contract.events import Event, Record
from sio_server.eventlog import summaries
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.file import open_file
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.sqlite.store import SqliteStore
from tests.unit.eventlog.waiting import eventually

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., Awaitable[SqliteLog]]

NOBODY = frozenset(["author:nobody"])
MATERIALS = ["roble", "pino", 'un "olmo"', "haya\\", "nogal,cedro", "ébano"]
ids = map(str, itertools.count())


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "BLOCK_EVENTS", 3)


def open_store(path: Path, events: int = 100_000) -> SqliteStore:
    """Open a store that keeps this number of events."""
    return SqliteStore(open_file(path), Retention(events=events), lambda: 1_000_000.0)


def append(store: SqliteStore, materials: list[str]) -> None:
    """Append an event about a new piece for each material, in one transaction."""
    plan = store.new_plan()
    for material in materials:
        furniture = {
            "furniture_id": next(ids),
            "nombre": "Mesa",
            "descripcion": "",
            "altura": 75,
            "ancho": 120,
            "material": material,
            "autor_username": "ana",
        }
        plan.add(Event("furniture_created", furniture, next(ids)))
    store.begin()
    store.write(plan)
    store.commit()


def blocks_of(store: SqliteStore) -> list[tuple[int, int]]:
    """Return the first and the last seq of each block that has a summary."""
    return list(store._connection.execute("SELECT first, last FROM block ORDER BY last"))


def positions(store: SqliteStore, rooms: frozenset[str], limit: int = 10) -> list[int]:
    """Read all events of some rooms; return the position of each page."""
    found = [store.read(None, rooms, limit)]
    while not found[-1].at_end:
        found.append(store.read(found[-1].position, rooms, limit))
    return [page.position.seq for page in found]


def read_all(store: SqliteStore, rooms: frozenset[str] | None, since: int) -> list[Record]:
    """Read all events after a seq, in pages."""
    position = store.position._replace(seq=since)
    records: list[Record] = []
    while True:
        page = store.read(position, rooms, 2)
        assert not page.gap
        records += page.records
        position = page.position
        if page.at_end:
            return records


STEPS = st.one_of(
    st.lists(st.sampled_from(MATERIALS), min_size=2, max_size=8),
    st.sampled_from(["summarise", "trim", "open again"]),
)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(STEPS, min_size=8, max_size=30), st.integers(5, 50), st.data())
def test_summaries_change_no_answer(
    steps: list[list[str] | str], kept: int, data: st.DataObject
) -> None:
    """Whatever is appended, summarised and deleted, and in which order."""
    with (
        patch.object(summaries, "BLOCK_EVENTS", 3),
        patch.object(summaries, "MAX_COMPARISONS", 4),
        TemporaryDirectory() as folder,
    ):
        store = open_store(Path(folder) / "events.db", kept)
        for step in steps:
            if isinstance(step, list):
                append(store, step)
                store.summarise()
            elif step == "open again":
                store.close()
                store = open_store(Path(folder) / "events.db", kept)
            else:
                getattr(store, step)()
        wanted = data.draw(st.frozensets(st.sampled_from(MATERIALS), min_size=1))
        rooms = frozenset(f"material:{name}" for name in wanted)
        bounds = store.bounds()
        since = data.draw(st.integers(bounds.oldest.seq, bounds.position.seq))
        expected = [each for each in read_all(store, None, since) if rooms & {*each.rooms}]
        assert read_all(store, rooms, since) == expected
        store.close()


def test_a_search_reads_no_event_of_a_block_without_its_rooms(path: Path) -> None:
    """One read skips a bounded number of blocks. The last events have no summary yet."""
    with patch.object(summaries, "MAX_COMPARISONS", 4):
        store = open_store(path)
        append(store, ["roble"] * 20 + ["pino"] + ["roble"] * 9 + ["roble"] * 2)
        while store.summarise():
            pass
        assert positions(store, NOBODY) == [12, 24, 30, 32]
        assert positions(store, frozenset(["material:pino"])) == [12, 18, 32]
        assert positions(store, NOBODY | {"author:no one"}) == [6, 12, 18, 24, 30, 32]
        store.close()


def test_a_search_for_very_many_rooms_compares_none(path: Path) -> None:
    """Its time stays bounded."""
    with patch.object(summaries, "MAX_COMPARISONS", 4):
        store = open_store(path)
        append(store, ["roble"] * 9)
        while store.summarise():
            pass
        assert positions(store, frozenset(f"author:{n}" for n in range(5))) == [9]
        store.close()


def test_a_block_ends_early_if_its_rooms_are_long(path: Path) -> None:
    """So the time for one summary stays bounded, too."""
    with patch("sio_server.eventlog.sqlite.store.MAX_EXAMINED_CHARACTERS", 100):
        store = open_store(path)
        append(store, ["r" * 100, "roble", "roble", "roble"])
        while store.summarise():
            pass
        assert blocks_of(store) == [(1, 1), (2, 3)]
        store.close()


def test_trimming_deletes_the_summaries_of_deleted_events(path: Path) -> None:
    """A summary stays while one of its events stays."""
    store = open_store(path)
    append(store, ["roble"] * 9)
    while store.summarise():
        pass
    store.close()
    store = open_store(path, events=4)
    store.trim()
    assert blocks_of(store) == [(4, 6), (7, 9)]
    store.close()


def test_a_log_without_summaries_gets_them(path: Path) -> None:
    """As does a log that has deleted events without a summary."""
    store = open_store(path)
    append(store, ["roble"] * 10)
    store._connection.execute("DROP TABLE block")
    store.close()
    store = open_store(path, events=8)
    assert store.read(None, frozenset(["material:roble"]), 10).records
    store.trim()
    while store.summarise():
        pass
    assert blocks_of(store) == [(3, 5), (6, 8)]
    store.close()


def test_a_search_reads_the_events_of_a_missing_summary(path: Path) -> None:
    """It does not skip them with the blocks beside them."""
    store = open_store(path)
    append(store, ["roble"] * 4 + ["pino"] + ["roble"] * 7)
    while store.summarise():
        pass
    store._connection.execute("DELETE FROM block WHERE last = 6")
    (record,) = read_all(store, frozenset(["material:pino"]), 0)
    assert record.offset.seq == 5
    store.close()


async def test_the_log_writes_its_summaries_by_itself(
    path: Path, open_log: OpenLog, event: MakeEvent
) -> None:
    """In the background, without a sync of its own."""
    log = await open_log()
    await log.append([event() for _ in range(60)])

    async def is_summarised() -> bool:
        return (await log.read(None, NOBODY, 10)).position.seq == 60

    with patch("sio_server.eventlog.reading.MAX_EXAMINED_EVENTS", 10):
        await eventually(is_summarised)
    await log.close()
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*), max(last) FROM block").fetchall() == [(20, 60)]
    connection.close()
