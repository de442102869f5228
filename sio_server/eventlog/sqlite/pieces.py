"""The table of the pieces' last known states in the SQLite event log.

The store's thread calls these functions, within its transactions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

import apsw

from sio_server.eventlog.appending import AppendPlan, PieceState

_INDEX = "CREATE INDEX piece_seq ON piece (seq);"

SCHEMA = f"""
    CREATE TABLE piece (
        furniture_id TEXT NOT NULL PRIMARY KEY, rooms TEXT NOT NULL, seq INTEGER NOT NULL,
        furniture TEXT
    ) STRICT, WITHOUT ROWID;
    {_INDEX}
"""
"""``seq``: the piece's last event. ``furniture``: null if schema 3 has stored the piece."""

UPGRADE_FROM_2 = f"ALTER TABLE piece ADD COLUMN seq INTEGER NOT NULL DEFAULT 0; {_INDEX}"
"""The pieces of schema 2 count as the longest unchanged."""

UPGRADE_FROM_3 = """
    ALTER TABLE piece ADD COLUMN furniture TEXT;
    ALTER TABLE event ADD COLUMN former TEXT;
"""
"""The former states of pieces of schema 3 are unknown."""


def count(connection: apsw.Connection) -> int:
    """Return the number of pieces."""
    number: int = connection.execute("SELECT count(*) FROM piece").get
    return number


def last_state(connection: apsw.Connection, piece: str) -> PieceState | None:
    """Return a piece's last known state, or None."""
    row = connection.execute(
        "SELECT rooms, furniture FROM piece WHERE furniture_id = ?", (piece,)
    ).fetchone()
    return None if row is None else PieceState(decode_rooms(row[0]), row[1])


def latest_changed(
    connection: apsw.Connection, before: int, limit: int
) -> Iterator[tuple[int, str, PieceState]]:
    """Yield pieces whose last event is before a seq, the latest changed one first.

    Each comes with the seq of its last event, and with its ``furniture_id``.
    """
    rows = connection.execute(
        "SELECT seq, furniture_id, rooms, furniture FROM piece WHERE seq < ? "
        "ORDER BY seq DESC LIMIT ?",
        (before, limit),
    )
    for seq, piece, rooms, furniture in rows:
        yield seq, piece, PieceState(decode_rooms(rooms), furniture)


def write_states(connection: apsw.Connection, plan: AppendPlan) -> int:
    """Write the new last states of a plan. Return how many pieces it adds; below 0: removes."""
    before = connection.total_changes()
    connection.executemany(
        "DELETE FROM piece WHERE furniture_id = ?", [(piece,) for piece in plan.states]
    )
    deleted = connection.total_changes() - before
    rows = [
        (piece, encode_rooms(new.state.rooms), new.seq, new.state.furniture)
        for piece, new in plan.states.items()
        if new.state is not None
    ]
    connection.executemany("INSERT INTO piece VALUES (?, ?, ?, ?)", rows)
    return len(rows) - deleted


def forget_longest_unchanged(connection: apsw.Connection, number: int) -> None:
    """Delete this number of pieces: those whose last event is the oldest."""
    connection.execute(
        "DELETE FROM piece WHERE furniture_id IN "
        "(SELECT furniture_id FROM piece ORDER BY seq LIMIT ?)",
        (number,),
    )


# json.dumps would make an encoder for each call, which takes longer than the rooms.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_rooms(rooms: tuple[str, ...]) -> str:
    """Return the text that the tables have for rooms."""
    return _encode(rooms)


def decode_rooms(text: str) -> tuple[str, ...]:
    """Return the rooms of such a text."""
    return tuple(json.loads(text))


def names_in(text: str) -> Collection[str]:
    """Return the rooms of such a text, and maybe some texts that are no rooms. Mostly fast.

    Without a backslash, the text has nothing to decode: each name stands between two quotes. The
    commas between the names are no rooms.
    """
    return decode_rooms(text) if "\\" in text else text.split('"')


def has_any(text: str, rooms: frozenset[str]) -> bool:
    """Tell whether such a text has any of the rooms."""
    return not rooms.isdisjoint(names_in(text))
