"""Calls of a session store with usual arguments, for tests in which only some of them matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sio_server.eventlog.session_contract import SessionContent, SessionStore

IDENTITY = "anonymous"
DATA = "data"
ROOMS = {"catalog": 0, "material:roble": 7}


async def create(
    store: SessionStore,
    key: str,
    owner: str = "first",
    data: str = DATA,
    rooms: Mapping[str, int] = ROOMS,
) -> bool:
    """Create a session."""
    return await store.create(key, owner, IDENTITY, data, rooms)


async def claim(
    store: SessionStore, key: str, owner: str, identity: str = IDENTITY
) -> SessionContent | None:
    """Claim a session."""
    return await store.claim(key, owner, identity)


async def change(
    store: SessionStore, key: str, owner: str, *added: str, removed: Collection[str] = ()
) -> bool:
    """Add rooms to a session, each with the number 1, and remove others."""
    return await store.change(key, owner, dict.fromkeys(added, 1), removed)


async def leave(store: SessionStore, key: str, owner: str = "first", data: str = DATA) -> bool:
    """Leave a session without a change of its rooms."""
    return await store.leave(key, owner, data, {}, ())
