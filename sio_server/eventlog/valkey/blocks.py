"""Makes the summaries of blocks from the events that a node follows, and finds the missing ones.

Every node makes every block that it has followed whole, and offers it with its next sweep. The log
takes each block once, from whichever node comes first. All nodes make the same blocks: a block ends
at a multiple of ``BLOCK_EVENTS``. No I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from sio_server.contract.events import Offset, Record
from sio_server.eventlog import summaries
from sio_server.eventlog.contract import Page

MAX_WAITING = 100
"""How many blocks wait at most. Beyond it, the oldest are dropped, and read again from the log."""

MAX_OFFERED = 20
"""How many blocks one sweep offers at most."""


class Block(NamedTuple):
    """A block: the seqs of its first and its last event, and its summary."""

    first: int
    last: int
    summary: bytes


class Blocks:
    """The blocks of one node."""

    def __init__(self) -> None:
        self._position = Offset("", 0)
        self._rooms: set[str] | None = None  # of the present block; None: not known from its start
        self._waiting: deque[Block] = deque(maxlen=MAX_WAITING)

    @property
    def epoch(self) -> str:
        """The epoch of the blocks."""
        return self._position.epoch

    def start_after(self, position: Offset) -> None:
        """Forget everything: the next records follow this position."""
        self._position = position
        self._rooms = None
        self._waiting.clear()

    def follow(self, records: Sequence[Record]) -> None:
        """Take the next records of the tail."""
        size = summaries.BLOCK_EVENTS
        for record in records:
            seq = record.offset.seq
            if seq % size == 1:
                self._rooms = set()
            if self._rooms is not None:
                self._rooms.update(record.rooms)
                if seq % size == 0:
                    self._waiting.append(_block(seq - size + 1, seq, self._rooms))
        self._position = records[-1].offset

    def offered(self) -> list[Block]:
        """Return the blocks that the next sweep offers to the log."""
        return list(islice(self._waiting, MAX_OFFERED))

    def missing(self, first: Offset) -> int:
        """Find a block that nobody will offer, so that this node reads it and adds it.

        Args:
            first: the first event that has no block in the log.

        Returns:
            How many events to read from there on; 0: none.
        """
        if first.epoch != self.epoch:
            return 0
        while self._waiting and self._waiting[0].last < first.seq:
            self._waiting.popleft()
        if self._waiting and self._waiting[0].first <= first.seq:
            return 0
        size = summaries.BLOCK_EVENTS
        last = -(-first.seq // size) * size
        # The nodes that have followed a block offer it before the next one is complete, mostly.
        return last - first.seq + 1 if last + size <= self._position.seq else 0

    def add(self, first: int, page: Page) -> None:
        """Take a block that was read from the log."""
        rooms = {room for record in page.records for room in record.rooms}
        self._waiting.appendleft(_block(first, page.position.seq, rooms))


def _block(first: int, last: int, rooms: set[str]) -> Block:
    return Block(first, last, summaries.summary(rooms))
