"""WebSocket over a connection that HTTP has handed over: no task, no queue, no compression."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from sio_server.net import websocket_reader as reader
from sio_server.net.connection import CLOSE_SECONDS, TcpConnection
from sio_server.net.frames import Frame, close_frame, pong
from sio_server.net.request import HttpRequest
from sio_server.net.tasks import MESSAGES_PER_TURN
from sio_server.net.websocket_reader import FrameReader, FramingError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class BadHandshake(Exception):
    """A request is not one that opens a WebSocket."""


class Receiver(Protocol):
    """Who gets what a WebSocket receives."""

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a message; return what must be waited for before the next one can come."""

    def connection_closed(self, error: FramingError | None) -> None:
        """Note that no more messages come, because of the client's error if there is one."""


class WebSocket(TcpConnection):
    """A WebSocket that writes ready-made frames, for Engine.IO and for plain endpoints alike.

    Args:
        max_message_bytes: the bound for one message; a larger one closes it with 1009.
        max_buffer_bytes: see ``TcpConnection``.
        ponged: called when the client answers a WebSocket ping.
    """

    __slots__ = ("_closing", "_finished", "_on_pong", "_reader", "_receiver", "_worker")

    name = "websocket"

    def __init__(
        self,
        max_message_bytes: int,
        max_buffer_bytes: int,
        on_pong: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(max_buffer_bytes, max_message_bytes)
        self._reader = FrameReader(max_message_bytes)
        self._on_pong = on_pong
        self._receiver: Receiver | None = None
        self._worker: asyncio.Task[None] | None = None  # while a message has to be waited for
        self._closing = False  # our close frame has gone out
        self._finished = False  # the receiver gets nothing more

    def open(self, request: HttpRequest, first: Frame | None = None) -> None:
        """Answer an upgrade request; HTTP has no more to do with its connection.

        Args:
            first: a frame that goes with the answer.

        Raises:
            BadHandshake: it is none.
            ConnectionError: the client is gone.
        """
        answer = _answer(request)
        request.detach(self)
        request.forget_connection()
        self.write_bytes(answer if first is None else answer + first.websocket)

    def set_receiver(self, receiver: Receiver) -> None:
        """Let a receiver have what comes from now on."""
        first, self._receiver = self._receiver is None, receiver
        if first:  # otherwise the one before it is being given a message right now
            self._go_on()

    def write(self, frame: Frame) -> bool:
        """Write one frame; see ``write_bytes``."""
        return self.write_bytes(frame.websocket)

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Write frames in one piece."""
        return self.write_bytes(b"".join([frame.websocket for frame in frames]))

    def close(self) -> None:
        """Close normally, without waiting for the client's answer."""
        self.close_after(close_frame(reader.NORMAL))

    def close_with(self, code: int, reason: str = "") -> None:
        """Close with a code that the client is to see, and wait for its answer for a while.

        Nothing is written after it.
        """
        if self._ended:
            return
        self._write_held()
        if self._drained is not None:
            self.abort()
            return
        self.write_bytes(close_frame(code, reason))
        self._ended = self._closing = True  # RFC 6455, 5.5.1: no frame follows a close frame
        self._transport.resume_reading()  # for the client's answer
        self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._finished:  # after an error nothing that comes can be understood
            return
        self._reader.feed(data)
        if self._worker is None and self._receiver is not None:
            self._go_on()
        elif len(self._reader) > self.max_buffer_bytes:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the receiver, once it has got what came before."""
        super().connection_lost(error)
        if self._worker is None:
            self._finish(None)

    def _go_on(self) -> None:
        wait = self._read()
        if wait is not None:
            self._worker = self._loop.create_task(self._work(wait))

    async def _work(self, wait: Awaitable[None] | None) -> None:
        try:
            while wait is not None:
                await wait
                wait = self._read()
        finally:
            self._worker = None
            if self._gone:
                self._finish(None)
            else:
                self._transport.resume_reading()

    def _read(self) -> Awaitable[None] | None:
        """Hand on what has come; return what must be waited for before the rest."""
        for _ in range(MESSAGES_PER_TURN):
            if self._finished:
                return None
            try:
                frame = self._reader.next()
                wait = None if frame is None else self._take(*frame)
            except FramingError as error:
                self.close_after(close_frame(error.code, str(error)))
                self._finish(error)
                return None
            if frame is None or wait is not None:
                return wait
        return asyncio.sleep(0)

    def _take(self, opcode: int, payload: bytes) -> Awaitable[None] | None:
        if opcode == reader.CLOSE:
            self.close_after(close_frame(reader.close_code(payload)))
            self._finish(None)
        elif self._closing or self._receiver is None:
            pass
        elif opcode == reader.TEXT:
            return self._receiver.message_received(reader.decode_text(payload))
        elif opcode == reader.BINARY:
            return self._receiver.message_received(payload)
        elif opcode == reader.PING:
            if self._drained is None:
                self.write_bytes(pong(payload))
        elif opcode == reader.PONG:
            self._on_pong()
        return None

    def _finish(self, error: FramingError | None) -> None:
        if not self._finished and self._receiver is not None:
            self._finished = True
            self._receiver.connection_closed(error)


def _answer(request: HttpRequest) -> bytes:
    """Return the head that accepts a handshake (RFC 6455, 4.2)."""
    headers = request.headers
    if (
        request.method != "GET"
        or headers.get("Upgrade", "").strip().lower() != "websocket"
        or "upgrade" not in map(str.strip, headers.get("Connection", "").lower().split(","))
    ):
        raise BadHandshake("not a WebSocket handshake")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise BadHandshake("only version 13 of WebSocket is spoken")
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise BadHandshake("bad Sec-WebSocket-Key")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())  # noqa: S324 - the RFC's
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
