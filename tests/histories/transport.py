"""A client's transport in a history, without sockets: a test slows it down or cuts it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from sio_server.net.frames import Frame


@dataclass(frozen=True, slots=True)
class Packet:
    """A Socket.IO packet that the server wrote.

    Attributes:
        type: 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR.
        data: its decoded JSON.
    """

    type: str
    data: Any

    @classmethod
    def parse(cls, message: str | bytes) -> Packet:
        """Read an Engine.IO message."""
        assert isinstance(message, str)
        assert message[0] == "4", message
        start = next((at for at, char in enumerate(message) if char in "[{"), len(message))
        return cls(message[1], json.loads(message[start:] or "null"))


class SimulatedTransport:
    """A transport, and the client's side of it.

    Args:
        max_unread: the most unread packets within the buffer; None: the client reads at once.

    Attributes:
        written: every packet that the server wrote.
        read_count: the number of them that the client has read.
        full: the bound was passed, and the client has not read every packet since.
        read_at: the time at which the client last read, or at which the buffer became full.
        closed: the server has closed it.
    """

    name = "websocket"

    def __init__(self, max_unread: int | None) -> None:
        self.max_unread = max_unread
        self.written: list[Packet] = []
        self.read_count = 0
        self.full = False
        self.read_at = 0.0
        self.closed = False
        self._drained = asyncio.Event()

    # The server's side.

    def write(self, frame: Frame) -> bool:
        """Buffer a packet; return False while too many are unread."""
        if self.closed:
            return True
        self.written.append(Packet.parse(frame.packet))
        if self.max_unread is None:
            self.read_count += 1
        elif not self.full and self.unacknowledged_bytes() > self.max_unread:
            self.full = True
            self.read_at = asyncio.get_running_loop().time()
            self._drained.clear()
        return not self.full

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Buffer packets; return False while too many are unread."""
        within = True
        for frame in frames:
            within = self.write(frame)
        return within

    def one_write(self) -> AbstractContextManager[None]:
        """Do nothing: there is no system call to save."""
        return nullcontext()

    def unacknowledged_bytes(self) -> int:
        """Return the number of unread packets."""
        return len(self.written) - self.read_count

    async def drain(self) -> None:
        """Wait until every packet is read, or the transport is closed."""
        while self.full and not self.closed:
            await self._drained.wait()

    def close(self) -> None:
        """Close the transport."""
        self.closed = True
        self._drained.set()

    # The client's side.

    def read(self, count: int, now: float) -> None:
        """Read this many packets."""
        self.read_count = min(self.read_count + count, len(self.written))
        self.read_at = now
        if self.read_count == len(self.written):
            self.full = False
            self._drained.set()

    def read_all(self, now: float) -> None:
        """Read every packet, and every later packet at once."""
        self.max_unread = None
        self.read(len(self.written), now)

    def stop_reading(self, max_unread: int) -> None:
        """Read no packet until the next ``read`` or ``read_all``."""
        self.max_unread = max_unread
