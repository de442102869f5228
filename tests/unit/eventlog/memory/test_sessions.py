"""The memory log's session store beyond the common contract: when it frees memory."""

from __future__ import annotations

from sio_server.eventlog.memory.sessions import MemorySessions


async def test_expired_sessions_are_freed_by_calls_for_other_sessions() -> None:
    """A session expires after its last leave, and only if no claim has followed."""
    now = 0.0
    sessions = MemorySessions(60, lambda: now)
    for key in ("left twice", "left once", "claimed"):
        await sessions.create(key, "first", "data")
        await sessions.leave(key, "first", "data")
    now = 30.0
    await sessions.leave("left twice", "first", "data")
    await sessions.claim("claimed", "second")
    now = 61.0
    assert await sessions.claim("other", "first") is None
    assert set(sessions._sessions) == {"left twice", "claimed"}
    now = 91.0
    assert await sessions.claim("other", "first") is None
    assert set(sessions._sessions) == {"claimed"}


async def test_an_ended_session_leaves_no_expiry_behind() -> None:
    """Ending a session that was left removes its expiry, so that nothing fails when it is due."""
    now = 0.0
    sessions = MemorySessions(60, lambda: now)
    await sessions.create("key", "first", "data")
    await sessions.leave("key", "first", "data")
    await sessions.end("key", "first")
    now = 61.0
    await sessions.create("key", "second", "new")
    assert await sessions.claim("key", "third") == "new"


async def test_a_closed_store_holds_no_session() -> None:
    """Closing frees the memory."""
    sessions = MemorySessions(60, lambda: 0.0)
    await sessions.create("key", "first", "data")
    sessions.close()
    assert sessions._sessions == {}
