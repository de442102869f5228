"""The Engine.IO server: handshakes, and requests to the sessions they opened."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import engineio
from aiohttp import web
from engineio.async_drivers.aiohttp import translate_request

from sio_server.engine import packets
from sio_server.engine.deadlines import Deadlines
from sio_server.engine.frames import Frame
from sio_server.engine.heartbeat import Heartbeat
from sio_server.engine.packets import ProtocolError
from sio_server.engine.polling import Polling, bad_request
from sio_server.engine.session import Session, Transport
from sio_server.engine.upgrade import Upgrade
from sio_server.engine.websocket import WebSocket

logger = logging.getLogger("sio_server.engine")
logger.setLevel(logging.WARNING)  # python-engineio logs each packet at INFO, as the client wrote it

UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, BAD_VERSION = range(6)
"""Engine.IO's error codes."""

QUIET_SECONDS = 10
"""After a log line about a client that broke the protocol, its address gets no other so long."""

Admit = Callable[[web.Request], Callable[[], None]]
"""Decides whether a handshake may open a session: returns what is called at the session's end, or
raises an ``aiohttp.web.HTTPException``."""


def admit_all(request: web.Request) -> Callable[[], None]:
    """Open a session for every handshake."""
    return lambda: None


class EioServer(engineio.AsyncServer):  # type: ignore[misc]
    """An Engine.IO 4 server on aiohttp.

    Args:
        ping_interval: seconds from a pong to the next ping.
        ping_timeout: seconds within which a pong is due.
        max_message_bytes: the bound for one packet, over which the session is closed.
        max_payload_bytes: the bound for a polling body.
        max_buffer_bytes: over this much unsent data a session's ``drain`` waits.
        connect_timeout: seconds for a body to arrive, an upgrade to complete, and a session to be
            ``joined``.
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
        admit: Admit = admit_all,
        transports: tuple[str, ...] = ("polling", "websocket"),
        **stock: Any,  # what python-socketio passes down
    ) -> None:
        super().__init__(
            async_mode="aiohttp",
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_payload_bytes,
            monitor_clients=False,
            cors_allowed_origins=[],
            logger=logger,
            transports=list(transports),
            async_handlers=stock.pop("async_handlers", False),
        )
        if stock:
            raise TypeError(f"unknown options: {', '.join(sorted(stock))}")
        self.sockets: dict[str, Session]
        self.max_message_bytes = max_message_bytes
        self._max_buffer_bytes = max_buffer_bytes
        self._connect_timeout = connect_timeout
        self._admit = admit
        self._heartbeat = Heartbeat(ping_interval, ping_timeout)
        self._unjoined: Deadlines[Session] = Deadlines(
            connect_timeout, lambda session: session.end("transport error")
        )
        self._upgrades: Deadlines[Upgrade] = Deadlines(
            connect_timeout, lambda upgrade: upgrade.fail()
        )
        self._quiet: Deadlines[str] = Deadlines(QUIET_SECONDS, lambda address: None)

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Serve every method at the path; what is wrong with one is told in Engine.IO's form."""
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to the Engine.IO path."""
        query = request.query
        transport = query.get("transport", "")
        if transport not in self.transports:
            return bad_request("Transport unknown", UNKNOWN_TRANSPORT)
        if "j" in query:
            return bad_request("JSONP is not served", BAD_REQUEST)
        if transport == "websocket" and request.headers.get("Upgrade", "").lower() != "websocket":
            return bad_request("Bad request", BAD_REQUEST)
        sid = query.get("sid")
        if sid is None:
            if query.get("EIO") != "4":
                return bad_request("Unsupported protocol version", BAD_VERSION)
            if request.method != "GET":
                return bad_request("Bad handshake method", BAD_METHOD)
            return await self._open(request, transport)
        session = self.sockets.get(sid)
        if session is None or session.closed:
            return bad_request("Session ID unknown", UNKNOWN_SID)
        carrier = session.transport
        if transport == "websocket":
            return self._upgrade(request, session, carrier)
        if not isinstance(carrier, Polling):
            return bad_request("Session is on another transport", BAD_REQUEST)
        if request.method == "GET":
            return await carrier.get(request)
        if request.method == "POST":
            return await carrier.post(request)
        return bad_request("Bad request", BAD_REQUEST)

    def joined(self, eio_sid: str) -> None:
        """Note that the session is in use; one that never is is closed."""
        session = self.sockets.get(eio_sid)
        if session is not None:
            self._unjoined.discard(session)

    async def _open(self, request: web.Request, transport: str) -> web.StreamResponse:
        release = self._admit(request)
        sid = self.generate_id()
        session = Session(self, sid, _environ(request))
        session.release = release
        response: web.StreamResponse | None = None
        try:
            if transport == "websocket":
                session.transport = socket = self._websocket()
                response = socket.open(request)
            else:
                session.transport = self._polling(session)
        except BaseException:
            release()
            raise
        self.sockets[sid] = session
        session.write(self._open_frame(sid, transport))
        accepted = await self._call("connect", sid, session.environ)
        if accepted is not None and accepted is not True:
            await session.close(notify=False)
            return response or web.json_response(accepted or "Unauthorized", status=401)
        self._heartbeat.add(session)
        self._unjoined.add(session)
        if isinstance(session.transport, Polling):
            return await session.transport.get(request)
        socket.hand_to(session)
        assert response is not None
        return response

    def _upgrade(
        self, request: web.Request, session: Session, carrier: Transport
    ) -> web.StreamResponse:
        socket = self._websocket()
        response = socket.open(request)
        if isinstance(carrier, Polling) and not session.upgrading:
            upgrade = Upgrade(session, carrier, socket, self._upgrades.discard)
            self._upgrades.add(upgrade)
            socket.hand_to(upgrade)
        else:
            socket.close()
        return response

    def _websocket(self) -> WebSocket:
        return WebSocket(self.max_message_bytes, self._max_buffer_bytes)

    def _polling(self, session: Session) -> Polling:
        return Polling(
            session,
            self.max_message_bytes,
            self.max_http_buffer_size,
            self._max_buffer_bytes,
            self._connect_timeout,
        )

    def _open_frame(self, sid: str, transport: str) -> Frame:
        upgrades = [name for name in self.transports if name != transport == "polling"]
        handshake = {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": round(self.ping_interval * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        return Frame(packets.OPEN + json.dumps(handshake, separators=(",", ":")))

    def session_alive(self, session: Session) -> None:
        """Note a pong."""
        self._heartbeat.beat(session)

    def session_broken(self, session: Session, error: Exception) -> None:
        """Log why a client is closed, not more often than is useful."""
        address = session.environ["REMOTE_ADDR"]
        if address not in self._quiet:
            self._quiet.add(address)
            logger.warning("protocol_error address=%s reason=%s", address, error)

    def session_message(self, session: Session, data: str | bytes) -> Awaitable[None] | None:
        """Hand a message on; return what must be waited for before the next one can come."""
        handler = self.handlers.get("message")
        if handler is None:
            return None
        try:
            result = handler(session.sid, data)
        except ProtocolError:
            raise
        except Exception:
            logger.exception("handler_failed event=message")
            return None
        return self._finish_message(session, result) if inspect.isawaitable(result) else None

    async def _finish_message(self, session: Session, result: Awaitable[Any]) -> None:
        try:
            await result
        except ProtocolError as error:
            session.break_off(error)
        except Exception:
            logger.exception("handler_failed event=message")

    async def session_closed(self, session: Session, reason: str) -> None:
        """Forget a session."""
        self._heartbeat.discard(session)
        self._unjoined.discard(session)
        self.sockets.pop(session.sid, None)
        await self._call("disconnect", session.sid, reason)

    async def _call(self, event: str, *args: Any) -> Any:
        handler = self.handlers.get(event)
        if handler is None:
            return None
        try:
            result = handler(*args)
            return await result if inspect.isawaitable(result) else result
        except Exception:
            logger.exception("handler_failed event=%s", event)
            return False if event == "connect" else None


def _environ(request: web.Request) -> dict[str, Any]:
    """Describe a handshake as python-engineio does, with the true peer."""
    environ: dict[str, Any] = translate_request(request)
    peer = request.transport.get_extra_info("peername") if request.transport else None
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = (
        (peer[0], str(peer[1])) if isinstance(peer, tuple) else ("", "0")
    )
    environ["wsgi.url_scheme"] = request.scheme
    return environ
