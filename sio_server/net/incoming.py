"""The bytes of unfinished requests and messages, bounded over all connections together.

A connection that would exceed the bound is not read until there is room. If a message or a body
has not arrived completely after some seconds, and others wait for room, its connection is closed.
The connections of one network have a share of the bound, so that they leave room to the others.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from sio_server.net.deadlines import Deadlines
from sio_server.net.fair_queue import FairQueue

FREE_BYTES = 4_096
"""So many bytes of each connection are not counted: small messages never wait."""

READ_BYTES = 16_384
"""The most bytes that are read from a connection at a time."""

HARD_FACTOR = 1.25
"""A connection is closed if it exceeds the bound by this factor."""

SHARES = 4
"""The connections of one network hold at most this part of the bound. One alone may hold more."""


class Holder(Protocol):
    """A connection with an unfinished request or message.

    Attributes:
        network: the network whose share it uses; None: it is not known, so no share bounds it.
    """

    network: str | None

    def resume_incoming(self) -> None:
        """Read again: there is room."""

    def abort(self) -> None:
        """Close at once."""

    def __hash__(self) -> int: ...


class _Share:
    """The bytes that the connections of one network hold.

    Attributes:
        holders: these connections.
        total: the bytes.
        waiting: the connections that wait until the network holds less.
    """

    __slots__ = ("holders", "total", "waiting")

    def __init__(self) -> None:
        self.holders = self.total = 0
        self.waiting: FairQueue[Holder] = FairQueue()


class Incoming:
    """The bytes that all connections hold.

    Args:
        max_bytes: the bound.
        seconds: how long a connection may hold bytes while others wait, and how long one may wait.
    """

    def __init__(self, max_bytes: int = 67_108_864, seconds: float = 10) -> None:
        self._max_bytes = max_bytes
        self._held: dict[Holder, int] = {}
        self._shares: defaultdict[str, _Share] = defaultdict(_Share)
        self._paused: set[Holder] = set()  # those that wait, for either reason
        self._waiting: FairQueue[Holder] = FairQueue()  # until all hold less
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
            return holder not in self._paused
        self._count(holder, counted, before)
        if counted < before:
            return True
        if self.total > self._max_bytes * HARD_FACTOR:
            holder.abort()
            return False
        waiting = self._crowd_of(holder)
        if waiting is None:
            return True
        if holder not in self._paused:
            self._paused.add(holder)
            waiting.add(holder, holder.network)
        return False

    def release(self, holder: Holder) -> None:
        """Forget a connection that is closed."""
        if holder in self._held:
            self._count(holder, 0, self._held[holder])

    def _crowd_of(self, holder: Holder) -> FairQueue[Holder] | None:
        """Return those with whom a connection has to wait; None if it may read on."""
        if holder.network is not None:
            share = self._shares[holder.network]
            if share.total > self._max_bytes // SHARES and share.holders > 1:
                return share.waiting
        return self._waiting if self.total > self._max_bytes else None

    def _count(self, holder: Holder, counted: int, before: int) -> None:
        """Count the bytes of a connection, and let others read if they are fewer than before."""
        self.total += counted - before
        if counted:
            self._held[holder] = counted
        else:
            del self._held[holder]
            self._deadlines.discard(holder)
        if not before:
            self._deadlines.add(holder)
        if holder.network is not None:
            share = self._shares[holder.network]
            share.total += counted - before
            share.holders += (not before) - (not counted)
            if counted < before:
                self._stop_waiting(holder, share.waiting)
                is_crowd = share.holders > 1
                room = self._max_bytes // SHARES - share.total if is_crowd else 0
                self._wake(share.waiting, room)
            if not share.holders:
                self._shares.pop(holder.network, None)
        if counted < before:
            self._stop_waiting(holder, self._waiting)
            self._wake(self._waiting, self._max_bytes - self.total)

    def _stop_waiting(self, holder: Holder, waiting: FairQueue[Holder]) -> None:
        waiting.discard(holder, holder.network)
        self._paused.discard(holder)

    def _wake(self, waiting: FairQueue[Holder], room: int) -> None:
        while waiting and room >= 0:
            holder, _, _ = waiting.pop()
            self._paused.discard(holder)
            holder.resume_incoming()
            room -= READ_BYTES

    def _expired(self, holder: Holder) -> None:
        if self._waiting or (holder.network is not None and self._shares[holder.network].waiting):
            holder.abort()
        else:
            self._deadlines.add(holder)
