"""Fairness: how much work is done for one connection before the others have a turn.

Every door uses the same budget: requests, WebSocket frames and the packets of a polling body. A
connection that has used its turn waits for the next one in a queue. Only one connection of the
queue continues at a time, and the queue rests between two turns. So however many connections keep
the server busy, they delay the others like one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from math import floor
from time import monotonic
from typing import TypeVar

from sio_server.net.per_loop import PerLoop

TURN_SECONDS = 0.002
"""A turn ends after this time."""

TURN_BYTES = 65_536
"""A turn ends after this many received bytes."""

RENEWAL_SECONDS = 0.1
"""A connection that sent less has a new turn after this time."""

MIN_PIECE_BYTES = 2_048
"""Each piece of work counts as at least so many bytes: its handler may run later, in a task."""


Value = TypeVar("Value")


class Turn:
    """The turns of one connection, or of other work. The first one begins when the object is made.

    Many small calls of a connection share one turn: a new one begins ``RENEWAL_SECONDS`` after the
    last one began, or when the last one is over.
    """

    __slots__ = ("_bytes_left", "_end", "_renewal")

    def __init__(self) -> None:
        self._renewal = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin a new turn, unless the last one still lasts."""
        now = monotonic()
        if now >= self._renewal:
            self._bytes_left = TURN_BYTES
            self._renewal = now + RENEWAL_SECONDS
        self._end = now + TURN_SECONDS

    def is_over(self, size: int) -> bool:
        """Count one piece of work of ``size`` received bytes; tell whether the turn is over."""
        self._bytes_left -= max(size, MIN_PIECE_BYTES)
        if self._bytes_left > 0 and monotonic() < self._end:
            return False
        self._renewal = 0.0
        return True


async def in_turns(steps: Generator[None, None, Value]) -> Value:
    """Do work that yields after each of its small steps, in turns; return its value."""
    turn = Turn()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: Value = done.value
            return value
        if turn.is_over(0):
            await asyncio.sleep(0)
            turn.begin()


class _Queue:
    """The connections that wait for their next turn, in the order in which they came.

    After a turn, the queue rests as long as the turn took: all of them together use at most half of
    the event loop. (Timers of an event loop count whole milliseconds. Without a rest, the next one
    continues in the next iteration.)
    """

    __slots__ = ("_began", "_next_planned", "_rest_ends", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_planned = False
        self._began = self._rest_ends = 0.0

    def add(self, turn: asyncio.Future[None]) -> None:
        """Add a future that shall be done when the turn begins."""
        self._waiting.append(turn)
        self._plan_next()

    def _plan_next(self) -> None:
        if not self._next_planned and self._waiting:
            self._next_planned = True
            rest = max(0.0, self._rest_ends - monotonic())
            asyncio.get_running_loop().call_later(rest, self._continue_next)

    def _continue_next(self) -> None:
        loop = asyncio.get_running_loop()
        turn = self._waiting.popleft()
        loop.call_soon(self._begin)
        if not turn.done():  # nobody cancelled it
            turn.set_result(None)  # the loop calls what waits for it, between the other two
        loop.call_soon(loop.call_soon, self._end)  # after the first steps of the turn's new tasks

    def _begin(self) -> None:
        self._began = monotonic()

    def _end(self) -> None:
        now = monotonic()
        self._rest_ends = now + floor((now - self._began) * 1e3) / 1e3
        self._next_planned = False
        self._plan_next()


_queues = PerLoop(_Queue)


def next_turn() -> asyncio.Future[None]:
    """Return a future that is done when the next turn of a connection begins."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _queues.get().add(turn)
    return turn
