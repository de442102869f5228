"""The bytes of unfinished requests and messages, bounded over all connections together.

A connection that would exceed the bound is not read until there is room. If a message or a body
has not arrived completely after some seconds, and others wait for room, its connection is closed.
"""

from __future__ import annotations

from typing import Protocol

from sio_server.net.deadlines import Deadlines

FREE_BYTES = 4_096
"""So many bytes of each connection are not counted: small messages never wait."""

READ_BYTES = 65_536
"""About so many bytes arrive in the first read after a wait."""

HARD_FACTOR = 1.25
"""A connection is closed if it exceeds the bound by this factor. One read may hold many bytes."""


class Holder(Protocol):
    """A connection with an unfinished request or message."""

    def resume_incoming(self) -> None:
        """Read again: there is room."""

    def abort(self) -> None:
        """Close at once."""

    def __hash__(self) -> int: ...


class Incoming:
    """The bytes that all connections hold.

    Args:
        max_bytes: the bound.
        seconds: how long a connection may hold bytes while others wait, and how long one may wait.
    """

    def __init__(self, max_bytes: int = 67_108_864, seconds: float = 10) -> None:
        self._max_bytes = max_bytes
        self._held: dict[Holder, int] = {}
        self._waiting: dict[Holder, None] = {}  # in order
        self._deadlines: Deadlines[Holder] = Deadlines(seconds, self._expired)
        self.total = 0

    def hold(self, holder: Holder, size: int) -> bool:
        """Note how many bytes a connection holds now.

        Returns:
            False if the connection must stop reading. ``resume_incoming`` is called later.
        """
        if size <= FREE_BYTES and holder not in self._held:
            return True
        counted = max(0, size - FREE_BYTES)
        before = self._held.get(holder, 0)
        if counted == before:
            return holder not in self._waiting
        self.total += counted - before
        if not counted:
            self._forget(holder)
        else:
            self._held[holder] = counted
            if not before:
                self._deadlines.add(holder)
        if counted < before:
            self._wake()
            return True
        if self.total <= self._max_bytes:
            return True
        if self.total > self._max_bytes * HARD_FACTOR:
            holder.abort()
        else:
            self._waiting[holder] = None
        return False

    def release(self, holder: Holder) -> None:
        """Forget a connection that is closed."""
        if holder in self._held:
            self.total -= self._held[holder]
            self._forget(holder)
            self._wake()

    def _forget(self, holder: Holder) -> None:
        del self._held[holder]
        self._waiting.pop(holder, None)
        self._deadlines.discard(holder)

    def _wake(self) -> None:
        room = self._max_bytes - self.total
        while self._waiting and room >= 0:
            holder = next(iter(self._waiting))
            del self._waiting[holder]
            holder.resume_incoming()
            room -= READ_BYTES

    def _expired(self, holder: Holder) -> None:
        if self._waiting:
            holder.abort()
        else:
            self._deadlines.add(holder)
