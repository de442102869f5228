"""Socket.IO: the handshake, commands as events, and the catalogue's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.access.limits import Limits, RateLimit
from sio_server.access.principals import Principal
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
from sio_server.delivery.connections import Connection, Connections
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp, Fanout
from sio_server.delivery.resume import ResumeRequest, Start, resume
from sio_server.delivery.sessions import ConsumerSession, ConsumerSessions
from sio_server.endpoints.gate import Gate
from sio_server.endpoints.responses import problem_response
from sio_server.engine import (
    UNDECODABLE,
    AcceptedSession,
    EngineSession,
    Server,
    SessionsUnavailable,
    ack_requested,
)
from sio_server.eventlog.contract import Bounds
from sio_server.hub import Hub
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront
from sio_server.net.request import HttpRequest, HttpResponse
from sio_server.settings import Settings

logger = logging.getLogger("sio_server")

_EVENT = "42"  # Engine.IO MESSAGE, Socket.IO EVENT, namespace /
_DEAD_REASONS = frozenset(("ping timeout", "transport error"))
"""The reasons for which a connection counts as dead, as python-engineio names them."""

_CLIENT = "sio_server.client"
"""The key of the ``SocketIOClient`` in its Engine.IO session's dictionary."""


class SocketIOOutlet:
    """Writes events with the offset as the second argument. A recovering client sends it back.

    Args:
        session: the client's Engine.IO session.
    """

    __slots__ = ("_session", "write")

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self.write = session.write

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the frame of an event."""
        return Frame(_EVENT + record.event_arguments)

    def write_all(self, frames: Sequence[Frame]) -> bool:
        """Write several frames in one piece."""
        return self._session.write_all(frames)

    def unacknowledged_bytes(self) -> int:
        """Return how many written bytes the client's machine has not acknowledged."""
        return self._session.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait until the session's buffer is well below its bound."""
        await self._session.drain()

    def drop(self) -> None:
        """End the transport. The client may connect again."""
        self._session.end("transport error")


class OneArgumentOutlet(SocketIOOutlet):
    """Writes events without the offset, for clients whose handlers take one argument."""

    __slots__ = ()

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the frame of an event."""
        return Frame(_EVENT + record.event_argument)


class ConnectAuth(NamedTuple):
    """The ``auth`` of a handshake, checked.

    Attributes:
        token: the credential, or None.
        rooms: the rooms that the client names, or ``catalog``.
        since: the offset after which it asks for events, or None.
        pid: the secret of a session that it wants to recover, unchecked; or None.
        offset: the offset of its last event in that session, unchecked.
        recovery: whether it wants a session, and offsets with its events.
    """

    token: str | None
    rooms: frozenset[str]
    since: Offset | None
    pid: object
    offset: object
    recovery: bool

    @classmethod
    def parse(cls, auth: Mapping[str, Any], max_json_depth: int) -> ConnectAuth:
        """Check the ``auth`` of a handshake.

        Raises:
            ContractError: a value is bad.
        """
        strictjson.check(auth, max_json_depth)
        token, rooms, since = auth.get("token"), auth.get("rooms"), auth.get("since")
        if token is not None and not isinstance(token, str):
            raise InvalidMessage("auth.token must be a string")
        if rooms is not None and not isinstance(rooms, list):
            raise InvalidMessage("auth.rooms must be a list")
        return cls(
            token,
            frozenset((CATALOG,)) if rooms is None else parse_rooms(rooms),
            None if since is None else Offset.parse(since),
            auth.get("pid"),
            auth.get("offset"),
            auth.get("recovery") is not False,
        )

    @property
    def past(self) -> ResumeRequest:
        """What the client says about its past."""
        claims_session = self.recovery and self.pid is not None
        return ResumeRequest(self.since, claims_session, self.offset, bool(self.rooms))


class SocketIOClient:
    """One Socket.IO client.

    Args:
        session: its Engine.IO session.
        source: the address from which it opened its Engine.IO session.
        rate: the limit for its commands.
        connect_rate: the limit for its CONNECT packets.

    Attributes:
        connection: None until the handshake has succeeded.
        decide: returns its start, given the head; set by the handshake.
    """

    __slots__ = ("_session", "connect_rate", "connection", "decide", "rate", "source")

    def __init__(
        self, session: EngineSession, source: Source, rate: RateLimit, connect_rate: RateLimit
    ) -> None:
        self._session = session
        self.source = source
        self.rate = rate
        self.connect_rate = connect_rate
        self.connection: Connection | None = None
        self.decide: Callable[[Offset], Start]

    def caught_up(self, caught_up: CaughtUp) -> None:
        """Emit ``ready``, and note where a fresh session has begun."""
        connection, start = self.connection, caught_up.start
        assert connection is not None
        consumer_session = connection.session
        if consumer_session is not None and not (start.recovered or caught_up.replayed):
            consumer_session.start = caught_up.position
            consumer_session.began_with_gap = start.gap
        self.emit("ready", caught_up.ready_message(connection.cursor.rooms))

    def emit(self, event: str, argument: dict[str, Any]) -> None:
        """Emit an event with one argument."""
        self._session.write(Frame(f'{_EVENT}["{event}",{strictjson.dumps(argument)}]'))

    def close(self) -> None:
        """End the transport. The client may connect again and recover its session."""
        self._session.end("transport close")


class SocketIO:
    """The endpoint at ``/socket.io/``.

    Args:
        hub: executes commands.
        gate: identifies the client and counts its connection.
        fanout: writes events to the clients.
        sessions: stores the sessions that clients can recover.
        connections: the open connections.
        limits: the rate limit and the rooms of a connection.
        settings: the engine's options.
    """

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        fanout: Fanout,
        sessions: ConsumerSessions,
        connections: Connections,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._fanout = fanout
        self._sessions = sessions
        self._connections = connections
        self._limits = limits
        self._max_json_depth = settings.max_json_depth
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
        """Return the factory for the protocol of each TCP connection; see ``HttpFront``."""
        return self.server.front(make_handler)

    def _guard(self, request: HttpRequest) -> HttpResponse | Mapping[str, str]:
        headers = self._gate.response_headers(request)
        try:
            self._hub.check_open()
            self._gate.check_origin(request)
        except ContractError as error:
            return self._refuse(request, error, headers)
        return headers

    def _admit(self, request: HttpRequest) -> HttpResponse | Callable[[], None]:
        try:
            return self._gate.enter(self._gate.source(request))
        except ContractError as error:
            return self._refuse(request, error)

    def _refuse(
        self,
        request: HttpRequest,
        error: ContractError,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        response = problem_response(self._gate.refuse(error, self._gate.source(request)))
        response.headers.update(headers or {})
        return response

    # The handshake: parse, authorise, decide.

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Let a client connect, or recover its session; see ``SessionRegistry``."""
        client = self._client_of(session)
        try:
            client.connect_rate.count()
            self._hub.check_open()
            parsed = ConnectAuth.parse(auth, self._max_json_depth)
            principal = self._authorise(client, parsed)
            bounds = await self._fanout.prepare(parsed.past)
            connection = await self._make_connection(client, session, parsed, principal, bounds)
        except (LogUnavailable, ShuttingDown):
            # This closes the transport, so the client connects again. After a CONNECT_ERROR it
            # would not.
            raise SessionsUnavailable from None
        except ContractError as error:
            # A refusal counts for the address. Otherwise a client could try many credentials, each
            # over a new connection.
            error = self._gate.refuse(error, client.source)
            if isinstance(error, Flooding):
                client.close()
            raise Refused(error.message, error.as_dict()) from None
        client.connection = connection
        consumer_session = connection.session
        if consumer_session is None:
            return AcceptedSession()
        return AcceptedSession(consumer_session.sid, consumer_session.pid)

    def _client_of(self, session: EngineSession) -> SocketIOClient:
        """Return the client of an Engine.IO session. It stays the same for every CONNECT."""
        client: SocketIOClient | None = session.session.get(_CLIENT)
        if client is None:
            source = self._gate.source_of_session(session)
            new_rate = self._limits.new_rate
            client = SocketIOClient(session, source, new_rate(), new_rate())
            session.session[_CLIENT] = client
        return client

    def _authorise(self, client: SocketIOClient, auth: ConnectAuth) -> Principal:
        self._limits.check_rooms(auth.rooms)
        principal = self._gate.identify(auth.token, client.source)
        principal.check_consume()
        return principal

    async def _make_connection(
        self,
        client: SocketIOClient,
        session: EngineSession,
        auth: ConnectAuth,
        principal: Principal,
        bounds: Bounds | None,
    ) -> Connection:
        """Return the client's connection, with the session that it recovers or begins."""
        stored = None
        if auth.recovery and isinstance(auth.pid, str):
            stored = await self._sessions.claim(auth.pid, principal.kind)
        client.decide = partial(resume, auth.past, stored and stored.past, bounds)
        start = client.decide(self._fanout.position)  # and again once the connection is open
        outlet = SocketIOOutlet(session) if auth.recovery else OneArgumentOutlet(session)
        cursor = Cursor(outlet, auth.rooms, start.position)
        consumer_session = None
        if stored is not None and start.recovered:
            consumer_session = stored.session
            cursor.rooms = dict(consumer_session.rooms)
        elif auth.recovery:
            if stored is not None:
                await self._sessions.end(stored.session)
            consumer_session = await self._begin_session(principal, cursor, start)
        return Connection(
            "socketio", principal, client.source, cursor, client.rate, consumer_session
        )

    async def _begin_session(
        self, principal: Principal, cursor: Cursor, start: Start
    ) -> ConsumerSession:
        session = ConsumerSession(
            self.server.eio.generate_id(),
            principal.kind,
            start.position,
            dict(cursor.rooms),
            start.gap,
        )
        await self._sessions.begin(session)
        return session

    # The connection's life.

    def _connected(self, sid: str, namespace: str) -> None:
        client = self._client(sid)
        if namespace != "/" or client is None or client.connection is None:
            return
        self._connections.open(client.connection, client.close, client.decide, client.caught_up)

    async def disconnected(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Store where the consumer was, or end its session; see ``SessionRegistry``."""
        connection = self._client_of(session).connection
        if connection is None or connection.session is None:
            return
        last_seen = self._fanout.last_seen(connection.cursor)
        try:
            if permanently:
                await self._sessions.end(connection.session)
            else:
                await self._sessions.leave(connection.session, last_seen)
        except LogUnavailable:
            logger.warning("session_not_ended" if permanently else "session_not_stored")

    async def _disconnect(self, sid: str, reason: str) -> None:
        client = self._client(sid)
        if client is not None and client.connection is not None:
            self._connections.remove(client.connection, reason, dead=reason in _DEAD_REASONS)

    def _client(self, sid: str) -> SocketIOClient | None:
        session = self.server.engine_session(sid)
        return None if session is None else session.session.get(_CLIENT)

    async def _event(self, name: Any, sid: str, *arguments: Any) -> Any:
        client = self._client(sid)
        if client is None or client.connection is None:  # it has disconnected
            return None

        def parse() -> Command:
            if UNDECODABLE in arguments:
                raise InvalidJson(
                    "not valid JSON, nested too deeply, or a number has too many digits"
                )
            return parse_event_arguments(name, arguments, self._max_json_depth)

        try:
            answer = await self._hub.execute(client.connection, parse)
        except ContractError as error:
            if not ack_requested():
                shown_name = str(name)[:80].encode(errors="replace").decode()
                client.emit("error", {**error.as_dict(), "event": shown_name})
            if isinstance(error, Flooding):
                client.close()
            return {"ok": False, "error": error.as_dict()}
        if answer.get("type") == "pong":
            client.emit("pong", answer)
            return answer
        return {"ok": True, **answer}
