"""The SQLite store: transactions, bounded reads and bounded trimming, without the thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from sio_server.contract.events import Event
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite import store as sqlite_store
from sio_server.eventlog.sqlite.file import open_file, reopen_file
from sio_server.eventlog.sqlite.pieces import encode_rooms
from sio_server.eventlog.sqlite.store import (
    MAX_TRIMMED_EVENTS,
    MAX_TRIMMED_PIECES,
    PROBE_BYTES,
    SqliteStore,
)

MakeEvent = Callable[..., Event]
OpenStore = Callable[..., SqliteStore]


@pytest.fixture
def open_store(path: Path) -> Iterator[OpenStore]:
    """Return a function that opens a store at ``path``; the stores are closed after the test."""
    stores = []

    def make(retention: Retention | None = None, now: float = 1_000_000.0) -> SqliteStore:
        store = SqliteStore(open_file(path), retention or Retention(), lambda: now)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


def append(store: SqliteStore, *events: Event) -> None:
    """Append events in a transaction of their own."""
    plan = store.new_plan()
    for event in events:
        plan.add(event)
    store.begin()
    store.write(plan)
    store.commit()


def test_the_position_changes_with_the_commit(open_store: OpenStore, event: MakeEvent) -> None:
    """Until the commit, the store's end and its bounds are those of the last commit."""
    store = open_store()
    plan = store.new_plan()
    plan.add(event())
    store.begin()
    store.write(plan)
    assert store.position.seq == 0
    store.commit()
    assert store.position.seq == store.bounds().position.seq == 1


def test_discarding_the_store_undoes_an_open_transaction(
    path: Path, open_store: OpenStore, event: MakeEvent
) -> None:
    """The reopened file has the committed events, and no others."""
    store = open_store()
    append(store, event("a"))
    plan = store.new_plan()
    plan.add(event("b"))
    store.begin()
    store.write(plan)
    store.discard()
    reopened = SqliteStore(reopen_file(path), Retention(), lambda: 1_000_000.0)
    assert reopened.position == store.position
    assert len(reopened.read(None, None, 10).records) == 1
    reopened.close()


def test_a_plan_finds_the_ids_and_states_of_the_file(
    open_store: OpenStore, event: MakeEvent
) -> None:
    """A new plan sees the events of the last commit."""
    store = open_store()
    append(store, event("a", material="roble"))
    plan = store.new_plan()
    assert plan.add(event("a", material="roble")).duplicate  # type: ignore[union-attr]
    plan.add(event("b", material="pino"))
    assert "material:roble" in plan.records["b"].rooms


def test_timestamps_do_not_go_back_with_the_clock(open_store: OpenStore, event: MakeEvent) -> None:
    """After a restart with an earlier clock, the next plan has the last timestamp of the file."""
    store = open_store(now=2_000.0)
    append(store, event())
    store.close()
    assert open_store(now=1_000.0).new_plan().milliseconds == 2_000_000


MANY_ROOMS = frozenset(f"material:{number:03}{'ñ' * 252}" for number in range(100))


def test_a_read_examines_a_bounded_number_of_events(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number does not depend on the rooms. The page says that it is not at the end."""
    monkeypatch.setattr(reading, "MAX_EXAMINED_EVENTS", 7)
    store = open_store()
    append(store, *(event() for _ in range(30)))
    for rooms in (frozenset(["no:1"]), MANY_ROOMS, None):
        page = store.read(None, rooms, 100)
        assert (page.position.seq, page.at_end) == (7, False)


def test_a_read_examines_rooms_of_a_bounded_length(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops after the event whose rooms reach the bound."""
    store = open_store()
    append(store, *(event(furniture_id=f"{number}") for number in range(10, 40)))
    length = len(encode_rooms(store.read(None, None, 1).records[0].rooms))
    for bound, position in ((5 * length, 5), (5 * length + 1, 6)):
        monkeypatch.setattr(sqlite_store, "MAX_EXAMINED_CHARACTERS", bound)
        page = store.read(None, MANY_ROOMS, 100)
        assert (page.position.seq, page.at_end) == (position, False)


def pages_read(store: SqliteStore, rooms: frozenset[str]) -> int:
    """Read once, and return how many pages of the file that took."""
    connection = store._connection
    for counter in (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS):
        connection.status(counter, True)
    store.read(None, rooms, 100)
    return sum(
        connection.status(counter)[0]
        for counter in (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)
    )


def test_a_read_touches_no_body_of_an_event_that_does_not_match(
    open_store: OpenStore, event: MakeEvent
) -> None:
    """Large events cost it about as much as small ones, and the page's size bounds the rest."""
    store = open_store()
    append(store, *(event(descripcion="x" * 60_000) for _ in range(250)))
    pages_of_a_body = 60_000 // store._row("PRAGMA page_size")[0]
    assert pages_read(store, MANY_ROOMS) < 2 * 250
    found = reading.PAGE_BYTES // 60_000 + 1
    assert pages_read(store, frozenset(["material:roble"])) < found * (pages_of_a_body + 10)


def test_an_append_deletes_at_most_as_many_events_as_it_adds(
    open_store: OpenStore, event: MakeEvent
) -> None:
    """So an append never waits until a long log is trimmed."""
    store = open_store()
    append(store, *(event() for _ in range(30)))
    store.close()
    store = open_store(Retention(events=5))
    append(store, event(), event())
    assert store.bounds().oldest.seq == 2


def test_trimming_takes_bounded_steps(open_store: OpenStore, event: MakeEvent) -> None:
    """Each step says whether there may be more to trim."""
    store = open_store()
    append(store, *(event() for _ in range(MAX_TRIMMED_EVENTS + 10)))
    store.close()
    store = open_store(Retention(events=5))
    assert store.trim()
    assert store.bounds().oldest.seq == MAX_TRIMMED_EVENTS
    assert not store.trim()
    assert store.bounds().oldest.seq == MAX_TRIMMED_EVENTS + 5


def pieces(store: SqliteStore) -> list[str]:
    """Return the pieces whose state is known, in the order in which they are forgotten."""
    rows = store._connection.execute("SELECT furniture_id FROM piece ORDER BY seq").fetchall()
    assert len(rows) == store._state.pieces
    return [name for (name,) in rows]


def test_pieces_beyond_the_retention_are_forgotten_in_bounded_steps(
    open_store: OpenStore, event: MakeEvent
) -> None:
    """An append forgets at most as many as it adds events; trimming forgets the rest in steps."""
    store = open_store()
    names = [f"{number}" for number in range(MAX_TRIMMED_PIECES + 20)]
    append(store, *(event(furniture_id=name) for name in names))
    store.close()
    store = open_store(Retention(pieces=5))
    append(store, event(furniture_id="new"), event(furniture_id="0"))
    assert pieces(store) == [*names[3:], "new", "0"]
    assert store.trim()
    assert pieces(store) == [*names[3 + MAX_TRIMMED_PIECES :], "new", "0"]
    assert not store.trim()
    assert pieces(store) == [*names[-3:], "new", "0"]


def test_a_failed_append_forgets_no_piece(
    path: Path, open_store: OpenStore, event: MakeEvent
) -> None:
    """The number of pieces is counted again when the file is opened again."""
    store = open_store(Retention(pieces=1))
    append(store, event(furniture_id="first"))
    plan = store.new_plan()
    plan.add(event(furniture_id="second"))
    store.begin()
    store.write(plan)
    store.discard()
    reopened = SqliteStore(reopen_file(path), Retention(pieces=1), lambda: 1_000_000.0)
    assert pieces(reopened) == ["first"]
    reopened.close()


def test_only_the_first_probe_of_an_open_file_is_large(open_store: OpenStore) -> None:
    """It finds out whether the disk has room for an event. Every probe writes something."""
    store = open_store()
    written = []
    for _ in range(3):
        before = store.journal_pages
        store.begin()
        store.write_probe()
        store.commit()
        written.append(store.journal_pages - before)
    page_size = store._row("PRAGMA page_size")[0]
    assert written[0] >= PROBE_BYTES // page_size
    assert 0 < written[2] < 10


def test_shrinking_keeps_spare_pages(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store gives pages back in steps, until only the spare pages are left."""
    monkeypatch.setattr(sqlite_store, "_SPARE_PAGES", 10)
    monkeypatch.setattr(sqlite_store, "_MAX_SHRINK_PAGES", 5)
    store = open_store()
    append(store, *(event(descripcion="x" * 4_000) for _ in range(40)))
    assert not store.shrink()
    store.close()
    store = open_store(Retention(events=1))
    while store.trim():
        pass
    pages = [store._row("PRAGMA page_count")[0]]
    while store.shrink():
        pages.append(store._row("PRAGMA page_count")[0])
    assert {before - after for before, after in itertools.pairwise(pages)} == {5}
    free = store._row("PRAGMA freelist_count")[0]
    assert 0 < free <= max(10, pages[-1] // 4)


def test_a_checkpoint_restarts_the_count_of_journal_pages(
    open_store: OpenStore, event: MakeEvent
) -> None:
    """The count grows with every commit."""
    store = open_store()
    append(store, event())
    first = store.journal_pages
    append(store, event())
    assert store.journal_pages > first > 0
    store.checkpoint()
    assert store.journal_pages == 0


def test_a_read_of_large_pieces_reads_no_more_than_a_page(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append waits for the end of the read."""
    store = open_store()
    large = "x" * 9_000
    append(store, *(event(furniture_id=f"{number}", descripcion=large) for number in range(40)))
    latest_changed = sqlite_store.pieces_table.latest_changed
    read = []

    def watched(*arguments: Any) -> Iterator[Any]:
        for found in latest_changed(*arguments):
            read.append(found)
            yield found

    monkeypatch.setattr(sqlite_store.pieces_table, "latest_changed", watched)
    page = store.pieces(None, 40)
    assert len(read) == len(page.pieces) < 40
    assert page.next == page.pieces[-1].offset
    assert len(store.pieces(page.next, 40).pieces) == 40 - len(page.pieces)
