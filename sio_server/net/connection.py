"""A TCP connection that has left HTTP: it reads and writes bytes, with a bounded write buffer.

The states of a connection::

    attach() ────▶ open
    open ────────▶ full           the buffer is over its bound
    full ────────▶ open           the buffer has shrunk to a quarter of its bound
    open ────────▶ half closed    close_after(): the rest of the buffer is still sent
    full ────────▶ closed         close_after(), or the buffer is far over its bound
    half closed ─▶ closed         the client has closed its side, or reads nothing
    (any) ───────▶ closed         abort(), or the client has disconnected

Only an open or full connection writes. In the other states a write does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from sio_server.net.incoming import READ_BYTES, Incoming
from sio_server.net.per_loop import PerLoop
from sio_server.net.transports import half_close, unacknowledged_bytes


class DetachedResponse(web.Response):
    """The response that a handler returns to aiohttp after its connection was detached."""

    async def prepare(self, request: Any) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


DETACHED = DetachedResponse()

SPARE_BYTES = 1_024
"""How much longer a written message may be than the message that a client has sent."""

# The event loops would read 256 KB, and that much would wait in memory for its turn.
read_buffer = PerLoop(lambda: memoryview(bytearray(READ_BYTES))).get
"""Returns the memory into which the connections of the running event loop are read."""


class TcpConnection(asyncio.BufferedProtocol):
    """A connection that stays open, without a task or a queue.

    Args:
        max_buffer_bytes: the bound for unsent bytes, over which ``drain`` waits.
        max_write_bytes: the largest single write. A connection whose unsent bytes exceed the bound
            by more than one such write is aborted.

    Attributes:
        network: the client's network, with which it shares turns and room for unfinished messages;
            None: it is not known.
    """

    __slots__ = (
        "_abort_bytes",
        "_buffer",
        "_collected",
        "_drained",
        "_incoming",
        "_leave",
        "_loop",
        "_lost",
        "_transport",
        "_write_closed",
        "max_buffer_bytes",
        "network",
    )

    def __init__(self, max_buffer_bytes: int, max_write_bytes: int) -> None:
        self.max_buffer_bytes = max_buffer_bytes
        self.network: str | None = None
        self._abort_bytes = max_buffer_bytes + max_write_bytes + SPARE_BYTES
        self._write_closed = False
        self._lost = False  # connection_lost was called
        self._collected: bytearray | None = None  # the writes within one_write()
        self._drained: asyncio.Future[None] | None = None  # set while the buffer is over its bound
        self._transport: asyncio.Transport
        self._buffer: memoryview
        self._leave: Callable[[], None]
        self._incoming: Incoming | None
        self._loop: asyncio.AbstractEventLoop

    def attach(
        self,
        transport: asyncio.Transport,
        unread: bytes,
        leave: Callable[[], None] = lambda: None,
        incoming: Incoming | None = None,
        network: str | None = None,
    ) -> None:
        """Take over a connection.

        Args:
            transport: the connection.
            unread: bytes that were received after the HTTP request and belong to this connection.
            leave: called once when the connection is closed.
            incoming: counts the bytes of unfinished messages of all connections.
            network: the client's network; see the attribute.
        """
        self._transport = transport
        self._buffer = read_buffer()
        self._leave = leave
        self._incoming = incoming
        self.network = network
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(self.max_buffer_bytes, self.max_buffer_bytes // 4)
        transport.set_protocol(self)
        transport.resume_reading()
        if unread:
            self.data_received(unread)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory into which the next bytes are read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes before the next connection reads into the same memory."""
        self.data_received(self._buffer[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Ignore the client's bytes."""

    def write_bytes(self, data: bytes | bytearray) -> bool:
        """Write without waiting; return False while the buffer is over its bound."""
        if self._write_closed:
            return True
        if self._collected is not None:
            self._collected += data
            return len(self._collected) <= self.max_buffer_bytes
        self._transport.write(data)
        if self._drained is None:
            return True
        self._abort_far_over_bound()
        return False

    def write_pieces(self, pieces: Sequence[bytes]) -> bool:
        """Write several pieces in one system call; see ``write_bytes``.

        They are not copied: the same ones may wait in the buffers of many connections.
        """
        if self._write_closed or self._collected is not None:
            return self.write_bytes(b"".join(pieces))
        self._transport.writelines(pieces)
        if self._drained is None:
            return True
        self._abort_far_over_bound()
        return False

    def _abort_far_over_bound(self) -> None:
        """Abort if the unsent bytes exceed the bound by more than one write."""
        if self.buffered_bytes() > self._abort_bytes:
            self.abort()

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Send all writes within this context as one: one system call, and one TCP segment."""
        self._collected = bytearray()
        try:
            yield
        finally:
            self._write_collected()

    def _write_collected(self) -> None:
        collected, self._collected = self._collected, None
        if collected:
            self.write_bytes(collected)

    def buffered_bytes(self) -> int:
        """Return the number of bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def unacknowledged_bytes(self) -> int:
        """Return the number of bytes that the peer has not acknowledged; see the function."""
        return unacknowledged_bytes(self._transport)

    def is_half_full(self) -> bool:
        """Tell whether the client has left half of the buffer unread."""
        return self._drained is not None or self.buffered_bytes() > self.max_buffer_bytes // 2

    async def drain_half(self) -> None:
        """Wait like ``drain``, and already if ``is_half_full``."""
        quarter = self.max_buffer_bytes // 4
        if self._drained is None and not self._lost:
            self._transport.set_write_buffer_limits(2 * quarter, quarter)  # calls pause_writing
        await self.drain()
        if not self._lost:
            self._transport.set_write_buffer_limits(self.max_buffer_bytes, quarter)

    async def drain(self) -> None:
        """Wait until the buffer has shrunk to a quarter of its bound, or the client disconnects."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def close_after(self, last: bytes) -> None:
        """Send the buffer and these last bytes, then close.

        If the buffer is over its bound, the client does not read: the connection is aborted.
        """
        self._write_collected()
        if self._drained is not None:
            self.abort()
        else:
            self.write_bytes(last)
            self._write_closed = True
            if self._incoming is not None:
                self._incoming.release(self)
            half_close(self._transport, self.connection_lost)

    def abort(self) -> None:
        """Close at once; the buffer is discarded."""
        self._write_closed = True
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
        """Note that the connection is closed."""
        if not self._lost:
            self._leave()
            if self._incoming is not None:
                self._incoming.release(self)
        self._write_closed = self._lost = True
        self.resume_writing()

    def resume_incoming(self) -> None:
        """Read on: there is room for the bytes of unfinished messages."""
        self._transport.resume_reading()
