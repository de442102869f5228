"""Connection state recovery: sessions by ``pid``, and from where a client that comes back goes on.

Knows logs and cursors; nothing of sockets or protocols.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from sio_server.contract.errors import InvalidOffset, LogUnavailable
from sio_server.contract.events import Offset
from sio_server.eventlog.contract import Bounds, EventLog


@dataclass(slots=True)
class ConsumerSession:
    """What a client can come back to.

    Attributes:
        pid: the secret that names it.
        sid: the Socket.IO id that it keeps.
        identity: whom it speaks for; nobody else can come back to it.
        start: where it began; what came before is not its own.
        rooms: those that it is in, each with the ``seq`` that it counts from.
        gap: it began with one, which its client may not have been told yet.
        owner: the name of the connection that has it now.
        changing: held while its rooms change: what is kept last is what they are.
        key: what the store knows it by: who reads the store can't come back to it.
    """

    sid: str
    identity: str
    start: Offset
    rooms: dict[str, int]
    gap: bool = False
    pid: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    owner: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    changing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = _key(self.pid)


@dataclass(frozen=True, slots=True)
class LastSeen:
    """Where a consumer stood when it was last seen.

    Attributes:
        position: all that is for it, up to here, was written to it.
        last: the ``seq`` of the last event that was.
    """

    position: Offset
    last: int


class ConsumerSessions:
    """Keeps sessions beside the log's events.

    All methods but those that say otherwise raise ``LogUnavailable`` while the log can't be
    reached.
    """

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log

    async def begin(self, session: ConsumerSession) -> None:
        """Keep a new session."""
        await self._log.sessions.create(session.key, session.owner, _encode(session, None))

    async def resume(
        self, pid: str, offset: str | None, identity: str
    ) -> tuple[ConsumerSession, Offset] | None:
        """Return the session that a client comes back to, and from where it goes on.

        Its former connection, wherever it is, has lost it then.

        Args:
            pid: what the client has.
            offset: what it says that it got last.
            identity: whom it speaks for now.

        Returns:
            None where there is no such session, or something may have been missed for good.
        """
        owner = secrets.token_urlsafe(12)
        data = await self._log.sessions.claim(_key(pid), owner)
        if data is None:
            return None
        session, last_seen = _decode(data, pid, owner)
        position = _go_on(session, last_seen, offset, await self._log.bounds())
        if session.identity != identity or position is None:
            await self._log.sessions.end(session.key, owner)
            return None
        return session, position

    async def save(self, session: ConsumerSession, rooms: Mapping[str, int]) -> None:
        """Keep a change of a session's rooms.

        Raises:
            LogUnavailable: it is not known to be kept; or the session is another connection's now,
                which ends this one.
        """
        before, session.rooms = session.rooms, dict(rooms)
        kept = False
        try:
            kept = await self._log.sessions.change(
                session.key, session.owner, _encode(session, None)
            )
        finally:
            if not kept:
                session.rooms = before
        if not kept:
            raise LogUnavailable("the session goes on over another connection")

    async def leave(self, session: ConsumerSession, last_seen: LastSeen) -> None:
        """Note that a session's client is gone and may come back."""
        await self._log.sessions.leave(session.key, session.owner, _encode(session, last_seen))

    async def end(self, session: ConsumerSession) -> None:
        """Forget a session for good."""
        await self._log.sessions.end(session.key, session.owner)


def _key(pid: str) -> str:
    return hashlib.sha256(pid.encode(errors="surrogatepass")).hexdigest()[:32]


def _go_on(
    session: ConsumerSession, last_seen: LastSeen | None, offset: str | None, kept: Bounds
) -> Offset | None:
    """Return after which offset a client has to be served; None: the log can't tell any more."""
    start = session.start
    try:
        got = None if offset is None else Offset.parse(offset)
    except InvalidOffset:
        got = None
    if got is not None and got.epoch == start.epoch and got.seq >= start.seq:
        start = got
    elif session.gap:
        return None
    if start.epoch != kept.position.epoch or start.seq > kept.position.seq:
        return None
    if start.seq >= kept.oldest.seq:
        return start
    # The retention has passed it; but what it has not got begins where it was last seen.
    if last_seen is None or start.seq < last_seen.last or last_seen.position.seq < kept.oldest.seq:
        return None
    return last_seen.position


def _encode(session: ConsumerSession, last_seen: LastSeen | None) -> str:
    return json.dumps(
        {
            "sid": session.sid,
            "identity": session.identity,
            "start": session.start,
            "rooms": session.rooms,
            "gap": session.gap,
            "standing": last_seen and (last_seen.position, last_seen.last),
        }
    )


def _decode(data: str, pid: str, owner: str) -> tuple[ConsumerSession, LastSeen | None]:
    kept = json.loads(data)
    session = ConsumerSession(
        kept["sid"],
        kept["identity"],
        Offset(*kept["start"]),
        kept["rooms"],
        kept["gap"],
        pid,
        owner,
    )
    if kept["standing"] is None:
        return session, None
    position, last = kept["standing"]
    return session, LastSeen(Offset(*position), last)
