"""The table by which a search skips events: hashes of the rooms of each block of events.

A block is a run of consecutive events. Its summary has a hash of each of its rooms, so a block
without the hash of a room has no event of that room. Events never change, so a summary stays true
when the retention deletes some of its events. A missing summary costs only time: a file of an
earlier version has none at first, and an earlier version can use a file that has some.

The store's thread calls these functions.
"""

from __future__ import annotations

import zlib

import apsw

from sio_server.eventlog.sqlite import pieces

BLOCK_EVENTS = 250
"""How many events a block has at most. One read examines about as many."""

MAX_COMPARISONS = 100
"""How many hashes one search compares with summaries at most. An append that comes meanwhile waits
about 1 ms."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS block (
        last INTEGER PRIMARY KEY, first INTEGER NOT NULL, rooms BLOB NOT NULL
    ) STRICT
"""
"""``first``, ``last``: the seqs of the block. ``rooms``: the hashes, of four bytes each."""


def summarised_end(connection: apsw.Connection) -> int:
    """Return the seq of the last event that has a summary, or 0."""
    last: int | None = connection.execute("SELECT max(last) FROM block").get
    return last or 0


def summarise(connection: apsw.Connection, after: int, max_characters: int) -> int:
    """Write the summary of the events after a seq.

    Args:
        connection: a transaction has begun.
        after: the seq. The log has ``BLOCK_EVENTS`` later events.
        max_characters: the block ends early if its rooms are about so long.

    Returns:
        The seq of the block's last event.
    """
    names: set[str] = set()
    last, characters = after, 0
    for text in connection.execute(
        "SELECT rooms FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (after + 1, after + BLOCK_EVENTS),
    ):
        names.update(pieces.names_in(text[0]))
        last += 1
        characters += len(text[0])
        if characters >= max_characters:
            break
    summary = b"".join(sorted(set(map(_hash, names))))
    connection.execute("INSERT INTO block VALUES (?, ?, ?)", (last, after + 1, summary))
    return last


def skip(connection: apsw.Connection, after: int, rooms: frozenset[str]) -> int:
    """Return a seq, at least ``after``, up to which no later event has any of the rooms."""
    hashes = [*map(_hash, rooms)]
    blocks = connection.execute(
        "SELECT first, last, rooms FROM block WHERE last > ? ORDER BY last LIMIT ?",
        (after, MAX_COMPARISONS // len(hashes)),
    )
    for first, last, summary in blocks:
        if first > after + 1 or any(each in summary for each in hashes):
            break
        after = last
    return after


def forget(connection: apsw.Connection, oldest: int) -> None:
    """Delete the summaries of blocks up to a seq."""
    connection.execute("DELETE FROM block WHERE last <= ?", (oldest,))


def _hash(room: str) -> bytes:
    """Return four bytes. A chance match of other bytes in a summary costs one needless read."""
    return zlib.crc32(room.encode()).to_bytes(4, "big")
