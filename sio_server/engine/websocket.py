"""WebSocket: one task that reads; writes go straight to the socket, without a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from sio_server.engine import packets
from sio_server.engine.frames import CLOSE, Frame, pong
from sio_server.engine.packets import ProtocolError
from sio_server.engine.polling import Polling
from sio_server.engine.session import Session

_PROBE, _PROBE_ANSWER = packets.PING + "probe", Frame(packets.PONG + "probe")


class WebSocket:
    """A WebSocket that writes ready-made frames.

    Made for both Engine.IO and plain WebSocket endpoints.

    Args:
        max_message_bytes: the bound for one message; a larger one closes it with 1009.
        max_buffer_bytes: where the buffer passes this, ``drain`` waits; whoever writes on all the
            same loses the connection at twice as much.
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
        self._max_buffer_bytes = max_buffer_bytes
        self._hard_limit = 2 * max_buffer_bytes + max_message_bytes
        self._response: web.WebSocketResponse = web.WebSocketResponse(
            compress=compress,
            max_msg_size=max_message_bytes + 1,  # aiohttp's bound is the first size refused
            autoping=False,
            timeout=1.0,
        )
        self._ponged = ponged
        self._writer: Any = None
        self._transport: asyncio.Transport

    async def open(self, request: web.Request) -> None:
        """Answer the upgrade request.

        Raises:
            aiohttp.web.HTTPException: it is no WebSocket handshake.
            ConnectionError: the client is gone.
        """
        self._writer = await self._response.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.set_write_buffer_limits(high=self._max_buffer_bytes)
        self._transport = transport

    @property
    def response(self) -> web.WebSocketResponse:
        """What the request handler returns in the end."""
        return self._response

    def write(self, frame: Frame) -> int:
        """Write one frame to the socket; return how many bytes the kernel has not taken."""
        return self.write_raw(frame.websocket)

    def write_raw(self, frame: bytes) -> int:
        """Write a frame that has its header already."""
        transport = self._transport
        if transport.is_closing():
            return 0
        transport.write(frame)
        buffered = transport.get_write_buffer_size()
        if buffered > self._hard_limit:
            transport.abort()
        return buffered

    def buffered(self) -> int:
        """Return how many bytes the process holds that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the buffer has shrunk to a quarter of its bound, or the client is gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None once the socket has closed."""
        while True:
            message = await self._response.receive()
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                return message.data  # type: ignore[no-any-return]
            if message.type is WSMsgType.PING:
                if self.buffered() <= self._max_buffer_bytes:
                    self.write_raw(pong(message.data))
            elif message.type is WSMsgType.PONG:
                self._ponged()
            else:
                return None

    @property
    def close_code(self) -> int | None:
        """The code with which the socket was closed."""
        return self._response.close_code

    async def close_with(self, code: int, reason: str = "") -> None:
        """Close with a code, giving the client a second to answer; at once where nobody reads."""
        if self.buffered() > self._max_buffer_bytes:
            self._transport.abort()
        await self._response.close(code=code, message=reason.encode())

    def close(self) -> None:
        """Send what is buffered, then end the connection; at once where nobody reads."""
        if self.buffered() > self._max_buffer_bytes:
            self._transport.abort()
        else:
            self.write_raw(CLOSE)
            self._transport.close()


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
