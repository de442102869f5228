"""What carries a client's connection in a history: it can be slow, or cut. No sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from sio_server.net.frames import Frame


@dataclass(frozen=True, slots=True)
class Message:
    """A Socket.IO packet that the server wrote.

    Attributes:
        kind: the packet type: 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR.
        data: its JSON.
    """

    kind: str
    data: Any

    @classmethod
    def parse(cls, packet: str | bytes) -> Message:
        """Read an Engine.IO message."""
        assert isinstance(packet, str)
        assert packet[0] == "4", packet
        start = next((at for at, character in enumerate(packet) if character in "[{"), len(packet))
        return cls(packet[1], json.loads(packet[start:] or "null"))


class Line:
    """A transport, and the client's machine that takes what it carries.

    Args:
        bound: how many packets may be unread; None: the client reads each at once.

    Attributes:
        written: every packet that the server wrote.
        taken: how many of them the client has read.
        full: the bound was passed, and the client has not read all since.
        read_at: when the client last read, or was first asked to wait.
        closed: the server has ended it.
    """

    name = "websocket"

    def __init__(self, bound: int | None) -> None:
        self.bound = bound
        self.written: list[Message] = []
        self.taken = 0
        self.full = False
        self.read_at = 0.0
        self.closed = False
        self._drained = asyncio.Event()

    def write(self, frame: Frame) -> bool:
        """Carry a packet; False while too many are unread."""
        if self.closed:
            return True
        self.written.append(Message.parse(frame.packet))
        if self.bound is None:
            self.taken += 1
        elif not self.full and self.unacknowledged_bytes() > self.bound:
            self.full = True
            self.read_at = asyncio.get_running_loop().time()
            self._drained.clear()
        return not self.full

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Carry packets."""
        within = True
        for frame in frames:
            within = self.write(frame)
        return within

    def one_write(self) -> AbstractContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def unacknowledged_bytes(self) -> int:
        """Return how many packets are unread."""
        return len(self.written) - self.taken

    async def drain(self) -> None:
        """Wait until all are read, or nobody will."""
        while self.full and not self.closed:
            await self._drained.wait()

    def close(self) -> None:
        """End."""
        self.closed = True
        self._drained.set()

    # The client's side.

    def read(self, count: int, now: float) -> None:
        """Read some packets."""
        self.taken = min(self.taken + count, len(self.written))
        self.read_at = now
        if self.taken == len(self.written):
            self.full = False
            self._drained.set()

    def read_on(self, now: float) -> None:
        """Read all packets, and those to come at once."""
        self.bound = None
        self.read(len(self.written), now)

    def stall(self, bound: int) -> None:
        """Read nothing until further notice."""
        self.bound = bound
