"""Socket.IO: the handshake, commands as events, and the catalogue's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

from aiohttp import web

from sio_server.access.limits import Limits
from sio_server.access.principals import Principal
from sio_server.contract.commands import Command, parse_event_arguments
from sio_server.contract.errors import (
    ContractError,
    Flooding,
    InvalidJson,
    InvalidMessage,
    LogUnavailable,
    ShuttingDown,
)
from sio_server.delivery.connections import Connection, Connections, Ends
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.resume import Start, resume
from sio_server.delivery.sessions import ConsumerSession, ConsumerSessions
from sio_server.endpoints.gate import Gate
from sio_server.endpoints.socketio_client import (
    ConnectAuth,
    OneArgumentOutlet,
    SocketIOClient,
    SocketIOOutlet,
)
from sio_server.endpoints.socketio_door import SocketIODoor
from sio_server.engine import (
    BINARY,
    UNDECODABLE,
    AcceptedSession,
    EngineSession,
    Refused,
    Server,
    SessionRegistry,
    SessionsUnavailable,
    ack_requested,
)
from sio_server.eventlog.contract import Bounds
from sio_server.hub import Hub
from sio_server.logs import get_logger
from sio_server.net.front import HttpFront
from sio_server.net.front_context import Answer, FrontLimits
from sio_server.net.handler import Front
from sio_server.net.incoming import Incoming
from sio_server.settings import Settings

logger = logging.getLogger("sio_server")
log = get_logger("sio_server")

_DEAD_REASONS = frozenset(("ping timeout", "transport error"))
"""The reasons for which a connection counts as dead, as python-engineio names them."""


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

    Attributes:
        posts: other endpoints that the front calls without aiohttp; see ``FrontContext``.
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
        self._door = SocketIODoor(hub, gate)
        self._others: dict[str, SessionRegistry] = {}  # by namespace
        self.posts: dict[str, Answer] = {}
        self._max_json_depth = settings.max_json_depth
        self._front_limits = FrontLimits(
            settings.connect_timeout,
            settings.keepalive_seconds,
            settings.slow_seconds,
            Incoming(settings.max_incoming_bytes, settings.connect_timeout),
            gate.enter_tcp,
        )
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
            binary=False,
            door=self._door,
        )
        self.server.on("disconnect", self._disconnect)
        self.server.on("*", self._event)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        self.server.attach(app)

    def add_namespace(self, namespace: str, sessions: SessionRegistry) -> None:
        """Let another endpoint decide who may connect to a namespace of its own."""
        self._others[namespace] = sessions

    def front(self, make_handler: Callable[[Front], asyncio.Protocol]) -> HttpFront:
        """Return the factory for the protocol of each TCP connection; see ``HttpFront``."""
        return self.server.front(make_handler, limits=self._front_limits, posts=self.posts)

    # The handshake: parse, authorise, decide.

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Let a client connect, or recover its session; see ``SessionRegistry``."""
        if session.closed:
            raise SessionsUnavailable
        client = self._client_of(session)
        if namespace != "/":
            return await self._others[namespace].open(session, namespace, auth)
        try:
            self._door.count_connect(client)
            self._hub.check_open()
            parsed = ConnectAuth.parse(auth, self._max_json_depth)
            principal = self._authorise(client, parsed)
            parsed = parsed._replace(rooms=principal.choose_rooms(parsed.rooms))
            if parsed.past.has_past:
                client.rate.count()
            bounds = await self._fanout.prepare(parsed.past)
            connection = await self._make_connection(client, session, parsed, principal, bounds)
        except (LogUnavailable, ShuttingDown) as error:
            # This closes the transport, so the client connects again. After a CONNECT_ERROR it
            # would not.
            self._gate.count_refused_connection(error)
            raise SessionsUnavailable from None
        except ContractError as error:
            # A refusal counts for the address. Otherwise a client could try many credentials, each
            # over a new connection.
            error = self._gate.refuse_connection(error, client.source)
            if isinstance(error, Flooding):
                client.close()
            raise Refused(error.message, error.as_dict()) from None
        client.connection = connection
        session.handlers.max_running = connection.max_running_commands
        consumer_session = connection.session
        if consumer_session is None:
            return AcceptedSession()
        return AcceptedSession(consumer_session.sid, consumer_session.pid)

    def _client_of(self, session: EngineSession) -> SocketIOClient:
        """Return the client of an Engine.IO session. It stays the same for every CONNECT."""
        client = cast("SocketIOClient", session.guest)
        client.session = session
        return client

    def _authorise(self, client: SocketIOClient, auth: ConnectAuth) -> Principal:
        self._limits.check_rooms(auth.rooms or ())
        credential = client.bearer if auth.token is None else auth.token
        principal = self._gate.identify(credential, client.source)
        principal.check_connect()
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
            stored = await self._sessions.claim(
                auth.pid, principal.identity.text, principal.allowed_rooms
            )
        client.decide = partial(resume, auth.past, stored and stored.past, bounds)
        start = client.decide(self._fanout.position)  # and again once the connection is open
        outlet = SocketIOOutlet(session) if auth.recovery else OneArgumentOutlet(session)
        cursor = Cursor(outlet, auth.rooms or (), start.position, principal.rooms)
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
    ) -> ConsumerSession | None:
        """Store a new session; return None if there is no space for it, or on the disk."""
        session = ConsumerSession(
            self.server.eio.generate_id(),
            principal.identity.text,
            start.position,
            dict(cursor.rooms),
            start.gap,
        )
        try:
            return session if await self._sessions.begin(session) else None
        except LogUnavailable:  # it may still be read: the consumer gets what is delivered
            logger.warning("session_not_begun")
            return None

    # The connection's life.

    def _connected(self, sid: str, namespace: str) -> None:
        client = self._client(sid)
        if namespace != "/" or client is None or client.connection is None:
            return
        ends = Ends(client.close, client.refuse)
        self._connections.open(client.connection, ends, client.decide, client.caught_up)

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
        if namespace != "/" or connection is None or connection.session is None:
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
        return None if session is None else self._client_of(session)

    async def _event(self, name: Any, sid: str, *arguments: Any) -> Any:
        client = self._client(sid)
        if client is None or client.connection is None:  # it has disconnected
            return None

        def parse() -> Command:
            if BINARY in arguments:
                raise InvalidMessage("binary data is not accepted")
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
