"""The session store of the memory log. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.session_contract import SessionStore, Superseded
from sio_server.eventlog.tails import Tails


@dataclass(slots=True)
class _StoredSession:
    owner: str
    data: str


class MemorySessions(SessionStore):
    """Sessions that end with the process.

    Args:
        seconds: how long a session lives after its owner has left.
        clock: returns the seconds since the Unix epoch.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sessions: dict[str, _StoredSession] = {}
        self._left_at: OrderedDict[str, float] = OrderedDict()  # the oldest leave first
        self._tails: Tails[Superseded] = Tails()
        self._closed = False

    @override
    async def create(self, key: str, owner: str, data: str) -> None:
        self._delete_expired()
        self._sessions[key] = _StoredSession(owner, data)

    @override
    async def claim(self, key: str, owner: str) -> str | None:
        self._delete_expired()
        session = self._sessions.get(key)
        if session is None:
            return None
        session.owner = owner
        self._left_at.pop(key, None)
        self._tails.publish([Superseded(key, owner)])
        return session.data

    @override
    async def change(self, key: str, owner: str, data: str) -> bool:
        session = self._find(key, owner)
        if session is None:
            return False
        session.data = data
        return True

    @override
    async def leave(self, key: str, owner: str, data: str) -> bool:
        is_owner = await self.change(key, owner, data)
        if is_owner:
            self._left_at[key] = self._clock()
            self._left_at.move_to_end(key)
        return is_owner

    @override
    async def end(self, key: str, owner: str) -> bool:
        if self._find(key, owner) is None:
            return False
        del self._sessions[key]
        self._left_at.pop(key, None)
        return True

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    def close(self) -> None:
        """Delete all sessions and end the tails."""
        self._closed = True
        self._sessions.clear()
        self._left_at.clear()
        self._tails.end()

    def _find(self, key: str, owner: str) -> _StoredSession | None:
        self._delete_expired()
        session = self._sessions.get(key)
        return session if session is not None and session.owner == owner else None

    def _delete_expired(self) -> None:
        if self._closed:
            raise LogUnavailable("the event log is closed")
        oldest = self._clock() - self._seconds
        while self._left_at and next(iter(self._left_at.values())) < oldest:
            key, _ = self._left_at.popitem(last=False)
            del self._sessions[key]
