"""The memory log's session store beyond the common contract: when it frees memory."""

from __future__ import annotations

from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.sessions import MemorySessions, _Group
from sio_server.eventlog.session_contract import SessionContent
from tests.support.stores import ROOMS, change, claim, create, leave


async def test_expired_sessions_are_freed_by_calls_for_other_sessions() -> None:
    """A session expires after its last leave, and only if no claim has followed."""
    now = 0.0
    sessions = MemorySessions(Retention(60), lambda: now)
    for key in ("left twice", "left once", "claimed"):
        await create(sessions, key, "first", "data")
        await leave(sessions, key, "first", "data")
    now = 30.0
    await leave(sessions, "left twice", "first", "data")
    await claim(sessions, "claimed", "second")
    now = 61.0
    assert await claim(sessions, "other", "first") is None
    assert set(sessions._sessions) == {"left twice", "claimed"}
    now = 91.0
    assert await claim(sessions, "other", "first") is None
    assert set(sessions._sessions) == {"claimed"}


async def test_an_ended_session_leaves_no_expiry_behind() -> None:
    """Ending a session that was left removes its expiry, so that nothing fails when it is due."""
    now = 0.0
    sessions = MemorySessions(Retention(60), lambda: now)
    await create(sessions, "key", "first", "data")
    await leave(sessions, "key", "first", "data")
    await sessions.end("key", "first")
    now = 61.0
    await create(sessions, "key", "second", "new")
    assert await claim(sessions, "key", "third") == SessionContent("new", dict(ROOMS))


async def test_a_closed_store_holds_no_session() -> None:
    """Closing frees the memory."""
    sessions = MemorySessions(Retention(60), lambda: 0.0)
    await create(sessions, "key", "first", "data")
    sessions.close()
    assert sessions._sessions == {}


async def test_the_lengths_are_counted_exactly() -> None:
    """When all sessions have gone, in whichever way, nothing is counted any more."""
    now = 0.0
    sessions = MemorySessions(Retention(3_600, sessions=2), lambda: now)
    for key in ("ended", "dropped", "left", "expired"):
        await create(sessions, key)
        await change(sessions, key, "first", "a", removed=["catalog"])
    await sessions.end("ended", "first")
    for key in ("dropped", "left", "expired"):
        await leave(sessions, key, data=key)
    await claim(sessions, "left", "second")
    await sessions.leave("left", "second", "", {"b": 0}, ["a"])
    await sessions.end("left", "second")
    now = 3_601.0
    assert await claim(sessions, "expired", "second") is None
    assert sessions._connected == sessions._brief == sessions._long == _Group()
