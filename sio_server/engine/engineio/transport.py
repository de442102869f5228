"""The transport of a session: polling, a WebSocket, or none after its end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from sio_server.net.frames import Frame


class Transport(Protocol):
    """The connection that carries a session's frames to its client."""

    name: str

    def write(self, frame: Frame) -> bool:
        """Send or buffer one frame; return False while the buffer is over its bound.

        After the transport has closed, this does nothing.
        """

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Send or buffer frames in one system call; see ``write``."""

    def one_write(self) -> AbstractContextManager[None]:
        """Send all writes within this context as one; nothing may be awaited within it."""

    def unacknowledged_bytes(self) -> int:
        """Return the number of bytes that the client's machine has not acknowledged."""

    async def drain(self) -> None:
        """Wait until the client has read most of the buffered bytes, or disconnects."""

    def close(self) -> None:
        """Close the transport. A second call does nothing."""


class NoTransport:
    """The transport of a session that has ended."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, frame: Frame) -> bool:
        """Do nothing."""
        return True

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Do nothing."""
        return True

    def one_write(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def unacknowledged_bytes(self) -> int:
        """Return 0."""
        return 0

    async def drain(self) -> None:
        """Return at once."""

    def close(self) -> None:
        """Do nothing."""
