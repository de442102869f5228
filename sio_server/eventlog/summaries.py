"""Summaries of blocks of events, by which a search skips events: hashes of their rooms.

A block is a run of consecutive events. Its summary has a hash of each of its rooms, so a block
without the hash of a room has no event of that room. Events never change, so a summary stays true
when the retention removes some of its events. A missing summary costs only time. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection

BLOCK_EVENTS = 250
"""How many events a block has at most. One read examines about as many."""

MAX_COMPARISONS = 100
"""How many hashes one read compares with summaries at most. An append that comes meanwhile waits
about 1 ms."""


def summary(rooms: Collection[str]) -> bytes:
    """Return the summary of a block: the sorted hashes of its rooms."""
    return b"".join(sorted({*hashes(rooms)}))


def hashes(rooms: Collection[str]) -> list[bytes]:
    """Return four bytes for each room. A chance match in a summary costs one needless read."""
    return [zlib.crc32(room.encode()).to_bytes(4, "big") for room in rooms]


def max_blocks(rooms: Collection[str]) -> int:
    """Return in how many summaries one read looks for these rooms at most; 0 if they are many."""
    return MAX_COMPARISONS // len(rooms) if rooms else 0
