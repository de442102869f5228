"""The Socket.IO server, behind python-socketio's public API.

``Server`` is a ``socketio.AsyncServer``: events, namespaces, rooms, ``emit``, ``call`` and sessions
work as documented there. What is below them is this package's own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import socketio
from socketio import packet as stock
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine.eio_server import EioServer
from sio_server.engine.manager import Manager, encode
from sio_server.engine.packets import Packet, ProtocolError
from sio_server.engine.session import Session

logger = logging.getLogger("sio_server.engine.socketio")
logger.setLevel(logging.WARNING)  # python-socketio logs each packet at INFO, as the client wrote it

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)

REFUSED = {"message": "Connection refused by server"}
INVALID_NAMESPACE = {"message": "Invalid namespace"}


def ack_requested() -> bool:
    """Tell an event handler whether the client waits for its return value."""
    return _ack_requested.get()


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """A Socket.IO 5 server on aiohttp.

    Args:
        connected: called with the sid and the namespace as soon as CONNECT has gone out, before
            anything else can.
        max_attachments: the bound for the binary attachments of one packet.
        namespaces: those that need no handler of their own to be connected to.
        options: those of ``EioServer``; an unknown one is an error.
    """

    def __init__(
        self,
        *,
        connected: Callable[[str, str], None] = lambda sid, namespace: None,
        max_attachments: int = 10,
        namespaces: str | list[str] | None = None,
        async_handlers: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            client_manager=Manager(),
            serializer=type("Packet", (Packet,), {"max_attachments": max_attachments}),
            logger=logger,
            namespaces=namespaces,
            async_handlers=async_handlers,
            **options,
        )
        self._connected = connected

    def engine_session(self, sid: str, namespace: str = "/") -> Session | None:
        """Return the Engine.IO session that carries a client, or None if it is gone."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        session: Session | None = self.eio.sockets.get(eio_sid)
        return session

    def _engineio_server_class(self) -> type[EioServer]:
        return EioServer

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

    def _session(self, eio_sid: str) -> Session:
        session: Session = self.eio.sockets[eio_sid]
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

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        session = self._session(eio_sid)
        if not self._has_namespace(namespace):
            await self._refuse(eio_sid, namespace, INVALID_NAMESPACE)
            return
        sid = await self.manager.pre_connect(eio_sid, namespace)
        try:
            accepted = await self._call_connect(namespace, sid, session.environ, data)
        except Refused as error:
            accepted, refusal = False, error.error_args
        except ConnectionRefusedError:
            accepted, refusal = False, REFUSED
        except Exception:
            logger.exception("connect_handler_failed")
            accepted, refusal = False, REFUSED
        else:
            refusal = Refused().error_args
        if accepted is False:
            await self._refuse(eio_sid, namespace, refusal)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
            return
        if session.closed:
            reason = self.reason.TRANSPORT_CLOSE
            await self._trigger_event("disconnect", namespace, sid, reason)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
            return
        await self._send_packet(
            eio_sid, self.packet_class(stock.CONNECT, {"sid": sid}, namespace=namespace)
        )
        self.eio.joined(eio_sid)
        await self.manager.connect(sid, namespace)
        self._connected(sid, namespace)

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

    async def _call_connect(
        self, namespace: str, sid: str, environ: dict[str, Any], auth: Any
    ) -> Any:
        """Run the connect handler once, with as many arguments as it takes."""
        arguments: tuple[Any, ...] = (sid, environ, auth)
        handler, bound = self._get_event_handler("connect", namespace, arguments)
        if handler is None:
            owner, bound = self._get_namespace_handler(namespace, arguments)
            handler = getattr(owner, "on_connect", None)
        if handler is not None and not _takes(handler, len(bound)):
            arguments = (sid, environ)
        return await self._trigger_event("connect", namespace, *arguments)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: Any, namespace: str, id: int | None
    ) -> None:
        _ack_requested.set(id is not None)
        try:
            await super()._handle_event_internal(server, sid, eio_sid, data, namespace, id)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("event_handler_failed")


@functools.lru_cache(maxsize=256)
def _takes(handler: Callable[..., Any], count: int) -> bool:
    """Tell whether a handler can be called with so many arguments."""
    try:
        inspect.signature(handler).bind(*range(count))
    except TypeError:
        return False
    return True
