"""One Engine.IO session: its states, what it receives, how it ends.

The transport that carries it may change once, from polling to WebSocket. A session writes without
waiting; whoever needs to know how much is still unsent asks ``unacknowledged_bytes`` and ``drain``.
"""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import AbstractContextManager
from typing import Any, Protocol

from engineio.packet import Packet as StockPacket

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.net.frames import Frame
from sio_server.net.request import HttpRequest
from sio_server.net.tasks import ConnectionTasks
from sio_server.net.websocket_reader import FramingError

PING = Frame(packets.PING)


class Transport(Protocol):
    """What carries a session's frames to its client."""

    name: str

    def write(self, frame: Frame) -> bool:
        """Send, or buffer, one frame; False while the buffer is over its bound.

        After the transport's end it does nothing.
        """

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Send, or buffer, frames in one piece; see ``write``."""

    def one_write(self) -> AbstractContextManager[None]:
        """Let what is written within leave as one piece; nothing is awaited there."""

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the client's machine has not taken."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what is buffered, or is gone."""

    def close(self) -> None:
        """End the transport. A second call does nothing."""


class Owner(Protocol):
    """What a session needs of its server."""

    def session_alive(self, session: EngineSession) -> None:
        """Note a pong."""

    def session_left(self, session: EngineSession) -> None:
        """Note that the client closes the session."""

    def session_broken(self, session: EngineSession, error: Exception) -> None:
        """Note why a session is closed."""

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Take a message; return what must be waited for before the next one can come."""

    def session_closed(self, session: EngineSession, reason: str) -> Coroutine[Any, Any, None]:
        """Forget a session."""


class EngineSession:
    """An Engine.IO session.

    Attributes:
        sid: the Engine.IO session id, a capability: who has it can poll.
        peer: the address of the handshake's TCP peer.
        session: what the application keeps for the session (python-engineio's public name).
        upgrading: a WebSocket is probing to take over.
        handlers: the handlers of its events that are at work.
    """

    __slots__ = (
        "_environ",
        "_owner",
        "_request",
        "closed",
        "handlers",
        "peer",
        "release",
        "session",
        "sid",
        "transport",
        "upgrading",
    )

    def __init__(self, owner: Owner, sid: str, request: HttpRequest) -> None:
        self._owner = owner
        self._request: HttpRequest | None = request
        self._environ: dict[str, Any] = {}
        self.sid = sid
        self.peer = request.peer
        self.session: dict[Any, Any] = request.state
        self.transport: Transport
        self.upgrading = False
        self.closed = False
        self.release: Callable[[], None] = lambda: None
        self.handlers = ConnectionTasks()

    @property
    def environ(self) -> dict[str, Any]:
        """The WSGI-like environment of the handshake, made when it is first asked for."""
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
        """Send one frame without waiting; False while the buffer is over its bound."""
        return self.transport.write(frame)

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Send frames in one piece, as ``write`` does."""
        return self.transport.write_all(frames)

    def one_write(self) -> AbstractContextManager[None]:
        """Let what is written within leave as one piece; nothing may be awaited there."""
        return self.transport.one_write()

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the client's machine has not taken."""
        return self.transport.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait until the client has taken most of what is buffered, or is gone."""
        await self.transport.drain()

    async def send(self, packet: StockPacket) -> None:
        """Send one of python-engineio's packets."""
        encoded = packet.encode()
        self.write(Frame(encoded if isinstance(encoded, str) else bytes(encoded)))

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Take one WebSocket message; see ``Receiver``."""
        try:
            kind, data = (
                packets.decode(message) if isinstance(message, str) else (packets.MESSAGE, message)
            )
        except ProtocolError as error:
            self.break_off(error)
            return None
        return self.take(kind, data)

    def connection_closed(self, error: FramingError | None) -> None:
        """Note that the WebSocket is gone; see ``Receiver``."""
        if error is None:
            self.end("transport close")
        else:
            self.break_off(error)

    def take(self, kind: str, data: str | bytes) -> Awaitable[None] | None:
        """Take one packet; return what must be waited for before the next one can come.

        A packet that breaks the protocol closes the session.
        """
        if self.closed:
            return None
        try:
            if kind == packets.MESSAGE:
                return self._owner.session_message(self, data)
            if kind == packets.PONG:
                self._owner.session_alive(self)
            elif kind == packets.CLOSE:
                self._owner.session_left(self)
                self.end("transport close")
            elif kind in (packets.OPEN, packets.PING):
                raise ProtocolError("packet that only a server sends")
        except ProtocolError as error:
            self.break_off(error)
        return None

    def break_off(self, error: Exception) -> None:
        """Close: the client broke the protocol."""
        if not self.closed:
            self._owner.session_broken(self, error)
            self.end("transport error", notify=not self.upgraded)

    async def close(
        self,
        wait: bool = True,
        abort: bool = False,
        reason: str = "server disconnect",
        notify: bool = True,
    ) -> None:
        """End the session for good.

        Args:
            wait: python-engineio's; sessions never wait.
            abort: python-engineio's; the same as not ``notify``.
            reason: one of python-engineio's ``Server.reason``.
            notify: tell the client with an Engine.IO CLOSE packet.
        """
        if self._shut(notify=notify and not abort):
            await self._owner.session_closed(self, reason)

    def _shut(self, *, notify: bool) -> bool:
        """Close at once; return False where it was closed already."""
        if self.closed:
            return False
        if notify:
            self.transport.write(Frame(packets.CLOSE))
        self.closed = True
        self.transport.close()
        self.release()
        return True

    def ping(self) -> None:
        """Send the heartbeat's ping."""
        self.write(PING)

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""
        self.end("ping timeout")

    def end(self, reason: str, *, notify: bool = False) -> None:
        """Close at once; the application hears of it in a task."""
        if self._shut(notify=notify):
            self.handlers.run(self._owner.session_closed(self, reason))


class Environments(MutableMapping[str, dict[str, Any]]):
    """The environments of the sessions that there are, which python-socketio notes and forgets."""

    def __init__(self, sessions: Mapping[str, EngineSession]) -> None:
        self._sessions = sessions

    def __getitem__(self, eio_sid: str) -> dict[str, Any]:
        return self._sessions[eio_sid].environ

    def __setitem__(self, eio_sid: str, environ: dict[str, Any]) -> None:
        pass  # it has it

    def __delitem__(self, eio_sid: str) -> None:
        pass  # it goes with its session

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)
