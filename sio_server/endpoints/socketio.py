"""Socket.IO: handshake, commands as events, events as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server import strictjson
from sio_server.access import Source
from sio_server.commands import Command, parse_event_arguments
from sio_server.endpoints.requests import (
    answer_headers,
    check_request,
    source_of,
    source_of_session,
)
from sio_server.endpoints.responses import problem_answer
from sio_server.engine import (
    UNDECODABLE,
    Answer,
    Frame,
    Front,
    Request,
    Server,
    Session,
    ack_requested,
)
from sio_server.errors import ContractError, InvalidJson, InvalidMessage, ShuttingDown
from sio_server.events import Offset, Record
from sio_server.fanout import Cursor
from sio_server.hub import Connection, Hub, ready
from sio_server.limits import Flooding, RateLimit
from sio_server.rooms import CATALOG, parse_rooms

_EVENT = "42"  # Engine.IO MESSAGE, Socket.IO EVENT, namespace /
_DEAD = frozenset(("ping timeout", "transport error"))


class Outlet:
    """Events with their offset as the second argument, which recovery builds on."""

    __slots__ = ("_session", "write")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.write = session.write

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the event packet."""
        return Frame(_EVENT + record.event_arguments)

    def buffered(self) -> int:
        """Return how much the session's buffer holds."""
        return self._session.buffered()

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


class SocketIO:
    """The endpoint at ``/socket.io/``."""

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings
        self._hub = hub
        self._rate_limit = settings.rate_limit
        self._connections: dict[str, tuple[Connection, Offset | None]] = {}
        self.server = Server(
            connected=self._connected,
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
        self.server.on("connect", self._connect)
        self.server.on("disconnect", self._disconnect)
        self.server.on("*", self._event)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        self.server.attach(app)

    def front(self, make_handler: Callable[[], asyncio.Protocol]) -> Front:
        """Return what makes the protocol of each connection; see ``Front``."""
        return self.server.front(make_handler)

    def _guard(self, request: Request) -> Answer | Mapping[str, str]:
        headers = answer_headers(request, self._hub)
        try:
            check_request(request, self._hub)
        except ContractError as error:
            return self._problem(request, error, headers)
        return headers

    def _admit(self, request: Request) -> Answer | Callable[[], None]:
        address = source_of(request, self._hub).address
        try:
            return self._hub.connection_limits.enter(address)
        except ContractError as error:
            return self._problem(request, error)

    def _problem(
        self, request: Request, error: ContractError, headers: Mapping[str, str] | None = None
    ) -> Answer:
        rate = self._hub.address_rates.of(source_of(request, self._hub).address)
        answer = problem_answer(self._hub.refusal(error, rate))
        answer.headers.update(headers or {})
        return answer

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        session = self.server.engine_session(sid)
        assert session is not None
        source = source_of_session(session)
        # The rates are the whole session's, however often it connects. A refusal counts for the
        # address as well, which could go on guessing otherwise.
        kept = session.session
        rate: RateLimit = kept.setdefault("rate", RateLimit(self._rate_limit))
        connects: RateLimit = kept.setdefault("connects", RateLimit(self._rate_limit))
        try:
            connects.count()
            connection, since = self._handshake(session, source, auth or {}, rate)
        except ContractError as error:
            error = self._hub.refusal(error, self._hub.address_rates.of(source.address))
            if isinstance(error, Flooding):
                session.end("transport error")
            raise Refused(error.message, error.as_dict()) from None
        self._connections[sid] = connection, since
        self._hub.connect(connection, lambda: self._close(sid))

    def _handshake(
        self, session: Session, source: Source, auth: dict[str, Any], rate: RateLimit
    ) -> tuple[Connection, Offset | None]:
        hub, settings = self._hub, self._hub.settings
        if hub.draining:
            raise ShuttingDown("the server is stopping")
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
        kind = OneArgumentOutlet if auth.get("recovery") is False else Outlet
        cursor = Cursor(kind(session), names, hub.fanout.position)
        return Connection("socketio", principal, source, cursor, rate), position

    def _connected(self, sid: str, namespace: str) -> None:
        if namespace != "/":
            return
        connection, since = self._connections[sid]
        cursor = connection.cursor

        def started(position: Offset, gap: bool, replayed: int) -> None:
            self._emit(sid, "ready", ready(cursor, position, gap, replayed))

        self._hub.fanout.join(cursor, since, started)

    async def _disconnect(self, sid: str, reason: str) -> None:
        connection, _ = self._connections[sid]
        self._hub.disconnect(connection, reason, dead=reason in _DEAD)
        # What the client emitted before it left has its task already, and begins before this.
        asyncio.get_running_loop().call_soon(self._connections.pop, sid, None)

    async def _event(self, name: Any, sid: str, *arguments: Any) -> Any:
        hub = self._hub
        if sid not in self._connections:  # it left long ago
            return None
        connection, _ = self._connections[sid]

        def parse() -> Command:
            if UNDECODABLE in arguments:
                raise InvalidJson("not valid JSON, nested too deep, or numbers too long")
            return parse_event_arguments(name, arguments, hub.settings.max_json_depth)

        try:
            answer = await hub.execute(connection, parse)
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
