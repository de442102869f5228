"""What python-socketio's Admin UI wants to know of the transports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sio_server.engine.engineio.session import EngineSession
from sio_server.net.frames import Frame

Count = Callable[..., None]
"""Called with the name of a counter, and how much to add where that is not one."""


class CountedEngineSession(EngineSession):
    """A session whose packets and bytes are counted.

    Args:
        count: see ``Count``.
    """

    __slots__ = ("_count",)

    def __init__(self, count: Count, *args: Any) -> None:
        super().__init__(*args)
        self._count = count

    def write(self, frame: Frame) -> bool:
        """Write and count."""
        self._count("packetsOut")
        self._count("bytesOut", len(frame))
        return super().write(frame)

    def take(self, kind: str, data: str | bytes) -> Awaitable[None] | None:
        """Take and count."""
        self._count("packetsIn")
        self._count("bytesIn", len(data) + 1)
        return super().take(kind, data)
