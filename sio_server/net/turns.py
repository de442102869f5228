"""Fairness: how much work is done for one connection before the others have a turn.

Every door uses the same budget: requests, WebSocket frames and the packets of a polling body. Only
so much work starts in one iteration of the event loop. What comes in addition, and a connection
that has used its turn, waits in a queue. The next one is of the network that was served least. So
however many connections keep the server busy, they delay the others like one. Long work of a
network is served as if another network had sent it: behind a proxy, all clients are one network.
Long work that waits alone has at most half of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Hashable
from functools import partial
from math import floor, inf
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
"""The work for a larger message or body is long: it never starts in the iteration in which it came.
"""

ITERATION_BYTES = 32_768
"""So many bytes of messages, bodies and requests are handled in one iteration of the event loop:
about 5 ms of work. What exceeds them is missing in the next iterations."""

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


class _Starts:
    """Work that starts: only so much of it in one iteration of the event loop.

    After long work of a network, its further long work rests as long as that took, unless other
    work waits, too: then that has the time in between.
    """

    __slots__ = ("_bytes_left", "_is_planned", "_rest_ends", "_rests", "_waiting")

    def __init__(self) -> None:
        self._waiting: FairQueue[Callable[[], bool]] = FairQueue()
        self._bytes_left = ITERATION_BYTES
        self._is_planned = False
        self._rests: Hashable = None  # whose long work rests
        self._rest_ends = 0.0

    def may_begin(self, size: int) -> bool:
        """Tell whether work may begin now; if so, count it."""
        if size > MAX_FREE_BYTES or self._bytes_left <= 0 or self._waiting:
            return False
        self._count(size)
        return True

    def wait(self, size: int, network: str | None, begin: Callable[[], bool]) -> None:
        """Let work wait. ``begin`` begins it, or returns False if it is not wanted any more."""
        sender = (network, size > MAX_FREE_BYTES)
        self._waiting.add(begin, sender, max(size, MIN_START_BYTES))
        self._plan()

    def _count(self, size: int) -> None:
        self._bytes_left -= max(size, MIN_START_BYTES)
        self._plan()

    def _plan(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._next_iteration)

    def _next_iteration(self) -> None:
        self._is_planned = False
        self._bytes_left = min(ITERATION_BYTES, self._bytes_left + ITERATION_BYTES)
        while self._waiting and self._bytes_left > 0:
            if self._waiting.only_network(self._rests) and self._is_resting():
                return
            begin, sender, size = self._waiting.pop()
            began = monotonic()
            if begin():
                self._count(size)
                if size > MAX_FREE_BYTES:
                    self._begin_rest(sender, began)
        if self._bytes_left < ITERATION_BYTES or self._waiting:
            self._plan()

    def _is_resting(self) -> bool:
        """Tell whether the rest lasts, and go on at its end."""
        rest = self._rest_ends - monotonic()
        if 0 < rest < inf:
            asyncio.get_running_loop().call_later(rest, self._plan)
        return rest > 0

    def _begin_rest(self, sender: Hashable, began: float) -> None:
        """Let long work rest: now, while some of it is done, and then as long as that takes."""
        self._rests, self._rest_ends = sender, inf
        loop = asyncio.get_running_loop()
        # After the first steps of the tasks that this work makes.
        loop.call_soon(loop.call_soon, self._work_is_done, began)

    def _work_is_done(self, began: float) -> None:
        now = monotonic()
        self._rest_ends = now + floor((now - began) * 1e3) / 1e3
        self._plan()


_starts = PerLoop(_Starts)


def next_turn(network: str | None) -> asyncio.Future[None]:
    """Return a future that is done when the next turn of a connection begins.

    Args:
        network: the connection's network, see ``FairQueue``; None: it is not known.
    """
    return _wait(_starts.get(), TURN_BYTES, network)


def turn_for(size: int, network: str | None) -> asyncio.Future[None] | None:
    """Tell when the work for a message or a body may begin.

    Args:
        size: its received bytes. A larger one than a turn has more turns later.
        network: see ``next_turn``.

    Returns:
        None if the work may begin now, or a future that is done when it may.
    """
    starts, size = _starts.get(), min(size, TURN_BYTES)
    return None if starts.may_begin(size) else _wait(starts, size, network)


def _wait(starts: _Starts, size: int, network: str | None) -> asyncio.Future[None]:
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    starts.wait(size, network, partial(_wake, turn))
    return turn


def _wake(turn: asyncio.Future[None]) -> bool:
    if turn.done():  # it was cancelled
        return False
    turn.set_result(None)
    return True


def begin_in_turn(size: int, network: str | None, begin: Callable[[], object]) -> bool:
    """Tell whether work may begin now. If not, ``begin`` is called when it may.

    That is an iteration of the event loop earlier than a task that waits for ``turn_for``.

    Args:
        size: the received bytes; for a request, ``REQUEST_BYTES``.
        network: see ``next_turn``.
        begin: begins the work. The loop reports an exception of it.
    """
    starts, size = _starts.get(), min(size, TURN_BYTES)
    if starts.may_begin(size):
        return True
    starts.wait(size, network, partial(_begin, begin))
    return False


def _begin(begin: Callable[[], object]) -> bool:
    try:
        begin()
    except Exception as error:
        message = "work failed that waited for its turn"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
    return True
