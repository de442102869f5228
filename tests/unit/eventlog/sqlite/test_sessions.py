"""How the SQLite session store passes its changes to the thread, one batch at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import apsw
import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.sqlite import sessions as sqlite_sessions
from sio_server.eventlog.sqlite.sessions import (
    MAX_DELETED_SESSIONS,
    SCHEMA,
    SessionChange,
    SqliteSessions,
    delete_expired,
    mark_all_left,
)
from tests.unit.eventlog.waiting import until


class Thread:
    """Stands for the log's thread: makes a batch of changes when the test says so."""

    def __init__(self) -> None:
        self.store = SqliteSessions(60, self.submit)
        self.batches: list[tuple[SessionChange, bool, asyncio.Future[Any]]] = []
        self._connection = apsw.Connection(":memory:")
        self._connection.execute(SCHEMA)

    async def submit(self, change: SessionChange, synced: bool) -> Any:
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
        answer.set_result(change(self._connection, 0))
        return synced


async def test_simultaneous_changes_form_one_batch() -> None:
    """Changes that arrive while the thread works form the next batch."""
    thread = Thread()
    first = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "abc"]
    await until(lambda: bool(thread.batches))
    later = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "de"]
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
    creating = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "abc"]
    await thread.make_next_batch()
    assert thread.keys() == ["a", "b"]
    await thread.make_next_batch()
    await asyncio.gather(*creating)


async def test_one_change_that_must_be_synced_syncs_its_batch() -> None:
    """Each call of the batch gets its own answer."""
    thread = Thread()
    created = asyncio.ensure_future(thread.store.create("a", "owner", "data"))
    ended = asyncio.ensure_future(thread.store.end("b", "owner"))
    claimed = asyncio.ensure_future(thread.store.claim("a", "second"))
    assert await thread.make_next_batch()
    assert await asyncio.gather(created, ended, claimed) == [None, False, "data"]


async def test_every_call_of_a_failed_batch_is_answered() -> None:
    """The calls are refused, or cancelled if the thread died; the next batch works."""
    thread = Thread()
    refused = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].set_exception(LogUnavailable("not now"))
    for call in refused:
        with pytest.raises(LogUnavailable):
            await call
    cancelled = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].cancel()
    for call in cancelled:
        with pytest.raises(asyncio.CancelledError):
            await call
    created = asyncio.ensure_future(thread.store.create("c", "owner", ""))
    await thread.make_next_batch()
    await created
    assert thread.keys() == ["c"]


async def test_a_cancelled_call_harms_no_other() -> None:
    """Its change may be made; the other calls of the batch get their answers."""
    thread = Thread()
    cancelled = asyncio.ensure_future(thread.store.create("a", "owner", ""))
    created = asyncio.ensure_future(thread.store.create("b", "owner", ""))
    await until(lambda: bool(thread.batches))
    cancelled.cancel()
    await thread.make_next_batch()
    await created
    assert thread.keys() == ["a", "b"]


def test_expired_sessions_are_deleted_in_bounded_steps() -> None:
    """A step deletes a limited number of sessions, and only those that were left before a time."""
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    rows = [(f"{number}", "owner", "data") for number in range(MAX_DELETED_SESSIONS + 1)]
    connection.executemany("INSERT INTO session VALUES (?, ?, ?, NULL)", rows)
    assert delete_expired(connection, 1_000) == 0
    mark_all_left(connection, 500)
    assert delete_expired(connection, 500) == 0
    connection.execute("INSERT INTO session VALUES ('connected', 'owner', 'data', NULL)")
    assert [delete_expired(connection, 501) for _ in range(3)] == [MAX_DELETED_SESSIONS, 1, 0]
    assert connection.execute("SELECT key FROM session").get == "connected"
