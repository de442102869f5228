"""The Engine.IO server: it opens sessions, and answers all requests to them."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import engineio
from aiohttp import web

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.door import Door, OpenDoor
from sio_server.engine.engineio.handlers import call_handler
from sio_server.engine.engineio.polling import Polling
from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.engineio.upgrade import Upgrade
from sio_server.net.connection import DETACHED
from sio_server.net.deadlines import Deadlines
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront
from sio_server.net.front_context import Answer, FrontLimits
from sio_server.net.handler import Front
from sio_server.net.heartbeat import Heartbeat
from sio_server.net.request import HttpRequest
from sio_server.net.response import (
    BAD_METHOD,
    BAD_VERSION,
    TEXT,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    HttpResponse,
    bad_request,
)
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_handshake import VERSION, BadHandshake, UnknownVersion
from sio_server.randomness import random_bytes

logger = logging.getLogger("sio_server.engine")
logger.setLevel(logging.WARNING)  # at INFO, python-engineio logs packets unescaped

QUIET_SECONDS = 10
"""After a protocol error of an address is logged, its further errors are not logged this long."""

LATE_POLL_SECONDS = 0.2
"""How long after a client's CLOSE packet a GET is answered that the client had sent before it."""


class EngineIOServer(engineio.AsyncServer):  # type: ignore[misc]
    """An Engine.IO 4 server on aiohttp.

    Args:
        ping_interval: seconds from a pong to the next ping.
        ping_timeout: seconds within which a pong is due.
        max_message_bytes: the bound for one packet (a WebSocket message); a larger one closes the
            session.
        max_payload_bytes: the bound for a polling body.
        max_buffer_bytes: the bound for unsent bytes, over which a session's ``drain`` waits.
        connect_timeout: seconds for a request to arrive, for an upgrade to complete, and for a
            client to connect to a namespace (see ``joined``).
        door: decides who may come in.
        transports: the names of the served transports.
        async_handlers: see python-engineio; set by the Socket.IO server.
        logger: the logger of python-engineio; set by the Socket.IO server.

    Raises:
        TypeError: an interval or a timeout is not a number.
    """

    def __init__(
        self,
        *,
        ping_interval: float = 25,
        ping_timeout: float = 20,
        max_message_bytes: int = 1_000_000,
        max_payload_bytes: int = 1_000_000,
        max_buffer_bytes: int = 262_144,
        connect_timeout: float = 10,
        door: Door = OpenDoor(),  # noqa: B008 - it has no state
        transports: tuple[str, ...] = ("polling", "websocket"),
        async_handlers: bool = False,
        logger: logging.Logger = logger,
    ) -> None:
        for seconds in (ping_interval, ping_timeout, connect_timeout):
            if not isinstance(seconds, int | float):
                raise TypeError("intervals and timeouts must be numbers of seconds")
        super().__init__(
            async_mode="aiohttp",
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_payload_bytes,
            monitor_clients=False,
            cors_allowed_origins=[],
            logger=logger,
            transports=list(transports),
            async_handlers=async_handlers,
        )
        self.sockets: dict[str, EngineSession]
        self.make_session: Callable[..., EngineSession] = EngineSession
        self.max_message_bytes = max_message_bytes
        self._max_buffer_bytes = max_buffer_bytes
        self.connect_timeout = connect_timeout
        self._door = door
        self._open_packets = {
            name: packets.OpenPacket(
                [other for other in transports if other != name == "polling"],
                ping_interval,
                ping_timeout,
                max_payload_bytes,
            )
            for name in transports
        }
        self._heartbeat = Heartbeat(ping_interval, ping_timeout)
        self._unjoined: Deadlines[EngineSession] = Deadlines(
            connect_timeout, lambda session: session.end("transport error")
        )
        self._upgrading: Deadlines[Upgrade] = Deadlines(
            connect_timeout, lambda upgrade: upgrade.fail()
        )
        self._closing_sids: Deadlines[str] = Deadlines(LATE_POLL_SECONDS, lambda sid: None)
        self._recently_logged_addresses: Deadlines[str] = Deadlines(
            QUIET_SECONDS, lambda address: None
        )

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve all requests to the path, also those with another method than GET and POST.

        Args:
            app: the application.
            engineio_path: the path, with or without slashes around it. Some clients and proxies
                leave out the slash at the end, or write two.
        """
        for end in ("/", "", "//"):
            app.router.add_route("*", f"/{engineio_path.strip('/')}{end}", self.handle_request)
        app.on_shutdown.append(self._end_all)

    def front(
        self,
        make_handler: Callable[[Front], asyncio.Protocol],
        engineio_path: str = "engine.io",
        limits: FrontLimits | None = None,
        posts: Mapping[str, Answer] = MappingProxyType({}),
    ) -> HttpFront:
        """Return a protocol factory for ``loop.create_server``; see ``HttpFront``.

        Args:
            make_handler: makes the protocol of the aiohttp application that serves this server.
            engineio_path: the same path as for ``attach``.
            limits: the bounds of TCP connections; None: ``connect_timeout``, and the usual ones.
            posts: see ``FrontContext``.
        """
        limits = limits or FrontLimits(connect_timeout=self.connect_timeout)
        return HttpFront(self, f"/{engineio_path.strip('/')}/", make_handler, limits, posts)

    async def _end_all(self, app: web.Application) -> None:
        """End all sessions at shutdown, because aiohttp does not know their connections.

        The clients are not told of a disconnect, so that they reconnect.
        """
        for session in list(self.sockets.values()):
            await session.close(reason="transport close", notify=False)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to the Engine.IO path that came through aiohttp."""
        response = self.respond(HttpRequest.of(request))
        if isinstance(response, Awaitable):
            response = await response
        return DETACHED if response is None else response.to_aiohttp()

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """Answer a request to the Engine.IO path.

        Returns:
            The response, or an awaitable of it. None if the connection is a WebSocket now.

        Raises:
            ConnectionError: the client has disconnected.
        """
        headers = self._door.check(request)
        if isinstance(headers, HttpResponse):
            return headers
        try:
            response = self._respond(request)
        except _NotAdmitted as refusal:
            refusal.response.headers.update(headers)
            return refusal.response
        if isinstance(response, Awaitable):
            return self._finish_later(request, response, headers)
        return self._finish(request, response, headers)

    async def _finish_later(
        self,
        request: HttpRequest,
        awaitable: Awaitable[HttpResponse | None],
        headers: Mapping[str, str],
    ) -> HttpResponse | None:
        return self._finish(request, await awaitable, headers)

    def _finish(
        self, request: HttpRequest, response: HttpResponse | None, headers: Mapping[str, str]
    ) -> HttpResponse | None:
        if response is None:
            return None
        if response.status >= HTTPStatus.BAD_REQUEST:
            response = self._door.malformed(request, response)
        response.headers.update(headers)
        return response

    def refuse_head(self) -> HttpResponse:
        """Return the response to a request whose head is too large; see ``Responder``."""
        return self._door.refuse_head()

    def _respond(
        self, request: HttpRequest
    ) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        query = request.query
        transport = query.get("transport", "")
        if transport not in self.transports:
            return bad_request("Transport unknown", UNKNOWN_TRANSPORT)
        if "j" in query:
            return bad_request("JSONP is not served")
        if query.get("EIO") != "4":
            return bad_request("Unsupported protocol version", BAD_VERSION)
        sid = query.get("sid")
        if sid is None:
            if request.method != "GET":
                return bad_request("Bad handshake method", BAD_METHOD)
            return self._open_session(request, transport)
        session = self.sockets.get(sid)
        if session is None or session.closed:
            return self._answer_unknown_sid(request, sid)
        if transport == "websocket":
            return self._open_upgrade(request, session)
        carrier = session.transport
        if not isinstance(carrier, Polling):
            return bad_request("Session is on another transport")
        if request.method == "GET":
            return carrier.get(request)
        if request.method == "POST":
            return carrier.post(request)
        return bad_request("Bad request")

    def _answer_unknown_sid(self, request: HttpRequest, sid: str) -> HttpResponse:
        if sid in self._closing_sids and request.method == "GET":  # sent before the CLOSE packet
            self._closing_sids.discard(sid)
            return HttpResponse(200, packets.NOOP.encode(), TEXT)
        return bad_request("Session ID unknown", UNKNOWN_SID)

    def joined(self, eio_sid: str) -> None:
        """Note that a client has connected to a namespace. Without that, its session ends soon."""
        session = self.sockets.get(eio_sid)
        if session is not None:
            self._unjoined.discard(session)

    def _open_session(
        self, request: HttpRequest, transport: str
    ) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        guest = self._door.admit(request)
        if isinstance(guest, HttpResponse):
            raise _NotAdmitted(guest)
        sid = self.generate_id()
        session = self.make_session(self, sid, request, guest)
        open_packet = Frame(self._open_packets[transport].encode(sid))
        try:
            if transport == "websocket":
                session.transport = socket = self._make_websocket()
                socket.open(request, open_packet)
            else:
                session.transport = self._make_polling(session)
                session.write(open_packet)
        except BadHandshake as error:
            guest.leave()
            return refuse_handshake(error)
        except BaseException:
            guest.leave()
            raise
        self.sockets[sid] = session
        accepted = None
        if "connect" in self.handlers:
            accepted = call_handler(self.handlers, session, "connect", session.environ)
        if isinstance(accepted, Awaitable):
            return self._answer_handshake_later(request, session, accepted)
        return self._answer_handshake(request, session, accepted)

    async def _answer_handshake_later(
        self, request: HttpRequest, session: EngineSession, accepted: Awaitable[Any]
    ) -> HttpResponse | None:
        response = self._answer_handshake(request, session, await accepted)
        return await response if isinstance(response, Awaitable) else response

    def _answer_handshake(
        self, request: HttpRequest, session: EngineSession, accepted: Any
    ) -> HttpResponse | Awaitable[HttpResponse] | None:
        """Answer as the connect handler decides; see python-engineio's ``connect`` event."""
        carrier = session.transport
        if accepted is not None and accepted is not True:
            del self.sockets[session.sid]
            session.end("server disconnect")
            if isinstance(carrier, WebSocket):
                return None
            return HttpResponse(401, accepted or "Unauthorized")
        self._heartbeat.add(session)
        self._unjoined.add(session)
        if isinstance(carrier, Polling):
            return carrier.get(request)
        assert isinstance(carrier, WebSocket)
        carrier.set_receiver(session)
        return None

    def _open_upgrade(self, request: HttpRequest, session: EngineSession) -> HttpResponse | None:
        socket = self._make_websocket()
        try:
            socket.open(request)
        except BadHandshake as error:
            return refuse_handshake(error)
        carrier = session.transport
        if isinstance(carrier, Polling) and not session.upgrading:
            upgrade = Upgrade(session, carrier, socket, self._upgrading.discard)
            self._upgrading.add(upgrade)
            socket.set_receiver(upgrade)
        else:
            socket.close()
        return None

    def _make_websocket(self) -> WebSocket:
        return WebSocket(self.max_message_bytes, self._max_buffer_bytes)

    def _make_polling(self, session: EngineSession) -> Polling:
        return Polling(
            session,
            self.max_message_bytes,
            self.max_http_buffer_size,
            self._max_buffer_bytes,
            self.connect_timeout,
        )

    def generate_id(self) -> str:
        """Return a new id of 120 random bits, so that nobody can guess it."""
        return base64.urlsafe_b64encode(random_bytes(15)).decode()

    def session_pong(self, session: EngineSession) -> bool:
        """Note that the client has answered a ping; return False if there was none to answer."""
        return self._heartbeat.answered(session)

    def session_close_packet(self, session: EngineSession) -> None:
        """Expect a late GET: a polling client always has one waiting here or on its way."""
        carrier = session.transport
        if isinstance(carrier, Polling) and not carrier.is_polled:
            self._closing_sids.add(session.sid)

    def session_protocol_error(self, session: EngineSession, error: Exception) -> None:
        """Log the error, at most once in ``QUIET_SECONDS`` for each address."""
        if session.peer not in self._recently_logged_addresses:
            self._recently_logged_addresses.add(session.peer)
            logger.warning("protocol_error address=%s reason=%s", session.peer, error)

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Call the message handler; return an awaitable if the next message has to wait for it."""
        result = call_handler(self.handlers, session, "message", data)
        return result if isinstance(result, Awaitable) else None

    async def session_closed(self, session: EngineSession, reason: str) -> None:
        """Call the disconnect handler and remove the session."""
        self._heartbeat.discard(session)
        self._unjoined.discard(session)
        if session.sid in self.sockets:
            try:
                result = call_handler(self.handlers, session, "disconnect", reason)
                if isinstance(result, Awaitable):
                    await result
            finally:
                del self.sockets[session.sid]
                session.forget()

    def _get_socket(self, sid: str) -> EngineSession:
        return self.sockets[sid]


def refuse_handshake(error: BadHandshake) -> HttpResponse:
    """Return the response to a request that does not open a WebSocket."""
    response = bad_request(str(error))
    if isinstance(error, UnknownVersion):
        response.status = 426
        response.headers["Sec-WebSocket-Version"] = VERSION
    return response


class _NotAdmitted(Exception):
    """The door refuses a handshake."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.response = response


PUBLIC_OPTIONS = set(inspect.getfullargspec(EngineIOServer).kwonlyargs) - {
    "async_handlers",
    "logger",
}
"""The options that a user of the Socket.IO server may set; that server sets the others."""
