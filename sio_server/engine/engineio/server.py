"""The Engine.IO server: handshakes, and requests to the sessions they opened."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import engineio
from aiohttp import web

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.polling import Polling
from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.engineio.upgrade import Upgrade
from sio_server.net.connection import DETACHED
from sio_server.net.deadlines import Deadlines
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront
from sio_server.net.heartbeat import Heartbeat
from sio_server.net.request import (
    BAD_METHOD,
    BAD_VERSION,
    TEXT,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    Admit,
    Guard,
    HttpRequest,
    HttpResponse,
    admit_all,
    bad_request,
    guard_nothing,
)
from sio_server.net.websocket import BadHandshake, WebSocket

logger = logging.getLogger("sio_server.engine")
logger.setLevel(logging.WARNING)  # python-engineio logs each packet at INFO, as the client wrote it

QUIET_SECONDS = 10
"""After a log line about a client that broke the protocol, its address gets no other so long."""

CROSSING_SECONDS = 0.2
"""After a client has closed its session, a GET that it sent at the same time may come so late."""


class EngineIOServer(engineio.AsyncServer):  # type: ignore[misc]
    """An Engine.IO 4 server on aiohttp.

    Args:
        ping_interval: seconds from a pong to the next ping.
        ping_timeout: seconds within which a pong is due.
        max_message_bytes: the bound for one packet, over which the session is closed.
        max_payload_bytes: the bound for a polling body.
        max_buffer_bytes: over this much unsent data a session's ``drain`` waits.
        connect_timeout: seconds for a request to arrive, for an upgrade to complete, and for a
            session to be ``joined``.
        guard: see ``Guard``.
        admit: see ``Admit``.
        transports: those that are served.
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
        guard: Guard = guard_nothing,
        admit: Admit = admit_all,
        transports: tuple[str, ...] = ("polling", "websocket"),
        async_handlers: bool = False,
        logger: logging.Logger = logger,
    ) -> None:
        for seconds in (ping_interval, ping_timeout, connect_timeout):
            if not isinstance(seconds, int | float):
                raise TypeError("times are numbers of seconds")
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
        self._guard = guard
        self._admit = admit
        self._handshakes = {
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
        self._just_left: Deadlines[str] = Deadlines(CROSSING_SECONDS, lambda sid: None)
        self._quiet: Deadlines[str] = Deadlines(QUIET_SECONDS, lambda address: None)

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve every method at the path; what is wrong with one is told in Engine.IO's form."""
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)
        app.on_shutdown.append(self._end_all)

    def front(
        self, make_handler: Callable[[], asyncio.Protocol], engineio_path: str = "engine.io"
    ) -> HttpFront:
        """Return a factory of protocols for ``loop.create_server``; see ``HttpFront``.

        Args:
            make_handler: makes aiohttp's, for the application that this server is attached to.
            engineio_path: as for ``attach``.
        """
        return HttpFront(self, f"/{engineio_path.strip('/')}/", make_handler)

    async def _end_all(self, app: web.Application) -> None:
        """End the transports, which aiohttp does not know of; their clients may come back."""
        for session in list(self.sockets.values()):
            await session.close(reason="transport close", notify=False)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to the Engine.IO path that came through aiohttp."""
        answer = self.respond(HttpRequest.of(request))
        if isinstance(answer, Awaitable):
            answer = await answer
        return DETACHED if answer is None else answer.to_aiohttp()

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """Answer a request to the Engine.IO path; None: its connection is a WebSocket now."""
        guarded = self._guard(request)
        if isinstance(guarded, HttpResponse):
            return guarded
        answer = self._respond(request)
        if isinstance(answer, Awaitable):
            return _with_headers(answer, guarded)
        if answer is not None:
            answer.headers.update(guarded)
        return answer

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
            return self._open(request, transport)
        session = self.sockets.get(sid)
        if session is None or session.closed:
            return self._answer_crossing(request, sid)
        if transport == "websocket":
            return self._upgrade(request, session)
        carrier = session.transport
        if not isinstance(carrier, Polling):
            return bad_request("Session is on another transport")
        if request.method == "GET":
            return carrier.get(request)
        if request.method == "POST":
            return carrier.post(request)
        return bad_request("Bad request")

    def _answer_crossing(self, request: HttpRequest, sid: str) -> HttpResponse:
        if sid in self._just_left and request.method == "GET":
            self._just_left.discard(sid)
            return HttpResponse(200, packets.NOOP.encode(), TEXT)
        return bad_request("Session ID unknown", UNKNOWN_SID)

    def joined(self, eio_sid: str) -> None:
        """Note that the session is in use; one that never is is closed."""
        session = self.sockets.get(eio_sid)
        if session is not None:
            self._unjoined.discard(session)

    def _open(
        self, request: HttpRequest, transport: str
    ) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        release = self._admit(request)
        if isinstance(release, HttpResponse):
            return release
        sid = self.generate_id()
        session = self.make_session(self, sid, request)
        session.release = release
        opening = Frame(self._handshakes[transport].encode(sid))
        try:
            if transport == "websocket":
                session.transport = socket = self._websocket()
                socket.open(request, opening)
            else:
                session.transport = self._polling(session)
                session.write(opening)
        except BadHandshake as error:
            release()
            return bad_request(str(error))
        except BaseException:
            release()
            raise
        self.sockets[sid] = session
        accepted = None
        if "connect" in self.handlers:
            accepted = self._call(session, "connect", session.environ)
        if isinstance(accepted, Awaitable):
            return self._opened_later(request, session, accepted)
        return self._opened(request, session, accepted)

    async def _opened_later(
        self, request: HttpRequest, session: EngineSession, accepted: Awaitable[Any]
    ) -> HttpResponse | None:
        answer = self._opened(request, session, await accepted)
        return await answer if isinstance(answer, Awaitable) else answer

    def _opened(
        self, request: HttpRequest, session: EngineSession, accepted: Any
    ) -> HttpResponse | Awaitable[HttpResponse] | None:
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

    def _upgrade(self, request: HttpRequest, session: EngineSession) -> HttpResponse | None:
        socket = self._websocket()
        try:
            socket.open(request)
        except BadHandshake as error:
            return bad_request(str(error))
        carrier = session.transport
        if isinstance(carrier, Polling) and not session.upgrading:
            upgrade = Upgrade(session, carrier, socket, self._upgrading.discard)
            self._upgrading.add(upgrade)
            socket.set_receiver(upgrade)
        else:
            socket.close()
        return None

    def _websocket(self) -> WebSocket:
        return WebSocket(self.max_message_bytes, self._max_buffer_bytes)

    def _polling(self, session: EngineSession) -> Polling:
        return Polling(
            session,
            self.max_message_bytes,
            self.max_http_buffer_size,
            self._max_buffer_bytes,
            self.connect_timeout,
        )

    def generate_id(self) -> str:
        """Return a new id that nobody can guess."""
        return base64.urlsafe_b64encode(os.urandom(15)).decode()

    def session_alive(self, session: EngineSession) -> None:
        """Note a pong."""
        self._heartbeat.beat(session)

    def session_left(self, session: EngineSession) -> None:
        """Expect the GET that polling always has on its way, if it is not here."""
        carrier = session.transport
        if isinstance(carrier, Polling) and not carrier.is_polled:
            self._just_left.add(session.sid)

    def session_broken(self, session: EngineSession, error: Exception) -> None:
        """Log why a client is closed, not more often than is useful."""
        if session.peer not in self._quiet:
            self._quiet.add(session.peer)
            logger.warning("protocol_error address=%s reason=%s", session.peer, error)

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Hand a message on; return what must be waited for before the next one can come."""
        result = self._call(session, "message", data)
        return result if isinstance(result, Awaitable) else None

    async def session_closed(self, session: EngineSession, reason: str) -> None:
        """Forget a session."""
        self._heartbeat.discard(session)
        self._unjoined.discard(session)
        if session.sid in self.sockets:
            try:
                result = self._call(session, "disconnect", reason)
                if isinstance(result, Awaitable):
                    await result
            finally:
                del self.sockets[session.sid]

    def _get_socket(self, sid: str) -> EngineSession:
        return self.sockets[sid]

    def _call(self, session: EngineSession, event: str, argument: Any) -> Any:
        """Call the application's handler; return its result, or what gives it.

        Raises:
            ProtocolError: a message breaks the protocol above.
        """
        handler = self.handlers.get(event)
        if handler is None:
            return None
        try:
            result = handler(session.sid, argument)
        except ProtocolError:
            raise
        except Exception:
            logger.exception("handler_failed event=%s", event)
            return False
        return _settle(session, event, result) if isinstance(result, Awaitable) else result


async def _settle(session: EngineSession, event: str, result: Awaitable[Any]) -> Any:
    try:
        return await result
    except ProtocolError as error:
        session.break_off(error)
    except Exception:
        logger.exception("handler_failed event=%s", event)
    return False


async def _with_headers(
    answer: Awaitable[HttpResponse | None], headers: Mapping[str, str]
) -> HttpResponse | None:
    settled = await answer
    if settled is not None:
        settled.headers.update(headers)
    return settled


OPTIONS = set(inspect.getfullargspec(EngineIOServer).kwonlyargs) - {"async_handlers", "logger"}
"""What may be chosen by whoever makes a server; the rest is between the two servers."""
