"""Writing to an open response's socket, straight and within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web


class Outgoing:
    """The sending side of a connection that stays open.

    Args:
        max_buffer_bytes: where what the kernel has not taken passes this, ``drain`` waits.
        max_write_bytes: the largest single write. Whoever writes on in spite of a full buffer loses
            the connection, at twice the bound and one such write.
    """

    def __init__(self, max_buffer_bytes: int, max_write_bytes: int) -> None:
        self.max_buffer_bytes = max_buffer_bytes
        self._hard_limit = 2 * max_buffer_bytes + max_write_bytes
        self._ended = False
        self._writer: Any = None
        self._transport: asyncio.Transport

    async def start(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send the response's headers; after them, all that is written.

        Raises:
            aiohttp.web.HTTPException: the request is none that can be answered so.
            ConnectionError: the client is gone.
        """
        self._writer = await response.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.set_write_buffer_limits(high=self.max_buffer_bytes)
        self._transport = transport

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._ended or self._transport.is_closing()

    def write_bytes(self, data: bytes) -> int:
        """Write without waiting; return how many bytes the kernel has not taken."""
        transport = self._transport
        if self._ended or transport.is_closing():
            return 0
        transport.write(data)
        buffered = transport.get_write_buffer_size()
        if buffered > self._hard_limit:
            transport.abort()
        return buffered

    def buffered(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the buffer has shrunk to a quarter of its bound, or the client is gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close_after(self, last: bytes) -> None:
        """Send what is buffered and these last bytes, then close; at once where nobody reads."""
        if self.buffered() <= self.max_buffer_bytes:
            self.write_bytes(last)
            self._transport.close()
        else:
            self._transport.abort()
        self._ended = True
