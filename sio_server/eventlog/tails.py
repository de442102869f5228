"""Tails: they pass the new items of a log to its consumers. Pure asyncio, no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar
from weakref import WeakSet

Item = TypeVar("Item")


class Tail(AsyncIterator[list[Item]]):
    """The items since this tail was opened, in order, for one consumer.

    The tail holds the items that its consumer has not taken yet, and yields them as one batch. A
    tail to which no reference is left is garbage-collected.

    Args:
        ended: whether the log is closed already, so that the iteration stops at once.
    """

    def __init__(self, ended: bool = False) -> None:
        self._items: list[Item] = []
        self._changed = asyncio.Event()
        self._ended = ended

    async def __anext__(self) -> list[Item]:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        batch, self._items = self._items, []
        return batch

    def extend(self, items: Iterable[Item]) -> None:
        """Add items and wake the consumer, which then runs before anything scheduled later."""
        self._items.extend(items)
        self._changed.set()

    def clear(self) -> None:
        """Drop the items that the consumer has not taken yet."""
        self._items.clear()

    def end(self) -> None:
        """Stop the iteration after the items that the tail still holds."""
        self._ended = True
        self._changed.set()


class Tails(Generic[Item]):
    """All tails of one log."""

    def __init__(self) -> None:
        self._tails: WeakSet[Tail[Item]] = WeakSet()
        self._ended = False

    def open(self) -> Tail[Item]:
        """Return a tail of all items that are published from now on."""
        tail: Tail[Item] = Tail(self._ended)
        self._tails.add(tail)
        return tail

    def publish(self, items: Iterable[Item]) -> None:
        """Add items to every tail. A log calls this before it answers the append."""
        for tail in list(self._tails):
            tail.extend(items)

    def clear(self) -> None:
        """Drop the items that no consumer has taken yet, in every tail."""
        for tail in list(self._tails):
            tail.clear()

    def end(self) -> None:
        """End every tail, including the tails that are opened later."""
        self._ended = True
        for tail in list(self._tails):
            tail.end()
