"""Socket.IO: handshake, commands as events, events as they come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.access.limits import RateLimit
from sio_server.access.sources import Source
from sio_server.contract import strictjson
from sio_server.contract.commands import Command, parse_event_arguments
from sio_server.contract.errors import (
    ContractError,
    Flooding,
    InvalidJson,
    InvalidMessage,
    LogUnavailable,
    ShuttingDown,
)
from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import CATALOG, parse_rooms
from sio_server.delivery.connections import Connection, ready
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.sessions import ConsumerSession, LastSeen
from sio_server.endpoints.gate import (
    check_request,
    response_headers,
    source_of,
    source_of_session,
)
from sio_server.endpoints.responses import problem_response
from sio_server.engine import (
    UNDECODABLE,
    AcceptedSession,
    EngineSession,
    Server,
    SessionsUnavailable,
    ack_requested,
)
from sio_server.hub import Hub
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront
from sio_server.net.request import HttpRequest, HttpResponse

logger = logging.getLogger("sio_server")

_EVENT = "42"  # Engine.IO MESSAGE, Socket.IO EVENT, namespace /
_DEAD = frozenset(("ping timeout", "transport error"))


class Outlet:
    """Events with their offset as the second argument, which recovery builds on."""

    __slots__ = ("_session", "write")

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self.write = session.write

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the event packet."""
        return Frame(_EVENT + record.event_arguments)

    def write_all(self, frames: Sequence[Frame]) -> bool:
        """Write packets in one piece."""
        return self._session.write_all(frames)

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the client's machine has not taken."""
        return self._session.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait for the session's buffer."""
        await self._session.drain()

    def drop(self) -> None:
        """End the transport; the client may come back."""
        self._session.end("transport error")


class OneArgumentOutlet(Outlet):
    """Events alone, for clients whose handlers take one argument."""

    __slots__ = ()

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the event packet."""
        return Frame(_EVENT + record.event_argument)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A client's connection, and how it begins.

    Attributes:
        since: after which offset it is served; None: what is live.
        recovered: it goes on with its session.
        lost: it can't go on from where it was, and events of its rooms may have been missed.
        left_at: the offset that it says it has, where its session is gone: to begin anywhere else
            is to have missed something.
    """

    connection: Connection
    since: Offset | None
    recovered: bool = False
    lost: bool = False
    left_at: str | None = None


class SocketIO:
    """The endpoint at ``/socket.io/``."""

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings
        self._hub = hub
        self._rate_limit = settings.rate_limit
        self.server = Server(
            connected=self._connected,
            sessions=self,
            max_attachments=settings.max_attachments,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_message_bytes=settings.max_message_bytes,
            max_payload_bytes=settings.max_batch_bytes,
            max_buffer_bytes=settings.max_buffer_bytes,
            connect_timeout=settings.connect_timeout,
            guard=self._guard,
            admit=self._admit,
        )
        self.server.on("disconnect", self._disconnect)
        self.server.on("*", self._event)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        self.server.attach(app)

    def front(self, make_handler: Callable[[], asyncio.Protocol]) -> HttpFront:
        """Return what makes the protocol of each connection; see ``HttpFront``."""
        return self.server.front(make_handler)

    def _guard(self, request: HttpRequest) -> HttpResponse | Mapping[str, str]:
        headers = response_headers(request, self._hub)
        try:
            check_request(request, self._hub)
        except ContractError as error:
            return self._problem(request, error, headers)
        return headers

    def _admit(self, request: HttpRequest) -> HttpResponse | Callable[[], None]:
        address = source_of(request, self._hub).address
        try:
            return self._hub.connection_limits.enter(address)
        except ContractError as error:
            return self._problem(request, error)

    def _problem(
        self, request: HttpRequest, error: ContractError, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        rate = self._hub.address_rates.of(source_of(request, self._hub).address)
        answer = problem_response(self._hub.refusal(error, rate))
        answer.headers.update(headers or {})
        return answer

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Let a client connect, or come back; see ``SessionRegistry``."""
        source = source_of_session(session)
        # The rates are the whole session's, however often it connects. A refusal counts for the
        # address as well, which could go on guessing otherwise.
        kept = session.session
        rate: RateLimit = kept.setdefault("rate", RateLimit(self._rate_limit))
        connects: RateLimit = kept.setdefault("connects", RateLimit(self._rate_limit))
        try:
            connects.count()
            opened = await self._handshake(session, source, auth, rate)
        except (LogUnavailable, ShuttingDown):
            # After a CONNECT_ERROR the client would not connect again.
            raise SessionsUnavailable from None
        except ContractError as error:
            error = self._hub.refusal(error, self._hub.address_rates.of(source.address))
            if isinstance(error, Flooding):
                session.end("transport error")
            raise Refused(error.message, error.as_dict()) from None
        kept["opened"] = opened
        recoverable = opened.connection.session
        if recoverable is None:
            return AcceptedSession()
        return AcceptedSession(recoverable.sid, recoverable.pid)

    async def _handshake(
        self, session: EngineSession, source: Source, auth: Mapping[str, Any], rate: RateLimit
    ) -> _Opened:
        hub, settings = self._hub, self._hub.settings
        hub.check_open()
        strictjson.check(auth, settings.max_json_depth)
        token = auth.get("token")
        if token is not None and not isinstance(token, str):
            raise InvalidMessage("auth.token must be a string")
        rooms = auth.get("rooms")
        if rooms is not None and not isinstance(rooms, list):
            raise InvalidMessage("auth.rooms must be a list")
        names = frozenset((CATALOG,)) if rooms is None else parse_rooms(rooms)
        hub.check_rooms(names)
        since = auth.get("since")
        position = None if since is None else Offset.parse(since)
        principal = hub.access.identify(token, source)
        principal.check_consume()
        await hub.catch_up()
        lost = False
        if position is not None and not (await hub.event_log.bounds()).has_all_after(position):
            position, lost = None, bool(names)
        if auth.get("recovery") is False:
            cursor = Cursor(OneArgumentOutlet(session), names, hub.fanout.position)
            connection = Connection("socketio", principal, source, cursor, rate)
            return _Opened(connection, position, lost=lost)
        cursor = Cursor(Outlet(session), names, hub.fanout.position)
        pid, offset = auth.get("pid"), auth.get("offset")
        resumed = left_at = None
        if isinstance(pid, str):
            resumed = await hub.recovery.resume(pid, offset, principal.kind)
        if resumed is not None:
            recoverable, position = resumed
            cursor.rooms = dict(recoverable.rooms)
            lost = False
        else:
            if pid is not None and since is None and names:
                left_at = str(offset)
                lost = left_at != str(hub.fanout.position)
            recoverable = ConsumerSession(
                self.server.eio.generate_id(),
                principal.kind,
                position or hub.fanout.position,
                dict(cursor.rooms),
                gap=lost,
            )
            await hub.recovery.begin(recoverable)
        connection = Connection("socketio", principal, source, cursor, rate, recoverable)
        return _Opened(
            connection,
            position,
            recovered=resumed is not None,
            lost=lost,
            left_at=left_at,
        )

    def _connected(self, sid: str, namespace: str) -> None:
        opened = self._opened(sid)
        if namespace != "/" or opened is None:
            return
        connection, cursor = opened.connection, opened.connection.cursor

        def started(position: Offset, gap: bool, replayed: int) -> None:
            gap = gap or opened.lost or opened.left_at not in {None, str(position)}
            if connection.session is not None and not (opened.recovered or replayed):
                connection.session.start, connection.session.gap = position, gap
            message = ready(cursor, position, gap, replayed, recovered=opened.recovered)
            self._emit(sid, "ready", message)

        self._hub.connections.add(connection, lambda: self._close(sid))
        self._hub.fanout.join(cursor, opened.since, started, kept=opened.recovered)

    async def left(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Note where a client stood that may come back; see ``SessionRegistry``."""
        opened: _Opened | None = session.session.get("opened")
        if opened is None or opened.connection.session is None:
            return
        recovery, recoverable = self._hub.recovery, opened.connection.session
        standing = LastSeen(*self._hub.fanout.last_seen(opened.connection.cursor))
        try:
            if permanently:
                await recovery.end(recoverable)
            else:
                await recovery.leave(recoverable, standing)
        except LogUnavailable:
            logger.warning("session_not_kept")

    async def _disconnect(self, sid: str, reason: str) -> None:
        opened = self._opened(sid)
        if opened is not None:
            self._hub.connections.remove(opened.connection, reason, dead=reason in _DEAD)

    def _opened(self, sid: str) -> _Opened | None:
        session = self.server.engine_session(sid)
        return None if session is None else session.session.get("opened")

    async def _event(self, name: Any, sid: str, *arguments: Any) -> Any:
        hub, opened = self._hub, self._opened(sid)
        if opened is None:  # it left long ago
            return None

        def parse() -> Command:
            if UNDECODABLE in arguments:
                raise InvalidJson("not valid JSON, nested too deep, or numbers too long")
            return parse_event_arguments(name, arguments, hub.settings.max_json_depth)

        try:
            answer = await hub.execute(opened.connection, parse)
        except ContractError as error:
            self._answer_error(sid, name, error)
            if isinstance(error, Flooding):
                self._close(sid)
            return {"ok": False, "error": error.as_dict()}
        if answer.get("type") == "pong":
            self._emit(sid, "pong", answer)
            return answer
        return {"ok": True, **answer}

    def _answer_error(self, sid: str, name: Any, error: ContractError) -> None:
        if not ack_requested():
            shown = str(name)[:80].encode(errors="replace").decode()
            self._emit(sid, "error", {**error.as_dict(), "event": shown})

    def _emit(self, sid: str, event: str, argument: dict[str, Any]) -> None:
        session = self.server.engine_session(sid)
        if session is not None:
            session.write(Frame(f'{_EVENT}["{event}",{strictjson.dumps(argument)}]'))

    def _close(self, sid: str) -> None:
        session = self.server.engine_session(sid)
        if session is not None:
            session.end("transport error")
