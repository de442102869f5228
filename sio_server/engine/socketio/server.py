"""The Socket.IO server, behind python-socketio's public API.

``Server`` is a ``socketio.AsyncServer``: events, namespaces, rooms, ``emit``, ``call`` and sessions
work as documented there. What is below them is this package's own.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import socketio
from socketio import packet as stock
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine.engineio.packets import MESSAGE, ProtocolError
from sio_server.engine.engineio.server import OPTIONS as ENGINEIO_OPTIONS
from sio_server.engine.engineio.server import EngineIOServer
from sio_server.engine.engineio.session import EngineSession, Environments
from sio_server.engine.socketio.admin import CountedEngineSession
from sio_server.engine.socketio.application import Application
from sio_server.engine.socketio.manager import Manager, encode
from sio_server.engine.socketio.packets import Packet, accepting
from sio_server.engine.socketio.sessions import (
    AcceptedSession,
    SessionRegistry,
    SessionsUnavailable,
)
from sio_server.net.frames import Frame
from sio_server.net.front import HttpFront

logger = logging.getLogger("sio_server.engine.socketio")
logger.setLevel(logging.WARNING)  # python-socketio logs each packet at INFO, as the client wrote it

REFUSED = {"message": "Connection refused by server"}
INVALID_NAMESPACE = {"message": "Invalid namespace"}

_REASON = socketio.AsyncServer.reason
_FOR_GOOD = frozenset((_REASON.CLIENT_DISCONNECT, _REASON.SERVER_DISCONNECT))


class Server(Application):
    """A Socket.IO 5 server on aiohttp.

    Args:
        connected: called with the sid and the namespace as soon as CONNECT and what was missed have
            gone out, before anything else can.
        sessions: remembers sessions beyond their connection; without it there is no recovery.
        max_attachments: the bound for the binary attachments of one packet.
        namespaces: those that need no handler of their own to be connected to.
        options: those of ``EngineIOServer``; an unknown one is an error.
    """

    def __init__(
        self,
        *,
        connected: Callable[[str, str], None] = lambda sid, namespace: None,
        sessions: SessionRegistry | None = None,
        max_attachments: int = 10,
        namespaces: str | list[str] | None = None,
        async_handlers: bool = True,
        **options: Any,
    ) -> None:
        if isinstance(namespaces, str) and namespaces != "*":
            raise TypeError('namespaces must be a list, or "*"')
        if unknown := options.keys() - ENGINEIO_OPTIONS:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        super().__init__(
            client_manager=Manager(),
            serializer=type("Packet", (Packet,), {"max_attachments": max_attachments}),
            logger=logger,
            namespaces=namespaces,
            async_handlers=async_handlers,
            **options,
        )
        del self.eio.handlers["connect"]  # it would note the environment, which few ask for
        self.environ = Environments(self.eio.sockets)
        self._connected = connected
        self._sessions = sessions

    def engine_session(self, sid: str, namespace: str = "/") -> EngineSession | None:
        """Return the Engine.IO session that carries a client, or None if it is gone."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        session: EngineSession | None = self.eio.sockets.get(eio_sid)
        return session

    def instrument(self, *args: Any, **options: Any) -> Any:
        """Serve the Admin UI; see python-socketio."""
        admin = super().instrument(*args, **options)
        self.eio.make_session = functools.partial(CountedEngineSession, admin.event_buffer.push)
        return admin

    def front(
        self, make_handler: Callable[[], asyncio.Protocol], socketio_path: str = "socket.io"
    ) -> HttpFront:
        """Return a factory of protocols for ``loop.create_server``; see ``HttpFront``."""
        front: HttpFront = self.eio.front(make_handler, socketio_path)
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
            packet = self.packet_class(encoded_packet=data)
            if packet.attachment_count:
                self._sid(eio_sid, packet)
                self._binary_packet[eio_sid] = packet
                return None
        else:
            if isinstance(data, str):
                raise ProtocolError("text where an attachment is due")
            if not packet.add_attachment(data):
                return None
            del self._binary_packet[eio_sid]
        return self._dispatch(eio_sid, packet)

    def _session(self, eio_sid: str) -> EngineSession:
        session: EngineSession = self.eio.sockets[eio_sid]
        return session

    def _sid(self, eio_sid: str, packet: Packet) -> str:
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
        sid = self._sid(eio_sid, packet)
        work: Coroutine[Any, Any, None]
        if kind == stock.DISCONNECT:
            work = self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif kind in (stock.ACK, stock.BINARY_ACK):
            work = self.manager.trigger_callback(sid, packet.id, packet.data)
        else:
            work = self._handle_event_internal(
                self, sid, eio_sid, packet.data, namespace, packet.id
            )
            if self.async_handlers:
                return self._session(eio_sid).handlers.start(work)
        return work

    async def _handle_connect(self, eio_sid: str, namespace: str, auth: Any) -> None:
        session = self._session(eio_sid)
        if not self._has_namespace(namespace):
            await self._refuse(eio_sid, namespace, INVALID_NAMESPACE)
            return
        try:
            opening = await self._open(session, namespace, auth)
            refusal = await self._ask(session, namespace, auth, opening)
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
            await self._leave(session, namespace, sid, self.reason.TRANSPORT_CLOSE)
        else:
            await self._accept(eio_sid, namespace, sid, opening)

    async def _ask(
        self, session: EngineSession, namespace: str, auth: Any, opening: AcceptedSession
    ) -> Any:
        """Run the connect handler; return what a refused client is told, or None."""
        sid = await self.manager.pre_connect(session.sid, namespace, opening.sid)
        if sid is None:
            raise ProtocolError("second CONNECT to a namespace")
        for room in opening.rooms:
            await self.manager.enter_room(sid, namespace, room)
        environ = session.environ if self._listens("connect", namespace) else {}
        try:
            accepted = await self._trigger_event("connect", namespace, sid, environ, auth or None)
        except Refused:
            raise
        except ConnectionRefusedError:
            return REFUSED
        except (Exception, asyncio.CancelledError):
            if _is_cancelled():
                raise
            logger.exception("connect_handler_failed")
            return REFUSED
        return Refused().error_args if accepted is False else None

    async def _open(self, session: EngineSession, namespace: str, auth: Any) -> AcceptedSession:
        """Find out which session a client opens; its older transport, if there is one, ends."""
        if self._sessions is None:
            return AcceptedSession()
        while True:
            opening = await self._sessions.open(session, namespace, auth or {})
            older = self.manager.eio_sid_from_sid(opening.sid, namespace)
            if older is None:
                return opening
            if older in self.eio.sockets:
                self._session(older).end("transport close")
            await self.manager.freed(opening.sid)  # and look again at what it left

    async def _accept(
        self, eio_sid: str, namespace: str, sid: str, opening: AcceptedSession
    ) -> None:
        # One piece costs a client less than two, with the next event too: where two segments follow
        # each other closely, its kernel begins to acknowledge each at once.
        session = self._session(eio_sid)
        with session.one_write():
            session.write(Frame(MESSAGE + accepting(namespace, sid, opening.pid)))
            self.eio.joined(eio_sid)
            for event in opening.missed:
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
            await self._leave(session, namespace, sid, self.reason.SERVER_DISCONNECT)

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str, reason: str | None = None
    ) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if self.manager.is_connected(sid, namespace):
            reason = reason or self.reason.CLIENT_DISCONNECT
            await self._leave(self._session(eio_sid), namespace, sid, reason)

    async def _leave(self, session: EngineSession, namespace: str, sid: str, reason: str) -> None:
        """Tell the application that a client is gone, and forget it, whatever becomes of that."""
        self._binary_packet.pop(self.manager.pre_disconnect(sid, namespace), None)
        try:
            if self._sessions is not None:
                rooms = [room for room in self.manager.get_rooms(sid, namespace) if room != sid]
                await self._sessions.left(
                    session, namespace, sid, rooms, permanently=reason in _FOR_GOOD
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

    async def _refuse(self, eio_sid: str, namespace: str, reason: Any) -> None:
        await self._send_packet(
            eio_sid, self.packet_class(stock.CONNECT_ERROR, data=reason, namespace=namespace)
        )


def _is_cancelled() -> bool:
    """Tell whether somebody wants the current task to end, not a thing that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
