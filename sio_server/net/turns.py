"""Fairness: how much work is done for one connection before the others have a turn.

Every door uses the same budget: requests, WebSocket frames and the packets of a polling body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import monotonic
from typing import TypeVar

TURN_SECONDS = 0.002
"""A turn ends after this time."""

TURN_BYTES = 65_536
"""A turn ends after this many received bytes."""

MIN_PIECE_BYTES = 2_048
"""Each piece of work counts as at least so many bytes: its handler may run later, in a task."""


Value = TypeVar("Value")


class Turn:
    """The turn of one connection. It begins when the object is made."""

    __slots__ = ("_bytes_left", "_end")

    def __init__(self) -> None:
        self._bytes_left = TURN_BYTES
        self._end = monotonic() + TURN_SECONDS

    def is_over(self, size: int) -> bool:
        """Count one piece of work of ``size`` received bytes; tell whether the turn is over."""
        self._bytes_left -= max(size, MIN_PIECE_BYTES)
        return self._bytes_left <= 0 or monotonic() >= self._end


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
            turn = Turn()
