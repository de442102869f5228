"""Sessions that outlive their connection, in memory, as the engine's seam wants them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sio_server.engine import AcceptedSession, EngineSession, Server, SessionsUnavailable


@dataclass
class Remembered:
    """One session."""

    sid: str
    rooms: frozenset[str] = frozenset()


@dataclass
class MemorySessions:
    """Remembers every session until its client disconnects, and every event that was emitted.

    Attributes:
        by_pid: what can be come back to.
        events: what was emitted: the room, None for all, and the event with its offset.
        reachable: while it is false, nothing can be looked up.
    """

    by_pid: dict[str, Remembered] = field(default_factory=dict)
    events: list[tuple[str | None, tuple[Any, ...]]] = field(default_factory=list)
    reachable: bool = True

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Return the session that is asked for, or a new one."""
        if not self.reachable:
            raise SessionsUnavailable
        pid = auth.get("pid")
        kept = self.by_pid.get(pid) if isinstance(pid, str) else None
        if kept is None:
            sid, pid = secrets.token_hex(8), secrets.token_hex(16)
            self.by_pid[pid] = Remembered(sid)
            return AcceptedSession(sid=sid, pid=pid)
        heard = {None, kept.sid, *kept.rooms}
        start = int(auth["offset"])
        missed_events = [event for room, event in self.events[start:] if room in heard]
        return AcceptedSession(sid=kept.sid, pid=pid, rooms=kept.rooms, missed_events=missed_events)

    async def left(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Keep the rooms, or forget the session."""
        for pid, kept in list(self.by_pid.items()):
            if kept.sid == sid:
                kept.rooms = frozenset(rooms)
                if permanently:
                    del self.by_pid[pid]

    async def emit(self, server: Server, event: str, to: str | None = None) -> None:
        """Emit an event with its offset, the number of events until now."""
        arguments = (event, str(len(self.events) + 1))
        self.events.append((to, arguments))
        await server.emit(event, arguments[1:], to=to)
