"""Tails: how a log hands what is new to those who follow it. Pure asyncio, no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar
from weakref import WeakSet

Item = TypeVar("Item")


class Tail(AsyncIterator[list[Item]]):
    """What is new since this tail was opened, in order, for one consumer.

    It holds what was not taken yet; what has come meanwhile is one batch. A tail that nobody
    refers to any more is forgotten.
    """

    def __init__(self, ended: bool = False) -> None:
        self._items: list[Item] = []
        self._stirred = asyncio.Event()
        self._ended = ended

    async def __anext__(self) -> list[Item]:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._stirred.clear()
            await self._stirred.wait()
        batch, self._items = self._items, []
        return batch

    def extend(self, items: Iterable[Item]) -> None:
        """Add items; their consumer's turn comes before that of whatever is scheduled next."""
        self._items.extend(items)
        self._stirred.set()

    def clear(self) -> None:
        """Forget the items that were not taken yet."""
        self._items.clear()

    def end(self) -> None:
        """Let the iteration stop after the items it still holds."""
        self._ended = True
        self._stirred.set()


class Tails(Generic[Item]):
    """All the tails of one log."""

    def __init__(self) -> None:
        self._tails: WeakSet[Tail[Item]] = WeakSet()
        self._ended = False

    def open(self) -> Tail[Item]:
        """Return a tail of every item published from now on."""
        tail: Tail[Item] = Tail(self._ended)
        self._tails.add(tail)
        return tail

    def publish(self, items: Iterable[Item]) -> None:
        """Give every tail the items. To call before their appenders are answered."""
        for tail in list(self._tails):
            tail.extend(items)

    def clear(self) -> None:
        """Let every tail forget what was not taken of it yet."""
        for tail in list(self._tails):
            tail.clear()

    def end(self) -> None:
        """End every tail, also those that are opened later."""
        self._ended = True
        for tail in list(self._tails):
            tail.end()
