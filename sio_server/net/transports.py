"""What asyncio's transports lack: closing our side only, and the unread bytes in the kernel."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable

try:
    import fcntl
    import termios
except ImportError:  # Windows has neither
    fcntl = termios = None  # type: ignore[assignment]

CLOSE_SECONDS = 1.0
"""How long a client may take to close its side, or to read any of the bytes buffered for it."""

MAX_DISCARDED_BYTES = 16_777_216
"""How much a client may still send after our side is closed. Then its bytes are not read."""


class _HalfClosed(asyncio.Protocol):
    """The protocol of a half closed connection: it discards received bytes.

    Args:
        transport: the connection.
        on_closed: called when it is closed.
    """

    def __init__(
        self, transport: asyncio.Transport, on_closed: Callable[[Exception | None], None]
    ) -> None:
        self._transport = transport
        self._on_closed = on_closed
        self._discarded = 0
        self._unsent = math.inf
        self._plan_check()

    def _plan_check(self) -> None:
        loop = asyncio.get_running_loop()
        self._check = loop.call_later(CLOSE_SECONDS, self._abort_if_stalled)

    def _abort_if_stalled(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        if 0 < unsent < self._unsent:
            self._unsent = unsent
            self._plan_check()
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Discard bytes; stop reading after too many."""
        self._discarded += len(data)
        if self._discarded > MAX_DISCARDED_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Report that the connection is closed."""
        self._check.cancel()
        self._on_closed(error)


def half_close(transport: asyncio.Transport, on_closed: Callable[[Exception | None], None]) -> None:
    """Close our side of a connection; close the whole connection once the client closed its side.

    A client may still be sending. If we closed the whole connection at once, the kernel would
    answer those bytes with a reset, and the client would lose the bytes that it has not read yet.
    The buffer is sent as long as the client reads some of it every ``CLOSE_SECONDS``.

    Args:
        transport: the connection.
        on_closed: called when the connection is closed.
    """
    if transport.is_closing() or isinstance(transport.get_protocol(), _HalfClosed):
        return
    if not transport.can_write_eof():
        transport.close()
        return
    transport.set_protocol(_HalfClosed(transport, on_closed))
    transport.write_eof()
    transport.resume_reading()


def unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """Return the number of bytes that the peer has not acknowledged by TCP.

    If the kernel does not tell, this is the number of bytes that the kernel has not taken yet.
    """
    socket = transport.get_extra_info("socket")
    buffered = transport.get_write_buffer_size()
    queued = bytearray(4)
    try:
        fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, queued)  # tcp(7), SIOCOUTQ
    except (OSError, ValueError, AttributeError):  # ValueError: the connection is lost
        return buffered
    return buffered + int.from_bytes(queued, sys.byteorder)
