"""One Engine.IO session: it receives packets, writes frames, and ends once.

The states of a session::

                 a WebSocket opens            UPGRADE packet
    on polling ──────────────────▶ upgrading ────────────────▶ on WebSocket ◀── a handshake by
     │     ▲                        │     │                     │               WebSocket
     │     └────────────────────────┘     │                     │
     │      the WebSocket fails, or       │                     │
     │      its time is over              │                     │
     ▼                                    ▼                     ▼
    closed ◀─────────────────────────────────────────────────────
     by a CLOSE packet, ``close()``, a lost WebSocket, a missing pong, or a protocol error

While it is upgrading, polling still carries the session. A closed session sends nothing and ignores
received packets.

``EngineIOServer`` learns of the end by ``session_closed``, once. A session writes without waiting.
``unacknowledged_bytes`` tells how much is unsent, and ``drain`` waits until it is less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from engineio.packet import Packet as StockPacket

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.door import ANYBODY, Guest
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.transport import NoTransport, Transport
from sio_server.net.frames import Frame
from sio_server.net.request import HttpRequest
from sio_server.net.tasks import ConnectionTasks
from sio_server.net.websocket_reader import FramingError

PING = Frame(packets.PING)


class SessionOwner(Protocol):
    """The server that a session belongs to."""

    def session_pong(self, session: EngineSession) -> bool:
        """Note that the client has answered a ping; return False if there was none to answer."""

    def session_close_packet(self, session: EngineSession) -> None:
        """Note that the client has sent a CLOSE packet."""

    def session_protocol_error(self, session: EngineSession, error: Exception) -> None:
        """Note the protocol error that closes the session."""

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Handle a message; return an awaitable if the next message has to wait for it."""

    def session_closed(self, session: EngineSession, reason: str) -> Coroutine[Any, Any, None]:
        """Remove a session that has ended."""


class EngineSession:
    """An Engine.IO session.

    Args:
        owner: the server.
        sid: see below.
        request: the handshake.
        guest: see below.

    Attributes:
        sid: the Engine.IO session id. It is a secret: a client that knows it can poll the session.
        peer: the address of the TCP peer at the handshake.
        session: the application's data for the session (python-engineio's public name).
        transport: the transport that carries the session at present.
        upgrading: a WebSocket has been opened to replace polling.
        closed: the session has ended.
        guest: counts what the client sends.
        handlers: the running handlers of its events.
    """

    __slots__ = (
        "_environ",
        "_is_over",
        "_owner",
        "_request",
        "_uses",
        "closed",
        "guest",
        "handlers",
        "peer",
        "session",
        "sid",
        "transport",
        "upgrading",
    )

    def __init__(
        self, owner: SessionOwner, sid: str, request: HttpRequest, guest: Guest = ANYBODY
    ) -> None:
        self._owner = owner
        self._request: HttpRequest | None = request
        request.query = {}  # the session needs only the rest of the head
        self.guest = guest
        self._environ: dict[str, Any] = {}
        self._uses = 0  # coroutines that need the guest
        self._is_over = False
        self.sid = sid
        self.peer = request.peer
        self.session: dict[Any, Any] = request.state
        self.transport: Transport
        self.upgrading = False
        self.closed = False
        self.handlers = ConnectionTasks()

    @property
    def environ(self) -> dict[str, Any]:
        """The WSGI environment of the handshake, made at its first use because few need it."""
        if self._request is not None:
            self._environ = self._request.environ()
            self._request = None
        return self._environ

    @property
    def connected(self) -> bool:
        """Whether packets may be sent (python-engineio's public name)."""
        return not self.closed

    @property
    def upgraded(self) -> bool:
        """Whether WebSocket carries the session (python-engineio's public name)."""
        return self.transport.name == "websocket"

    def write(self, frame: Frame) -> bool:
        """Send one frame without waiting; return False while the buffer is over its bound."""
        return self.transport.write(frame)

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Send frames in one system call; see ``write``."""
        return self.transport.write_all(frames)

    def one_write(self) -> AbstractContextManager[None]:
        """Send all writes within this context as one; nothing may be awaited within it."""
        return self.transport.one_write()

    def unacknowledged_bytes(self) -> int:
        """Return the number of bytes that the client's machine has not acknowledged."""
        return self.transport.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait until the client has read most of the buffered bytes, or disconnects."""
        await self.transport.drain()

    async def send(self, packet: StockPacket) -> None:
        """Send a packet of python-engineio (python-engineio's public name)."""
        encoded = packet.encode()
        self.write(Frame(encoded if isinstance(encoded, str) else bytes(encoded)))

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Decode and handle one WebSocket message; see ``Receiver``."""
        try:
            packet_type, data = (
                packets.decode(message) if isinstance(message, str) else (packets.MESSAGE, message)
            )
        except ProtocolError as error:
            self.close_with_error(error)
            return None
        return self.packet_received(packet_type, data)

    def connection_closed(self, error: FramingError | None) -> None:
        """End: the WebSocket is closed; see ``Receiver``."""
        if error is None:
            self.end("transport close")
        else:
            self.close_with_error(error)

    def packet_received(self, packet_type: str, data: str | bytes) -> Awaitable[None] | None:
        """Handle one packet; a packet that breaks the protocol closes the session.

        Args:
            packet_type: the Engine.IO packet type; see ``packets``.
            data: the rest of the packet.

        Returns:
            An awaitable if the next packet has to wait for it.
        """
        if self.closed:
            return None
        try:
            if packet_type == packets.MESSAGE:
                return self._owner.session_message(self, data)
            if packet_type == packets.PONG:
                if not self._owner.session_pong(self):
                    self.control_received()
            elif packet_type == packets.CLOSE:
                self._owner.session_close_packet(self)
                self.end("transport close")
            elif packet_type in (packets.OPEN, packets.PING):
                raise ProtocolError("packet that only a server sends")
            else:
                self.control_received()
        except ProtocolError as error:
            self.close_with_error(error)
        return None

    def control_received(self) -> bool:
        """Count a packet that is no message; see ``Receiver``."""
        try:
            return self.guest.count()
        except ProtocolError as error:
            self.close_with_error(error)
            return False

    def close_with_error(self, error: Exception) -> None:
        """Close: the client has broken the protocol."""
        if not self.closed:
            self._owner.session_protocol_error(self, error)
            self.end("transport error", notify=not self.upgraded)

    async def close(
        self,
        wait: bool = True,
        abort: bool = False,
        reason: str = "server disconnect",
        notify: bool = True,
    ) -> None:
        """End the session, and wait until the application was told (python-engineio's public name).

        Args:
            wait: ignored; python-engineio's sessions wait for their queue, these have none.
            abort: do not notify the client.
            reason: one of python-engineio's ``Server.reason``.
            notify: tell the client with an Engine.IO CLOSE packet.
        """
        if self._close_transport(notify=notify and not abort):
            await self._owner.session_closed(self, reason)

    def _close_transport(self, *, notify: bool) -> bool:
        """Close at once; return False if the session was already closed."""
        if self.closed:
            return False
        if notify:
            self.transport.write(Frame(packets.CLOSE))
        self.closed = True
        self.transport.close()
        self.guest.leave()
        return True

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the guest and the transport within this context, even if the session ends."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if self._is_over:
                self.forget()

    def forget(self) -> None:
        """Let go of the transport and the guest, which refer to this session, after its end."""
        self._is_over = True
        if not self._uses:
            self.transport = NoTransport(self.transport.name)
            self.guest = ANYBODY

    def ping(self) -> None:
        """Send the heartbeat's ping."""
        self.write(PING)

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""
        self.end("ping timeout")

    def end(self, reason: str, *, notify: bool = False) -> None:
        """End the session at once; a task tells the application.

        Args:
            reason: one of python-engineio's ``Server.reason``.
            notify: tell the client with an Engine.IO CLOSE packet.
        """
        if self._close_transport(notify=notify):
            self.handlers.run(self._owner.session_closed(self, reason))
