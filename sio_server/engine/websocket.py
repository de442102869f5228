"""WebSocket: one task that reads; writes go straight to the socket, without a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from sio_server.engine import packets
from sio_server.engine.frames import CLOSE, Frame, pong
from sio_server.engine.handlers import TURN
from sio_server.engine.outgoing import Outgoing
from sio_server.engine.packets import ProtocolError
from sio_server.engine.polling import Polling
from sio_server.engine.session import Session

_PROBE, _PROBE_ANSWER = packets.PING + "probe", Frame(packets.PONG + "probe")


class WebSocket(Outgoing):
    """A WebSocket that writes ready-made frames, for Engine.IO and for plain endpoints alike.

    Args:
        max_message_bytes: the bound for one message; a larger one closes it with 1009.
        max_buffer_bytes: see ``Outgoing``.
        compress: offer permessage-deflate to clients; costs much memory and time for each.
        ponged: called when the client answers a WebSocket ping.
    """

    name = "websocket"

    def __init__(
        self,
        max_message_bytes: int,
        max_buffer_bytes: int,
        *,
        compress: bool = False,
        ponged: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(max_buffer_bytes, max_message_bytes)
        self.response: web.WebSocketResponse = web.WebSocketResponse(
            compress=compress,
            max_msg_size=max_message_bytes + 1,  # aiohttp's bound is the first size refused
            autoping=False,
            timeout=1.0,
        )
        self._ponged = ponged
        self._received = 0

    async def open(self, request: web.Request) -> None:
        """Answer the upgrade request.

        Raises:
            aiohttp.web.HTTPException: it is no WebSocket handshake.
            ConnectionError: the client is gone.
        """
        await self.start(request, self.response)

    def write(self, frame: Frame) -> int:
        """Write one frame; return how many bytes the kernel has not taken."""
        return self.write_bytes(frame.websocket)

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None once the socket has closed."""
        while True:
            self._received += 1
            if self._received % TURN == 0:  # aiohttp does not wait while it has messages
                await asyncio.sleep(0)
            message = await self.response.receive()
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                return message.data  # type: ignore[no-any-return]
            if message.type is WSMsgType.PING:
                if self.buffered() <= self.max_buffer_bytes:
                    self.write_bytes(pong(message.data))
            elif message.type is WSMsgType.PONG:
                self._ponged()
            else:
                return None

    @property
    def close_code(self) -> int | None:
        """The code with which the socket was closed."""
        return self.response.close_code

    async def close_with(self, code: int, reason: str = "") -> None:
        """Close with a code; at once where nobody reads. Nothing is written after it."""
        self._ended = True  # RFC 6455, 5.5.1: no frame follows a close frame
        if self.buffered() > self.max_buffer_bytes:
            self._transport.abort()
        await self.response.close(code=code, message=reason.encode())

    def close(self) -> None:
        """Close normally, without waiting for the client's answer."""
        self.close_after(CLOSE)


async def serve(session: Session, socket: WebSocket) -> None:
    """Read a session's packets until its socket ends."""
    while not session.closed:
        message = await socket.receive()
        if message is None:
            break
        try:
            kind, data = (
                packets.decode_engineio(message)
                if isinstance(message, str)
                else (packets.MESSAGE, message)
            )
        except ProtocolError as error:
            await session.break_off(error)
            break
        await session.receive(kind, data)
    reason = "transport error" if socket.close_code == 1009 else "transport close"
    await session.close(reason=reason, notify=False)


async def upgrade(session: Session, polling: Polling, socket: WebSocket, seconds: float) -> bool:
    """Let a WebSocket take over from polling (Engine.IO protocol, "Upgrade").

    Args:
        seconds: how long the client may take.

    Returns:
        Whether it did. If not, polling goes on and the socket is closed.
    """
    session.upgrading = True
    try:
        async with asyncio.timeout(seconds):
            if await socket.receive() != _PROBE:
                return False
            socket.write(_PROBE_ANSWER)
            polling.interrupt(True)
            if await socket.receive() != packets.UPGRADE or session.closed:
                return False
    except TimeoutError:
        return False
    finally:
        session.upgrading = False
        polling.interrupt(False)
    session.transport = socket
    for frame in polling.take():
        socket.write(frame)
    polling.close()
    return True
