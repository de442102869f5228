"""A TCP connection that HTTP has handed over: bytes come and go without it, within bounds."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

try:
    import fcntl
    import termios
except ImportError:  # Windows has neither
    fcntl = termios = None  # type: ignore[assignment]


class DetachedResponse(web.Response):
    """What a request handler returns to aiohttp for a connection that it no longer has."""

    async def prepare(self, request: Any) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


DETACHED = DetachedResponse()

CLOSE_SECONDS = 1.0
"""How long a client may take to close its side, or to take any of what is buffered for it."""


class _Lingering(asyncio.Protocol):
    """A connection whose client may still be sending: nobody listens."""

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        self._lost = lost

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever closed it."""
        self._lost(error)


def linger(transport: asyncio.Transport, lost: Callable[[Exception | None], None]) -> None:
    """Close our side of a connection, and all of it when the client has closed its own, or soon.

    What a client still sends to a connection that is closed is answered by a reset, which takes
    from it what it has not read yet. What is buffered is sent as long as the client takes it.

    Args:
        lost: called when it is closed.
    """
    if transport.is_closing() or isinstance(transport.get_protocol(), _Lingering):
        return
    if not transport.can_write_eof():
        transport.close()
        return
    transport.set_protocol(_Lingering(lost))
    transport.write_eof()
    transport.resume_reading()
    loop = asyncio.get_running_loop()

    def end(before: float) -> None:
        unsent = transport.get_write_buffer_size()
        if 0 < unsent < before:
            loop.call_later(CLOSE_SECONDS, end, unsent)
        else:
            transport.abort()

    loop.call_later(CLOSE_SECONDS, end, math.inf)


class TcpConnection(asyncio.Protocol):
    """A connection that stays open, without a task or a queue of its own.

    Args:
        max_buffer_bytes: where what the kernel has not taken passes this, ``drain`` waits.
        max_write_bytes: the largest single write. Whoever writes on in spite of a full buffer loses
            the connection, at twice the bound and one such write.
    """

    __slots__ = (
        "_drained",
        "_ended",
        "_gone",
        "_hard_limit",
        "_held",
        "_loop",
        "_transport",
        "max_buffer_bytes",
    )

    def __init__(self, max_buffer_bytes: int, max_write_bytes: int) -> None:
        self.max_buffer_bytes = max_buffer_bytes
        self._hard_limit = 2 * max_buffer_bytes + max_write_bytes
        self._ended = False  # nothing more can be written
        self._gone = False
        self._held: bytearray | None = None  # written, while it is kept together
        self._drained: asyncio.Future[None] | None = None  # while the buffer is over its bound
        self._transport: asyncio.Transport
        self._loop: asyncio.AbstractEventLoop

    def detach_from_aiohttp(self, request: web.BaseRequest) -> None:
        """Take a request's connection from aiohttp; its handler then returns ``DETACHED``.

        Raises:
            ConnectionError: the client is gone.
        """
        handler, transport = request.protocol, request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        rest = handler._message_tail  # noqa: SLF001 - see seams.py
        handler.transport = None  # so that aiohttp lets go of it without closing it
        handler.connection_lost(None)
        self.attach(transport, rest)

    def attach(self, transport: asyncio.Transport, rest: bytes) -> None:
        """Go on with a connection, of which these bytes have been read but not used."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(self.max_buffer_bytes, self.max_buffer_bytes // 4)
        transport.set_protocol(self)
        transport.resume_reading()
        if rest:
            self.data_received(rest)

    def write_bytes(self, data: bytes | bytearray) -> bool:
        """Write without waiting; False while the buffer is over its bound."""
        if self._ended:
            return True
        if self._held is not None:
            self._held += data
            return len(self._held) <= self.max_buffer_bytes
        self._transport.write(data)
        if self._drained is None:
            return True
        if self.buffered_bytes() > self._hard_limit:
            self.abort()
        return False

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Let what is written within leave as one piece: in one system call, and one segment."""
        self._held = bytearray()
        try:
            yield
        finally:
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, None
        if held:
            self.write_bytes(held)

    def buffered_bytes(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the peer's machine has not acknowledged, where the kernel tells."""
        socket = self._transport.get_extra_info("socket")
        queued = bytearray(4)
        try:
            fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, queued)  # tcp(7), SIOCOUTQ
        except (OSError, AttributeError):
            return self.buffered_bytes()
        return self.buffered_bytes() + int.from_bytes(queued, sys.byteorder)

    async def drain(self) -> None:
        """Wait until the buffer has shrunk to a quarter of its bound, or the client is gone."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def close_after(self, last: bytes) -> None:
        """Send what is buffered and these last bytes, then close; at once where nobody reads."""
        self._write_held()
        if self._drained is not None:
            self.abort()
        else:
            self.write_bytes(last)
            self._ended = True
            linger(self._transport, self.connection_lost)

    def abort(self) -> None:
        """Close at once; what is buffered is lost."""
        self._ended = True
        self._transport.abort()

    def pause_writing(self) -> None:
        """Note that the buffer is over its bound."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that the buffer has shrunk."""
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end of the connection."""
        self._ended = self._gone = True
        self.resume_writing()
