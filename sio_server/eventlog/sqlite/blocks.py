"""The table of the summaries of blocks in the SQLite event log.

A file of an earlier version has none at first, and an earlier version can use a file that has some.
The store's thread calls these functions.
"""

from __future__ import annotations

import apsw

from sio_server.eventlog import summaries
from sio_server.eventlog.sqlite import pieces

SCHEMA = """
    CREATE TABLE IF NOT EXISTS block (
        last INTEGER PRIMARY KEY, first INTEGER NOT NULL, rooms BLOB NOT NULL
    ) STRICT
"""
"""``first``, ``last``: the seqs of the block. ``rooms``: its summary."""


def summarised_end(connection: apsw.Connection) -> int:
    """Return the seq of the last event that has a summary, or 0."""
    last: int | None = connection.execute("SELECT max(last) FROM block").get
    return last or 0


def summarise(connection: apsw.Connection, after: int, max_characters: int) -> int:
    """Write the summary of the events after a seq.

    Args:
        connection: a transaction has begun.
        after: the seq. The log has ``summaries.BLOCK_EVENTS`` later events.
        max_characters: the block ends early if its rooms are about so long.

    Returns:
        The seq of the block's last event.
    """
    names: set[str] = set()
    last, characters = after, 0
    for text in connection.execute(
        "SELECT rooms FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (after + 1, after + summaries.BLOCK_EVENTS),
    ):
        names.update(pieces.names_in(text[0]))
        last += 1
        characters += len(text[0])
        if characters >= max_characters:
            break
    row = last, after + 1, summaries.summary(names)
    connection.execute("INSERT INTO block VALUES (?, ?, ?)", row)
    return last


def skip(connection: apsw.Connection, after: int, rooms: frozenset[str]) -> int:
    """Return a seq, at least ``after``, up to which no later event has any of the rooms."""
    hashes = summaries.hashes(rooms)
    blocks = connection.execute(
        "SELECT first, last, rooms FROM block WHERE last > ? ORDER BY last LIMIT ?",
        (after, summaries.max_blocks(rooms)),
    )
    for first, last, summary in blocks:
        if first > after + 1 or any(each in summary for each in hashes):
            break
        after = last
    return after


def forget(connection: apsw.Connection, oldest: int) -> None:
    """Delete the summaries of blocks up to a seq."""
    connection.execute("DELETE FROM block WHERE last <= ?", (oldest,))
