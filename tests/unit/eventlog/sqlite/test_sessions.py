"""How the SQLite session store hands its changes to the thread, a batch at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import apsw
import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.sqlite import sessions as sqlite_sessions
from sio_server.eventlog.sqlite.sessions import SCHEMA, SessionChange, SqliteSessions
from tests.unit.eventlog.waiting import until


class Thread:
    """What the store submits to: does a batch when it is told to."""

    def __init__(self) -> None:
        self.store = SqliteSessions(60, self.submit)
        self.batches: list[tuple[SessionChange, bool, asyncio.Future[Any]]] = []
        self._connection = apsw.Connection(":memory:")
        self._connection.execute(SCHEMA)

    async def submit(self, change: SessionChange, synced: bool) -> Any:
        """Wait until the change is done."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.batches.append((change, synced, answer))
        return await answer

    def keys(self) -> list[str]:
        """Return whose sessions are kept."""
        return [key for (key,) in self._connection.execute("SELECT key FROM session ORDER BY key")]

    async def work(self) -> bool:
        """Do the next batch, once there is one; return whether it has to be synced."""
        await until(lambda: bool(self.batches))
        change, synced, answer = self.batches.pop()
        answer.set_result(change(self._connection, 0))
        return synced


async def test_what_comes_at_the_same_time_is_one_batch() -> None:
    """And what comes while the thread is at work is the next."""
    thread = Thread()
    first = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "abc"]
    await until(lambda: bool(thread.batches))
    later = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "de"]
    await asyncio.sleep(0)
    assert not await thread.work()
    await asyncio.gather(*first)
    assert thread.keys() == ["a", "b", "c"]
    await thread.work()
    await asyncio.gather(*later)
    assert thread.keys() == ["a", "b", "c", "d", "e"]
    assert not thread.batches


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it holds up no event for long."""
    monkeypatch.setattr(sqlite_sessions, "MAX_BATCH_CHANGES", 2)
    thread = Thread()
    puts = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "abc"]
    await thread.work()
    assert thread.keys() == ["a", "b"]
    await thread.work()
    await asyncio.gather(*puts)


async def test_one_that_must_be_synced_has_all_synced() -> None:
    """Each answer is its own."""
    thread = Thread()
    put = asyncio.ensure_future(thread.store.create("a", "owner", "data"))
    ended = asyncio.ensure_future(thread.store.end("b", "owner"))
    taken = asyncio.ensure_future(thread.store.claim("a", "second"))
    assert await thread.work()
    assert await asyncio.gather(put, ended, taken) == [None, False, "data"]


async def test_nobody_waits_for_a_batch_that_is_not_done() -> None:
    """All of it is refused, or cancelled where the thread has died; the next is done."""
    thread = Thread()
    refused = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].set_exception(LogUnavailable("not now"))
    for put in refused:
        with pytest.raises(LogUnavailable):
            await put
    cancelled = [asyncio.ensure_future(thread.store.create(key, "owner", "")) for key in "ab"]
    await until(lambda: bool(thread.batches))
    thread.batches.pop()[2].cancel()
    for put in cancelled:
        with pytest.raises(asyncio.CancelledError):
            await put
    put = asyncio.ensure_future(thread.store.create("c", "owner", ""))
    await thread.work()
    await put
    assert thread.keys() == ["c"]


async def test_who_gives_up_waiting_takes_nothing_from_others() -> None:
    """Its change may be done."""
    thread = Thread()
    given_up = asyncio.ensure_future(thread.store.create("a", "owner", ""))
    put = asyncio.ensure_future(thread.store.create("b", "owner", ""))
    await until(lambda: bool(thread.batches))
    given_up.cancel()
    await thread.work()
    await put
    assert thread.keys() == ["a", "b"]
