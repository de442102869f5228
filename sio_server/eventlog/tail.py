"""Tails: how a log hands each appended record to those who follow it. Pure asyncio, no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from weakref import WeakSet

from sio_server.events import Record


class Tail(AsyncIterator[list[Record]]):
    """The records appended since this tail was opened, for one consumer.

    It holds what was not taken yet; what has come meanwhile is one batch. A tail that nobody
    refers to any more is forgotten.
    """

    def __init__(self, ended: bool = False) -> None:
        self._records: list[Record] = []
        self._stirred = asyncio.Event()
        self._ended = ended

    async def __anext__(self) -> list[Record]:
        while not self._records:
            if self._ended:
                raise StopAsyncIteration
            self._stirred.clear()
            await self._stirred.wait()
        batch, self._records = self._records, []
        return batch

    def extend(self, records: Iterable[Record]) -> None:
        """Add records; their consumer's turn comes before that of whatever is scheduled next."""
        self._records.extend(records)
        self._stirred.set()

    def end(self) -> None:
        """Let the iteration stop after the records it still holds."""
        self._ended = True
        self._stirred.set()


class Tails:
    """All the tails of one log."""

    def __init__(self) -> None:
        self._tails: WeakSet[Tail] = WeakSet()
        self._ended = False

    def open(self) -> Tail:
        """Return a tail of every record published from now on."""
        tail = Tail(self._ended)
        self._tails.add(tail)
        return tail

    def publish(self, records: Iterable[Record]) -> None:
        """Give every tail the records. To call before their appenders are answered."""
        for tail in list(self._tails):
            tail.extend(records)

    def end(self) -> None:
        """End every tail, also those that are opened later."""
        self._ended = True
        for tail in list(self._tails):
            tail.end()
