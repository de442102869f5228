"""The Socket.IO server, behind python-socketio's public API.

``Server`` is a ``socketio.AsyncServer``: events, namespaces, rooms, ``emit``, ``call`` and sessions
work as python-socketio documents them. The code below them is this package's own.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import socketio
from socketio import packet as stock

from sio_server.engine.engineio.environments import Environments
from sio_server.engine.engineio.packets import MESSAGE, ProtocolError
from sio_server.engine.engineio.server import PUBLIC_OPTIONS, EngineIOServer
from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.socketio.admin import Count, CountedEngineSession
from sio_server.engine.socketio.application import Application
from sio_server.engine.socketio.manager import Manager, encode
from sio_server.engine.socketio.packets import Packet, encode_connect
from sio_server.engine.socketio.sessions import (
    AcceptedSession,
    Refused,
    SessionRegistry,
    SessionsUnavailable,
)
from sio_server.net.deadlines import Deadlines
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront
from sio_server.net.front_context import Answer, FrontLimits
from sio_server.net.handler import Front

logger = logging.getLogger("sio_server.engine.socketio")
logger.setLevel(logging.WARNING)  # at INFO, python-socketio logs packets unescaped

REFUSED = {"message": "Connection refused by server"}
INVALID_NAMESPACE = {"message": "Invalid namespace"}

_REASON = socketio.AsyncServer.reason
_PERMANENT_REASONS = frozenset((_REASON.CLIENT_DISCONNECT, _REASON.SERVER_DISCONNECT))


class Server(Application):
    """A Socket.IO 5 server on aiohttp.

    Args:
        connected: called with the sid and the namespace once the CONNECT response and the missed
            events were sent, and before anything else is sent.
        sessions: stores sessions so that clients can recover them; None: there is no recovery.
        max_attachments: the bound for the binary attachments of one packet.
        binary: whether handlers get binary data. If not, attachments are dropped as they arrive,
            and a handler gets ``UNDECODABLE`` in place of the arguments.
        namespaces: the namespaces that need no handler; ``"*"`` for all.
        async_handlers: see python-socketio.
        options: the options of ``EngineIOServer``.

    Raises:
        TypeError: an option is unknown, or has a wrong type.
    """

    def __init__(
        self,
        *,
        connected: Callable[[str, str], None] = lambda sid, namespace: None,
        sessions: SessionRegistry | None = None,
        max_attachments: int = 10,
        binary: bool = True,
        namespaces: str | list[str] | None = None,
        async_handlers: bool = True,
        **options: Any,
    ) -> None:
        if isinstance(namespaces, str) and namespaces != "*":
            raise TypeError('namespaces must be a list, or "*"')
        if unknown := options.keys() - PUBLIC_OPTIONS:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        super().__init__(
            client_manager=Manager(),
            serializer=type("Packet", (Packet,), {"max_attachments": max_attachments}),
            logger=logger,
            namespaces=namespaces,
            async_handlers=async_handlers,
            **options,
        )
        del self.eio.handlers["connect"]  # it creates each environment, which few applications use
        self.environ = Environments(self.eio.sockets)
        self._connected = connected
        self._sessions = sessions
        self._binary = binary
        self._attaching: Deadlines[str] = Deadlines(
            self.eio.connect_timeout, self._close_unattached
        )

    def engine_session(self, sid: str, namespace: str = "/") -> EngineSession | None:
        """Return the Engine.IO session of a client, or None if it has ended."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        session: EngineSession | None = self.eio.sockets.get(eio_sid)
        return session

    def clients(self, namespace: str) -> Iterator[tuple[str, EngineSession]]:
        """Return the sid and the Engine.IO session of each client, in the order of connects."""
        for sid, eio_sid in self.manager.get_participants(namespace, None):
            session = self.eio.sockets.get(eio_sid)
            if session is not None:
                yield sid, session

    def count_traffic(self, count: Count) -> None:
        """Count the sessions that open from now on (``rawConnection``), and their packets."""

        def make_session(*args: Any) -> EngineSession:
            count("rawConnection")
            return CountedEngineSession(count, *args)

        self.eio.make_session = make_session

    def instrument(self, *args: Any, **options: Any) -> Any:
        """Serve the Admin UI; see python-socketio's ``instrument``."""
        admin = super().instrument(*args, **options)
        self.eio.make_session = functools.partial(CountedEngineSession, admin.event_buffer.push)
        return admin

    def front(
        self,
        make_handler: Callable[[Front], asyncio.Protocol],
        socketio_path: str = "socket.io",
        limits: FrontLimits | None = None,
        posts: Mapping[str, Answer] = MappingProxyType({}),
    ) -> HttpFront:
        """Return a protocol factory for ``loop.create_server``.

        Args:
            make_handler: see ``HttpFront``.
            socketio_path: the same path as for ``attach``.
            limits, posts: see ``EngineIOServer.front``.
        """
        front: HttpFront = self.eio.front(make_handler, socketio_path, limits, posts)
        return front

    def _engineio_server_class(self) -> type[EngineIOServer]:
        return EngineIOServer

    async def _send_packet(self, eio_sid: str, pkt: stock.Packet) -> None:
        session = self.eio.sockets.get(eio_sid)
        if session is not None:
            for frame in encode(pkt):
                session.write(frame)

    def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> Awaitable[None] | None:
        packet = self._binary_packet.get(eio_sid)
        if packet is None:
            if not data:
                raise ProtocolError("empty message")
            packet = self.packet_class()
            is_over_rate = self._session(eio_sid).guest.is_over_rate
            packet.attachment_count = packet.decode(data, name_only=is_over_rate)
            if packet.attachment_count:
                self._connected_sid(eio_sid, packet)
                if not self._binary:
                    packet.discard_attachments()
                self._binary_packet[eio_sid] = packet
                self._attaching.add(eio_sid)
                return None
        else:
            if isinstance(data, str):
                raise ProtocolError("text instead of an attachment")
            if not packet.add_attachment(data):
                return None
            del self._binary_packet[eio_sid]
            self._attaching.discard(eio_sid)
        return self._dispatch(eio_sid, packet)

    def _close_unattached(self, eio_sid: str) -> None:
        """Close the session of a client whose attachments have not arrived in time."""
        session = self.eio.sockets.get(eio_sid)
        if session is not None and self._binary_packet.pop(eio_sid, None) is not None:
            session.close_with_error(ProtocolError("attachments too slow"))

    def _session(self, eio_sid: str) -> EngineSession:
        session: EngineSession = self.eio.sockets[eio_sid]
        return session

    def _connected_sid(self, eio_sid: str, packet: Packet) -> str:
        namespace = packet.namespace or "/"
        sid: str | None = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if not self.manager.is_connected(sid, namespace):
            raise ProtocolError("packet for a namespace that is not connected")
        assert sid is not None
        return sid

    def _dispatch(self, eio_sid: str, packet: Packet) -> Awaitable[None] | None:
        namespace, kind = packet.namespace or "/", packet.packet_type
        if kind == stock.CONNECT:
            if self.manager.sid_from_eio_sid(eio_sid, namespace) is not None:
                raise ProtocolError("second CONNECT to a namespace")
            return self._handle_connect(eio_sid, namespace, packet.data)
        sid = self._connected_sid(eio_sid, packet)
        handler: Coroutine[Any, Any, None]
        if kind == stock.DISCONNECT:
            handler = self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif kind in (stock.ACK, stock.BINARY_ACK):
            if not self.manager.expects(sid, packet.id):
                self._session(eio_sid).control_received()
                return None
            handler = self.manager.trigger_callback(sid, packet.id, packet.data)
        else:
            handler = self._handle_event_internal(
                self, sid, eio_sid, packet.data, namespace, packet.id
            )
            if self.async_handlers:
                return self._session(eio_sid).handlers.start(handler)
        return handler

    async def _handle_connect(self, eio_sid: str, namespace: str, auth: Any) -> None:
        session = self._session(eio_sid)
        with session.in_use():
            await self._connect(session, namespace, auth)

    async def _connect(self, session: EngineSession, namespace: str, auth: Any) -> None:
        eio_sid = session.sid
        if not self._has_namespace(namespace):
            if session.control_received():
                await self._refuse(eio_sid, namespace, INVALID_NAMESPACE)
            return
        try:
            accepted = await self._open_session(session, namespace, auth)
            refusal = await self._run_connect_handler(session, namespace, auth, accepted)
        except SessionsUnavailable:
            session.end("transport error")
            return
        except Refused as error:
            refusal = error.error_args
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if refusal is not None:
            await self._refuse(eio_sid, namespace, refusal)
            if sid is not None:
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
        elif session.closed:
            await self._disconnect(session, namespace, sid, self.reason.TRANSPORT_CLOSE)
        else:
            await self._accept(eio_sid, namespace, sid, accepted)

    async def _run_connect_handler(
        self, session: EngineSession, namespace: str, auth: Any, accepted: AcceptedSession
    ) -> Any:
        """Register the client and run the connect handler.

        Returns:
            The data of the CONNECT_ERROR packet, or None if the handler accepts the client.

        Raises:
            socketio.exceptions.ConnectionRefusedError: the handler refuses the client.
        """
        sid = await self.manager.pre_connect(session.sid, namespace, accepted.sid)
        if sid is None:
            raise ProtocolError("second CONNECT to a namespace")
        for room in accepted.rooms:
            await self.manager.enter_room(sid, namespace, room)
        environ = session.environ if self._has_handler("connect", namespace) else {}
        try:
            result = await self._trigger_event("connect", namespace, sid, environ, auth or None)
        except Refused:
            raise
        except ConnectionRefusedError:
            return REFUSED
        except (Exception, asyncio.CancelledError):
            if _is_cancelled():
                raise
            logger.exception("connect_handler_failed")
            return REFUSED
        return Refused().error_args if result is False else None

    async def _open_session(
        self, session: EngineSession, namespace: str, auth: Any
    ) -> AcceptedSession:
        """Return the client's new or recovered session; end the session's older connection."""
        if self._sessions is None:
            return AcceptedSession()
        while True:
            accepted = await self._sessions.open(session, namespace, auth or {})
            older_eio_sid = self.manager.eio_sid_from_sid(accepted.sid, namespace)
            if older_eio_sid is None:
                return accepted
            if older_eio_sid in self.eio.sockets:
                self._session(older_eio_sid).end("transport close")
            await self.manager.wait_removed(accepted.sid)
            # The older connection has stored its rooms by now: open the session again, with them.

    async def _accept(
        self, eio_sid: str, namespace: str, sid: str, accepted: AcceptedSession
    ) -> None:
        # One segment makes the client's later events cheaper, too: after two segments in quick
        # succession, the client's kernel acknowledges every segment at once.
        session = self._session(eio_sid)
        with session.one_write():
            session.write(Frame(MESSAGE + encode_connect(namespace, sid, accepted.pid)))
            self.eio.joined(eio_sid)
            for event in accepted.missed_events:
                self.manager.write_event(sid, namespace, event)
            await self.manager.connect(sid, namespace)
            self._connected(sid, namespace)

    async def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        """Disconnect a client from a namespace."""
        namespace = namespace or "/"
        if self.manager.is_connected(sid, namespace):
            eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
            packet = self.packet_class(stock.DISCONNECT, namespace=namespace)
            await self._send_packet(eio_sid, packet)
            session = self._session(eio_sid)
            await self._disconnect(session, namespace, sid, self.reason.SERVER_DISCONNECT)

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str, reason: str | None = None
    ) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if self.manager.is_connected(sid, namespace):
            reason = reason or self.reason.CLIENT_DISCONNECT
            await self._disconnect(self._session(eio_sid), namespace, sid, reason)

    async def _disconnect(
        self, session: EngineSession, namespace: str, sid: str, reason: str
    ) -> None:
        """Store the session, run the disconnect handler, and in any case remove the client."""
        eio_sid = self.manager.pre_disconnect(sid, namespace)
        if self._binary_packet.pop(eio_sid, None) is not None:
            self._attaching.discard(eio_sid)
        try:
            if self._sessions is not None:
                rooms = [room for room in self.manager.get_rooms(sid, namespace) if room != sid]
                await self._sessions.disconnected(
                    session, namespace, sid, rooms, permanently=reason in _PERMANENT_REASONS
                )
            await self._trigger_event("disconnect", namespace, sid, reason)
        except Exception:
            logger.exception("disconnect_handler_failed")
        finally:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    def _has_namespace(self, namespace: str) -> bool:
        return (
            self.namespaces == "*"
            or namespace in self.namespaces
            or namespace in self.handlers
            or namespace in self.namespace_handlers
        )

    async def _refuse(self, eio_sid: str, namespace: str, data: Any) -> None:
        await self._send_packet(
            eio_sid, self.packet_class(stock.CONNECT_ERROR, data=data, namespace=namespace)
        )


def _is_cancelled() -> bool:
    """Return whether the current task itself is cancelled, and not a task that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
