"""Fairness: how much work is done for one connection before the others have a turn.

Every door uses the same budget: requests, WebSocket frames and the packets of a polling body. A
connection that has used its turn waits for the next one in a queue. Only one connection of the
queue continues at a time, and the queue rests between two turns. Smaller pieces of work do not wait
there, but only so many of them start in one iteration of the event loop. In both cases, the next
one is of the network that was served least. So however many connections keep the server busy, they
delay the others like one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from math import floor
from time import monotonic
from typing import TypeVar

from sio_server.net.fair_queue import FairQueue
from sio_server.net.per_loop import PerLoop

TURN_SECONDS = 0.002
"""A turn ends after this time."""

TURN_BYTES = 65_536
"""A turn ends after this many received bytes."""

RENEWAL_SECONDS = 0.1
"""A connection that sent less has a new turn after this time."""

MIN_PIECE_BYTES = 2_048
"""Each piece of work counts as at least so many bytes: its handler may run later, in a task."""

MAX_FREE_BYTES = 16_384
"""A larger message or body always waits for a turn: many clients may send theirs at the same time.
"""

ITERATION_BYTES = 32_768
"""So many bytes of smaller messages and bodies are handled in one iteration of the event loop: about
5 ms of work. The rest waits for the next iterations."""

MIN_START_BYTES = 1_024
"""What the smallest message counts."""

REQUEST_BYTES = 4_096
"""What a request counts that aiohttp serves: it takes up to 1 ms."""

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


async def in_turns(steps: Generator[None, None, Value], network: str | None) -> Value:
    """Do work that yields after each of its small steps, in turns; return its value.

    Args:
        steps: the work.
        network: the network of the client for which it is done; see ``next_turn``.
    """
    turn = Turn()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: Value = done.value
            return value
        if turn.is_over(0):
            await next_turn(network)
            turn.begin()


class _Queue:
    """The connections that wait for their next turn.

    After a turn, the queue rests as long as the turn took: all of them together use at most half of
    the event loop. (Timers of an event loop count whole milliseconds. Without a rest, the next one
    continues in the next iteration.)
    """

    __slots__ = ("_began", "_next_planned", "_rest_ends", "_waiting")

    def __init__(self) -> None:
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._next_planned = False
        self._began = self._rest_ends = 0.0

    def add(self, turn: asyncio.Future[None], network: str | None) -> None:
        """Add a future that shall be done when the turn begins."""
        self._waiting.add(turn, network)
        self._plan_next()

    def _plan_next(self) -> None:
        if not self._next_planned and self._waiting:
            self._next_planned = True
            rest = max(0.0, self._rest_ends - monotonic())
            asyncio.get_running_loop().call_later(rest, self._continue_next)

    def _continue_next(self) -> None:
        loop = asyncio.get_running_loop()
        turn, _ = self._waiting.pop()
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


def next_turn(network: str | None) -> asyncio.Future[None]:
    """Return a future that is done when the next turn of a connection begins.

    Args:
        network: the connection's network, see ``FairQueue``; None: it is not known.
    """
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _queues.get().add(turn, network)
    return turn


class _Starts:
    """Small work that starts: only so much of it in one iteration of the event loop."""

    __slots__ = ("_bytes_left", "_waiting")

    def __init__(self) -> None:
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._bytes_left = ITERATION_BYTES

    def ask(self, size: int, network: str | None) -> asyncio.Future[None] | None:
        """Return None if the work may start now, or a future that is done when it may."""
        size = max(size, MIN_START_BYTES)
        if self._bytes_left == ITERATION_BYTES:
            asyncio.get_running_loop().call_soon(self._next_iteration)
        if self._bytes_left > 0 and not self._waiting:
            self._bytes_left -= size
            return None
        start: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(start, network, size)
        return start

    def _next_iteration(self) -> None:
        self._bytes_left = ITERATION_BYTES
        while self._waiting and self._bytes_left > 0:
            start, size = self._waiting.pop()
            if not start.done():  # nobody cancelled it
                self._bytes_left -= size
                start.set_result(None)
        if self._bytes_left < ITERATION_BYTES:
            asyncio.get_running_loop().call_soon(self._next_iteration)


_starts = PerLoop(_Starts)


def turn_for(size: int, network: str | None) -> asyncio.Future[None] | None:
    """Tell when the work for a message, a body or a request may begin.

    Args:
        size: its received bytes; for a request, ``REQUEST_BYTES``.
        network: see ``next_turn``.

    Returns:
        None if the work may begin now, or a future that is done when it may.
    """
    return next_turn(network) if size > MAX_FREE_BYTES else _starts.get().ask(size, network)
