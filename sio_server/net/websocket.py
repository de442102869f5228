"""A WebSocket over a detached TCP connection: no queue and no compression (RFC 6455)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from sio_server.net import websocket_reader as reader
from sio_server.net.connection import TcpConnection
from sio_server.net.frames import Frame, close_frame, pong
from sio_server.net.request import HttpRequest
from sio_server.net.transports import CLOSE_SECONDS
from sio_server.net.turns import MIN_PIECE_BYTES, TURN_BYTES, Turn, begin_in_turn, next_turn
from sio_server.net.websocket_handshake import accept_handshake
from sio_server.net.websocket_reader import FrameReader, FramingError

MIN_FRAGMENT_BYTES = 128
"""A smaller fragment of a message counts like a control frame: it is more work than data."""


class Receiver(Protocol):
    """The receiver of a WebSocket's messages."""

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Handle a message; return an awaitable if the next message has to wait for it."""

    def control_received(self) -> bool:
        """Count a frame that brings no message; return False if it must not be answered."""

    def connection_closed(self, error: FramingError | None) -> None:
        """Handle the end: no more messages follow.

        Args:
            error: the client's error, if it has broken RFC 6455.
        """


def _no_pong() -> bool:
    return False


class WebSocket(TcpConnection):
    """A WebSocket that writes encoded frames, for Engine.IO and for plain endpoints alike.

    Args:
        max_message_bytes: the bound for one message; a larger one closes the connection with 1009.
        max_buffer_bytes: see ``TcpConnection``.
        on_pong: called for a pong; returns whether it answers a WebSocket ping of the server.
    """

    __slots__ = (
        "_close_sent",
        "_close_timer",
        "_finished",
        "_on_pong",
        "_reader",
        "_receiver",
        "_receiver_task",
        "_turn",
        "_waits_for_turn",
    )

    name = "websocket"

    def __init__(
        self,
        max_message_bytes: int,
        max_buffer_bytes: int,
        on_pong: Callable[[], bool] = _no_pong,
    ) -> None:
        super().__init__(max_buffer_bytes, max_message_bytes)
        self._reader = FrameReader(max_message_bytes)
        self._turn = Turn()
        self._on_pong = on_pong
        self._receiver: Receiver | None = None
        self._receiver_task: asyncio.Task[None] | None = None  # while it handles a message
        self._waits_for_turn = False  # a message does
        self._close_sent = False
        self._close_timer: asyncio.TimerHandle | None = None  # from the close frame until the end
        self._finished = False  # the receiver was told of the end

    def open(self, request: HttpRequest, first: Frame | None = None) -> None:
        """Accept an upgrade request and detach its connection from HTTP.

        Args:
            request: the upgrade request.
            first: a frame to send together with the response.

        Raises:
            BadHandshake: the request does not open a WebSocket.
            ConnectionError: the client has disconnected.
        """
        response = accept_handshake(request)
        request.detach(self)
        request.forget_connection()
        self.write_bytes(response if first is None else response + first.websocket)

    def set_receiver(self, receiver: Receiver) -> None:
        """Pass all further messages to this receiver, beginning with those that have arrived."""
        is_first, self._receiver = self._receiver is None, receiver
        if is_first:  # a later one is set within message_received, while frames are being processed
            self._process_received()
            if not self._is_busy():
                self._read_on()

    def write(self, frame: Frame) -> bool:
        """Write one frame; see ``write_bytes``."""
        return self.write_bytes(frame.websocket)

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Write frames in one system call; see ``write_pieces``."""
        return self.write_pieces([frame.websocket for frame in frames])

    def close(self) -> None:
        """Close normally, without waiting for the client's close frame, or for its messages."""
        self._reader.clear()
        self.close_after(close_frame(reader.NORMAL))

    def close_with(self, code: int, reason: str = "") -> None:
        """Send a close frame. Abort if the client has not closed after ``CLOSE_SECONDS``.

        The client sees the code only if the server does not close the TCP connection first. Nothing
        is written after the close frame (RFC 6455, 5.5.1).

        Args:
            code: the close code.
            reason: the reason that the client sees.
        """
        if self._lost:
            self._reader.clear()
        if self._write_closed:
            return
        self._write_collected()
        if self._drained is not None:
            self.abort()
            return
        self.write_bytes(close_frame(code, reason))
        self._write_closed = self._close_sent = True
        self._transport.resume_reading()  # for the client's close frame
        self._close_timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Close at once; the buffer and the received bytes are discarded."""
        self._reader.clear()
        super().abort()

    def data_received(self, data: bytes | memoryview) -> None:
        """Process received bytes; stop reading while the receiver is too far behind."""
        if self._finished:  # nothing follows a close frame or a framing error
            return
        self._reader.feed(data)
        if self._is_deaf():
            self._transport.pause_reading()
            return
        if self._receiver is not None and not self._is_busy():
            self._process_received()
        if self._receiver is None or self._is_busy():
            if self._drained is not None or len(self._reader) > TURN_BYTES:
                self._transport.pause_reading()
        elif self._incoming is not None and not self._incoming.hold(
            self, self._reader.unfinished_bytes
        ):
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the receiver, after it has got all messages that arrived before."""
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._on_pong = _no_pong  # it refers to an object that refers to this one
        super().connection_lost(error)
        if not self._is_busy():
            self._finish(None)

    def _is_busy(self) -> bool:
        """Tell whether the frames that have arrived wait for a message before them."""
        return self._waits_for_turn or self._receiver_task is not None

    def _is_deaf(self) -> bool:
        """Tell whether the client sends on after our close frame. It is aborted soon."""
        return self._close_sent and len(self._reader) > MIN_PIECE_BYTES

    def _process_received(self) -> None:
        self._process_after(self._process_frames())

    def _process_after(self, wait: Awaitable[None] | None) -> None:
        if wait is not None:
            self._receiver_task = self._loop.create_task(self._process_in_task(wait))

    async def _process_in_task(self, wait: Awaitable[None] | None) -> None:
        try:
            while wait is not None:
                await wait
                wait = self._process_frames()
        finally:
            self._receiver_task = None
            self._go_on()

    def _go_on(self) -> None:
        """Read on, or end, unless a message waits."""
        if self._is_busy():
            return
        if self._lost:
            self._finish(None)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Read from the transport, unless unfinished messages hold too many bytes."""
        if self._incoming is None or self._incoming.hold(self, self._reader.unfinished_bytes):
            self._transport.resume_reading()

    def _process_frames(self) -> Awaitable[None] | None:
        """Process the complete frames; return an awaitable if the next frames have to wait."""
        self._turn.begin()
        while not (self._finished or self._is_deaf()):
            try:
                frame = self._reader.next()
                wait = None if frame is None else self._process_frame(*frame)
            except FramingError as error:
                self.close_after(close_frame(error.code, str(error)))
                self._finish(error)
                return None
            if frame is None or self._waits_for_turn:
                return None
            if self._turn.is_over(len(frame[1])):
                return next_turn(self.network) if wait is None else self._next_turn_after(wait)
            if wait is not None:
                return wait
        return None

    def _process_frame(self, opcode: int, payload: bytes) -> Awaitable[None] | None:
        receiver = self._receiver
        if opcode == reader.CLOSE:
            self.close_after(close_frame(reader.close_code(payload)))
            self._finish(None)
        elif self._close_sent or receiver is None:
            pass
        elif opcode in (reader.TEXT, reader.BINARY):
            message = reader.decode_text(payload) if opcode == reader.TEXT else payload
            begin = partial(self._begin_turn, message)
            if begin_in_turn(len(payload), self.network, begin):
                return self._receive(message)
            self._waits_for_turn = True
        elif opcode == reader.FRAGMENT:
            if len(payload) < MIN_FRAGMENT_BYTES:
                receiver.control_received()
        elif opcode == reader.PONG:
            if not self._on_pong():
                receiver.control_received()
        elif receiver.control_received() and self._drained is None:
            self.write_bytes(pong(payload))
        return None

    def _begin_turn(self, message: str | bytes) -> None:
        """Pass on a message that has waited for its turn, and go on."""
        self._waits_for_turn = False
        try:
            wait = self._receive(message)
            self._process_after(self._process_frames() if wait is None else wait)
        finally:
            self._go_on()

    def _receive(self, message: str | bytes) -> Awaitable[None] | None:
        """Pass on a message; return an awaitable if the next frames have to wait."""
        if self.is_half_full():
            return self._receive_later(message)
        if self._receiver is None or self._finished:
            return None
        return self._receiver.message_received(message)

    async def _receive_later(self, message: str | bytes) -> None:
        """Pass on a message once the client has read the answers to those before."""
        await self.drain_half()
        if self._receiver is not None and not self._finished:
            wait = self._receiver.message_received(message)
            if wait is not None:
                await wait

    async def _next_turn_after(self, wait: Awaitable[None]) -> None:
        await wait
        await next_turn(self.network)

    def _finish(self, error: FramingError | None) -> None:
        receiver = self._receiver
        if not self._finished and receiver is not None:
            self._finished = True
            receiver.connection_closed(error)
            self._reader.clear()
            self._receiver = None  # it refers to this object
