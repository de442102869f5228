"""The session store of the memory log. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import (
    BRIEF_SECONDS,
    SessionContent,
    SessionStore,
    Superseded,
    room_bytes,
    session_bytes,
)
from sio_server.eventlog.tails import Tails


@dataclass(slots=True)
class _Group:
    """Sessions that count together.

    Attributes:
        left_at: their keys; the key of the oldest leave is first. Connected sessions have no entry.
        bytes: the sum of their lengths.
    """

    left_at: OrderedDict[str, float] = field(default_factory=OrderedDict)
    bytes: int = 0


@dataclass(slots=True)
class _StoredSession:
    owner: str
    identity: str
    data: str
    rooms: dict[str, int]
    created_at: float
    bytes: int
    group: _Group


class MemorySessions(SessionStore):
    """Sessions that end with the process.

    Args:
        retention: how long a session lives after its owner has left, and the bounds.
        clock: returns the seconds since the Unix epoch.
    """

    def __init__(self, retention: Retention, clock: Callable[[], float]) -> None:
        self._retention = retention
        self._clock = clock
        self._sessions: dict[str, _StoredSession] = {}
        self._connected, self._brief, self._long = _Group(), _Group(), _Group()
        self._tails: Tails[Superseded] = Tails()
        self._closed = False

    @override
    async def create(
        self, key: str, owner: str, identity: str, data: str, rooms: Mapping[str, int]
    ) -> bool:
        self._drop_expired()
        session = self._sessions.get(key)
        if session is not None:
            return session.owner == owner
        length = session_bytes(identity, data, rooms)
        if not self._has_space(length):
            return False
        self._sessions[key] = _StoredSession(
            owner, identity, data, dict(rooms), self._clock(), length, self._connected
        )
        self._connected.bytes += length
        return True

    @override
    async def claim(
        self, key: str, owner: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> SessionContent | None:
        self._drop_expired()
        session = self._sessions.get(key)
        if session is None or session.identity != identity:
            return None
        if not allowed.allows_all(session.rooms):
            return None
        if session.group is not self._connected:
            if not self._has_space(session.bytes):
                return None
            self._move(key, session, self._connected)
        session.owner = owner
        self._tails.publish([Superseded(key, owner)])
        return SessionContent(session.data, dict(session.rooms))

    @override
    async def change(
        self, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        session = self._find(key, owner)
        if session is None or session.group is not self._connected:
            return False
        growth = sum(room_bytes(room) for room in added if room not in session.rooms) - sum(
            room_bytes(room) for room in removed if room in session.rooms
        )
        if growth > 0 and not self._has_space(growth):
            raise SessionsFull
        self._change_rooms(session, added, removed)
        return True

    @override
    async def leave(
        self,
        key: str,
        owner: str,
        data: str,
        added: Mapping[str, int],
        removed: Collection[str],
    ) -> bool:
        session = self._find(key, owner)
        if session is None:
            return False
        session.data = data
        self._change_rooms(session, added, removed)
        now = self._clock()
        group = self._brief if now - session.created_at < BRIEF_SECONDS else self._long
        self._move(key, session, group)
        group.left_at[key] = now
        self._drop_beyond_bounds()
        return True

    @override
    async def end(self, key: str, owner: str) -> bool:
        if self._find(key, owner) is None:
            return False
        self._drop(key)
        return True

    @override
    async def count_left(self) -> int:
        self._drop_expired()
        return len(self._brief.left_at) + len(self._long.left_at)

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    def close(self) -> None:
        """Delete all sessions and end the tails."""
        self._closed = True
        self._sessions.clear()
        self._connected, self._brief, self._long = _Group(), _Group(), _Group()
        self._tails.end()

    def _find(self, key: str, owner: str) -> _StoredSession | None:
        self._drop_expired()
        session = self._sessions.get(key)
        return session if session is not None and session.owner == owner else None

    def _has_space(self, length: int) -> bool:
        return self._connected.bytes + length <= self._retention.session_bytes

    def _change_rooms(
        self, session: _StoredSession, added: Mapping[str, int], removed: Collection[str]
    ) -> None:
        session.rooms.update(added)
        for room in removed:
            session.rooms.pop(room, None)
        length = session_bytes(session.identity, session.data, session.rooms)
        session.group.bytes += length - session.bytes
        session.bytes = length

    def _move(self, key: str, session: _StoredSession, group: _Group) -> None:
        session.group.bytes -= session.bytes
        session.group.left_at.pop(key, None)
        group.bytes += session.bytes
        session.group = group

    def _drop(self, key: str) -> None:
        session = self._sessions.pop(key)
        session.group.bytes -= session.bytes
        session.group.left_at.pop(key, None)

    def _drop_expired(self) -> None:
        if self._closed:
            raise LogUnavailable("the event log is closed")
        oldest = self._clock() - self._retention.seconds
        for group in (self._brief, self._long):
            while group.left_at and next(iter(group.left_at.values())) < oldest:
                self._drop(next(iter(group.left_at)))

    def _drop_beyond_bounds(self) -> None:
        brief, long, retention = self._brief, self._long, self._retention
        while (
            len(brief.left_at) + len(long.left_at) > retention.sessions
            or brief.bytes + long.bytes > retention.session_bytes
        ):
            self._drop(next(iter(brief.left_at or long.left_at)))
