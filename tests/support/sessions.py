"""A session registry in memory, for tests of the engine's recovery."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sio_server.engine import AcceptedSession, EngineSession, Server, SessionsUnavailable
from sio_server.engine.engineio.door import Guest


@dataclass
class StoredSession:
    """A session that its client can recover."""

    sid: str
    rooms: frozenset[str] = frozenset()


class Left(NamedTuple):
    """A client that has left.

    Attributes:
        guest: the guest of its Engine.IO session at that time.
    """

    sid: str
    rooms: list[str]
    permanently: bool
    guest: Guest


@dataclass
class MemorySessions:
    """Store every session until its client disconnects, and every emitted event.

    Attributes:
        by_pid: the sessions that clients can recover.
        events: the emitted events with their offsets, each with its room, or None for all clients.
        reachable: if False, no session can be looked up.
        left: the clients that have left.
    """

    by_pid: dict[str, StoredSession] = field(default_factory=dict)
    events: list[tuple[str | None, tuple[Any, ...]]] = field(default_factory=list)
    reachable: bool = True
    left: list[Left] = field(default_factory=list)

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Return the session of the ``pid``, or a new one."""
        if not self.reachable:
            raise SessionsUnavailable
        pid = auth.get("pid")
        stored = self.by_pid.get(pid) if isinstance(pid, str) else None
        if stored is None:
            sid, pid = secrets.token_hex(8), secrets.token_hex(16)
            self.by_pid[pid] = StoredSession(sid)
            return AcceptedSession(sid=sid, pid=pid)
        joined = {None, stored.sid, *stored.rooms}
        start = int(auth["offset"])
        missed_events = [event for room, event in self.events[start:] if room in joined]
        return AcceptedSession(
            sid=stored.sid, pid=pid, rooms=stored.rooms, missed_events=missed_events
        )

    async def disconnected(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Store the rooms, or delete the session."""
        rooms = list(rooms)
        self.left.append(Left(sid, rooms, permanently, session.guest))
        for pid, stored in list(self.by_pid.items()):
            if stored.sid == sid:
                stored.rooms = frozenset(rooms)
                if permanently:
                    del self.by_pid[pid]

    async def emit(self, server: Server, event: str, to: str | None = None) -> None:
        """Emit an event with its offset: the number of emitted events."""
        arguments = (event, str(len(self.events) + 1))
        self.events.append((to, arguments))
        await server.emit(event, arguments[1:], to=to)
