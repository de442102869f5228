"""Sessions of consumers, which a client can recover after its connection ended.

This module stores and loads them. ``resume`` decides where a recovered session continues. Knows the
log's session store; nothing of sockets or protocols.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Offset
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.delivery.resume import LastSeen, SessionPast
from sio_server.eventlog.session_contract import SessionContent, SessionStore
from sio_server.randomness import random_bytes


def _new_name(size: int) -> str:
    return base64.urlsafe_b64encode(random_bytes(size)).decode()


@dataclass(slots=True)
class ConsumerSession:
    """A consumer's session.

    Attributes:
        sid: the Socket.IO id of the consumer.
        identity: the identity of the consumer. No other identity can recover the session.
        start: the offset at which the session began. Earlier events do not belong to it.
        rooms: its rooms, each with the ``seq`` from which it counts.
        began_with_gap: the session began with a gap, and its client may not know it.
        pid: the secret with which the client recovers the session.
        owner: a random name for the connection that has the session now.
        rooms_lock: held while the rooms change, so that changes are stored in their order.
        unsettled_rooms: rooms whose change may not be stored. The next call stores them again.
        key: the session's key in the store, a hash: a reader of the store cannot recover sessions.
    """

    sid: str
    identity: str
    start: Offset
    rooms: dict[str, int]
    began_with_gap: bool = False
    pid: str = field(default_factory=partial(_new_name, 24), repr=False)
    owner: str = field(default_factory=partial(_new_name, 12))
    rooms_lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    unsettled_rooms: set[str] = field(default_factory=set)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = _key(self.pid)

    def room_changes(self) -> tuple[dict[str, int], list[str]]:
        """Return the unsettled rooms as the added and the removed ones."""
        added = {room: self.rooms[room] for room in self.unsettled_rooms if room in self.rooms}
        return added, [room for room in self.unsettled_rooms if room not in self.rooms]


class StoredSession(NamedTuple):
    """A session as the store returns it, and its past."""

    session: ConsumerSession
    past: SessionPast


class ConsumerSessions:
    """Stores the sessions of consumers beside the log's events.

    Every method raises ``LogUnavailable`` while the store cannot be reached.

    Args:
        store: the log's session store.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def begin(self, session: ConsumerSession) -> bool:
        """Store a new session; return False if the store has no space for it."""
        return await self._store.create(
            session.key, session.owner, session.identity, _encode(session, None), session.rooms
        )

    async def claim(
        self, pid: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> StoredSession | None:
        """Make the present connection the owner of a session.

        An older connection of the session, on any server, is superseded and ends.

        Args:
            pid: the secret that the client presents.
            identity: the identity of the client now.
            allowed: the rooms that the client may be in now.

        Returns:
            None if the identity has no such session, or may not be in one of its rooms.
        """
        owner = _new_name(12)
        content = await self._store.claim(_key(pid), owner, identity, allowed)
        return None if content is None else _decode(content, identity, pid, owner)

    async def save(self, session: ConsumerSession, rooms: Mapping[str, int]) -> None:
        """Store a change of a session's rooms: only the rooms that differ.

        Raises:
            SessionsFull: the store has no space for more rooms.
            LogUnavailable: the change may not be stored; or a later connection supersedes this one,
                which ends then.
        """
        before, session.rooms = session.rooms, dict(rooms)
        session.unsettled_rooms.update(room for room, _ in before.items() ^ session.rooms.items())
        stored = False
        try:
            stored = await self._store.change(session.key, session.owner, *session.room_changes())
        finally:
            if not stored:
                session.rooms = before
        if not stored:
            raise LogUnavailable("the session has ended, or continues over another connection")
        session.unsettled_rooms.clear()

    async def leave(self, session: ConsumerSession, last_seen: LastSeen) -> None:
        """Store where the consumer was when it disconnected. It may come back."""
        await self._store.leave(
            session.key, session.owner, _encode(session, last_seen), *session.room_changes()
        )

    async def end(self, session: ConsumerSession) -> None:
        """Remove a session permanently."""
        await self._store.end(session.key, session.owner)


def _key(pid: str) -> str:
    return hashlib.sha256(pid.encode(errors="surrogatepass")).hexdigest()[:32]


def _encode(session: ConsumerSession, last_seen: LastSeen | None) -> str:
    return json.dumps(
        {
            "sid": session.sid,
            "start": session.start,
            "began_with_gap": session.began_with_gap,
            "last_seen": last_seen,
        }
    )


def _decode(content: SessionContent, identity: str, pid: str, owner: str) -> StoredSession:
    fields = json.loads(content.data)
    start, gap, seen = Offset(*fields["start"]), fields["began_with_gap"], fields["last_seen"]
    session = ConsumerSession(fields["sid"], identity, start, content.rooms, gap, pid, owner)
    last_seen = None if seen is None else LastSeen(Offset(*seen[0]), seen[1])
    return StoredSession(session, SessionPast(start, gap, last_seen))
