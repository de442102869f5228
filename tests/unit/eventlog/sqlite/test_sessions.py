"""How the SQLite session store passes its changes to the thread, one batch at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import apsw
import pytest

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import SessionContent, session_bytes
from sio_server.eventlog.sqlite import sessions as sqlite_sessions
from sio_server.eventlog.sqlite.revocation_table import RevocationTable
from sio_server.eventlog.sqlite.session_schema import SCHEMA
from sio_server.eventlog.sqlite.session_table import SessionTable
from sio_server.eventlog.sqlite.sessions import SqliteSessions
from sio_server.eventlog.sqlite.tables import TableChange, Tables
from tests.support.stores import DATA, ROOMS, change, claim, create, leave
from tests.unit.eventlog.waiting import until


class Thread:
    """Stands for the log's thread: makes a batch of changes when the test says so."""

    def __init__(self, retention: Retention | None = None) -> None:
        self.store = SqliteSessions(self.submit)
        self.batches: list[tuple[TableChange, bool, asyncio.Future[Any]]] = []
        self._connection = apsw.Connection(":memory:")
        self._connection.execute(SCHEMA)
        kept = retention or Retention()
        self._tables = Tables(
            SessionTable(self._connection, kept), RevocationTable(self._connection, kept)
        )

    async def submit(self, change: TableChange, synced: bool) -> Any:
        """Wait until the change is made."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.batches.append((change, synced, answer))
        return await answer

    def keys(self) -> list[str]:
        """Return the keys of the stored sessions."""
        return [key for (key,) in self._connection.execute("SELECT key FROM session ORDER BY key")]

    async def make_next_batch(self) -> bool:
        """Wait for the next batch and make its changes; return whether it must be synced."""
        await until(lambda: bool(self.batches))
        change, synced, answer = self.batches.pop()
        answer.set_result(change(self._tables, 0))
        return synced


async def test_simultaneous_changes_form_one_batch() -> None:
    """Changes that arrive while the thread works form the next batch."""
    thread = Thread()
    first = [asyncio.ensure_future(create(thread.store, key, "owner")) for key in "abc"]
    await until(lambda: bool(thread.batches))
    later = [asyncio.ensure_future(create(thread.store, key, "owner")) for key in "de"]
    await asyncio.sleep(0)
    assert not await thread.make_next_batch()
    await asyncio.gather(*first)
    assert thread.keys() == ["a", "b", "c"]
    await thread.make_next_batch()
    await asyncio.gather(*later)
    assert thread.keys() == ["a", "b", "c", "d", "e"]
    assert not thread.batches


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a batch of sessions delays no event for long."""
    monkeypatch.setattr(sqlite_sessions, "MAX_BATCH_CHANGES", 2)
    thread = Thread()
    creating = [asyncio.ensure_future(create(thread.store, key, "owner")) for key in "abc"]
    await thread.make_next_batch()
    assert thread.keys() == ["a", "b"]
    await thread.make_next_batch()
    await asyncio.gather(*creating)


async def test_the_texts_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms are texts, too. A batch ends with the change that reaches the bound."""
    monkeypatch.setattr(sqlite_sessions, "MAX_BATCH_BYTES", 10_000)
    thread = Thread()
    rooms = {"r" * 4_000: 0}
    calls = [asyncio.ensure_future(create(thread.store, key, rooms=rooms)) for key in "abcdefg"]
    for stored in ("abc", "abcdef", "abcdefg"):
        await thread.make_next_batch()
        assert thread.keys() == list(stored)
    assert await asyncio.gather(*calls) == [True] * 7
    assert not thread.batches


async def test_a_refused_change_harms_no_other_of_its_batch() -> None:
    """Each call gets its own answer, or its own error."""
    thread = Thread(Retention(session_bytes=session_bytes("anonymous", DATA, ["a"])))
    created = asyncio.ensure_future(create(thread.store, "key", rooms={"a": 1}))
    other = asyncio.ensure_future(create(thread.store, "other"))
    refused = asyncio.ensure_future(change(thread.store, "key", "first", "b"))
    changed = asyncio.ensure_future(change(thread.store, "key", "first", "b", removed=["a"]))
    await thread.make_next_batch()
    with pytest.raises(SessionsFull):
        await refused
    assert await asyncio.gather(created, other, changed) == [True, False, True]


async def test_one_change_that_must_be_synced_syncs_its_batch() -> None:
    """Each call of the batch gets its own answer."""
    thread = Thread()
    created = asyncio.ensure_future(create(thread.store, "a", "owner"))
    ended = asyncio.ensure_future(thread.store.end("b", "owner"))
    claimed = asyncio.ensure_future(claim(thread.store, "a", "second"))
    assert await thread.make_next_batch()
    assert await asyncio.gather(created, ended, claimed) == [
        True,
        False,
        SessionContent(DATA, dict(ROOMS)),
    ]


async def test_only_a_change_and_an_end_are_synced() -> None:
    """The other calls need not survive a power cut."""
    thread = Thread()
    synced = {}
    for name, call in {
        "create": create(thread.store, "key"),
        "claim": claim(thread.store, "key", "second"),
        "change": change(thread.store, "key", "second", "room"),
        "leave": leave(thread.store, "key", "second"),
        "end": thread.store.end("key", "second"),
    }.items():
        answer = asyncio.ensure_future(call)
        synced[name] = await thread.make_next_batch()
        assert await answer
    assert [name for name, is_synced in synced.items() if is_synced] == ["change", "end"]


async def test_every_call_of_a_failed_batch_is_answered() -> None:
    """The calls are refused, or cancelled if the thread died; the next batch works."""
    thread = Thread()
    refused = [asyncio.ensure_future(create(thread.store, key, "owner")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].set_exception(LogUnavailable("not now"))
    for call in refused:
        with pytest.raises(LogUnavailable):
            await call
    cancelled = [asyncio.ensure_future(create(thread.store, key, "owner")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].cancel()
    for call in cancelled:
        with pytest.raises(asyncio.CancelledError):
            await call
    created = asyncio.ensure_future(create(thread.store, "c", "owner"))
    await thread.make_next_batch()
    await created
    assert thread.keys() == ["c"]


async def test_a_cancelled_call_harms_no_other() -> None:
    """Its change may be made; the other calls of the batch get their answers."""
    thread = Thread()
    cancelled = asyncio.ensure_future(create(thread.store, "a", "owner"))
    created = asyncio.ensure_future(create(thread.store, "b", "owner"))
    await until(lambda: bool(thread.batches))
    cancelled.cancel()
    await thread.make_next_batch()
    await created
    assert thread.keys() == ["a", "b"]
