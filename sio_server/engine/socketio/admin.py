"""What the Admin UI shows of Engine.IO sessions: packets, bytes, and when they were opened."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from sio_server.engine.engineio.session import EngineSession
from sio_server.net.frames import Frame

Count = Callable[..., None]
"""Called with the name of a counter and the number to add, by default 1."""


class CountedEngineSession(EngineSession):
    """A session that counts its packets and bytes.

    Args:
        count: see ``Count``.

    Attributes:
        opened_at: the Unix time of its handshake, in milliseconds.
    """

    __slots__ = ("_count", "opened_at")

    def __init__(self, count: Count, *args: Any) -> None:
        super().__init__(*args)
        self._count = count
        self.opened_at = time.time_ns() // 1_000_000

    def write(self, frame: Frame) -> bool:
        """Write one frame and count it."""
        self._count("packetsOut")
        self._count("bytesOut", len(frame))
        return super().write(frame)

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Write frames in one piece and count them."""
        written = list(frames)
        self._count("packetsOut", len(written))
        self._count("bytesOut", sum(map(len, written)))
        return super().write_all(written)

    def packet_received(self, packet_type: str, data: str | bytes) -> Awaitable[None] | None:
        """Handle one packet and count it."""
        self._count("packetsIn")
        self._count("bytesIn", len(data) + 1)
        return super().packet_received(packet_type, data)
