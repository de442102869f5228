"""The SQLite store: transactions, bounded reads and bounded trimming, without the thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sio_server.contract.events import Event
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite import store as sqlite_store
from sio_server.eventlog.sqlite.file import open_file, reopen_file
from sio_server.eventlog.sqlite.store import MAX_TRIMMED_EVENTS, SqliteStore

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


def test_a_read_of_many_rooms_examines_fewer_events(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of comparisons is bounded: events times requested rooms."""
    monkeypatch.setattr(sqlite_store, "MAX_ROOM_COMPARISONS", 20)
    store = open_store()
    append(store, *(event() for _ in range(30)))
    for rooms, position in ((["no:1"], 21), (["no:1", "no:2"], 11), (["no:1", "catalog"], 30)):
        assert store.read(None, rooms, 100).position.seq == position


def test_a_read_examines_a_bounded_number_of_events(
    open_store: OpenStore, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read of a room without events ends at the bound, and says that it is not at the end."""
    monkeypatch.setattr(reading, "MAX_EXAMINED_EVENTS", 7)
    store = open_store()
    append(store, *(event() for _ in range(30)))
    page = store.read(None, ["no:1"], 100)
    assert (page.position.seq, page.at_end) == (7, False)


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
