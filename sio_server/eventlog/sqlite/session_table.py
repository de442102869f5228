"""The SQL statements of the SQLite session store, on the connection that the log's thread uses.

The table counts the stored sessions in memory. It counts them in the file when it is made, and then
with each change. If a transaction fails, the file is opened again, and a new table counts again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import apsw

from sio_server.contract.errors import SessionsFull
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import (
    BRIEF_SECONDS,
    SessionContent,
    room_bytes,
    session_bytes,
)

MAX_DROPPED_SESSIONS = 500
"""How many sessions one step drops at most."""

MAX_DROPPED_BYTES = 262144
"""A step ends when it has dropped sessions of this length, so that it delays no event for long."""


class _Row(NamedTuple):
    """A row of the table."""

    id: int
    owner: str
    identity: str
    data: str
    bytes: int
    created: int
    gone: int | None


class SessionTable:
    """The stored sessions. Its methods are called within a transaction.

    Args:
        connection: the log's open file.
        retention: how long a session lives after its owner has left, and the bounds.
    """

    def __init__(self, connection: apsw.Connection, retention: Retention) -> None:
        self._connection = connection
        self._lifetime = int(retention.seconds * 1000)
        self._max_sessions = retention.sessions
        self._max_bytes = retention.session_bytes
        self._count()

    def _count(self) -> None:
        ((sessions, bytes_left, bytes_connected, departure),) = self._connection.execute(
            "SELECT count(gone), coalesce(sum(bytes) FILTER (WHERE gone IS NOT NULL), 0), "
            "coalesce(sum(bytes) FILTER (WHERE gone IS NULL), 0), coalesce(max(departure), 0) "
            "FROM session"
        )
        self._sessions_left: int = sessions
        self._bytes_left: int = bytes_left
        self._bytes_connected: int = bytes_connected
        self._departure: int = departure

    # The calls of the contract. All of them take the time in milliseconds since the Unix epoch.

    def create(
        self, now: int, key: str, owner: str, identity: str, data: str, rooms: Mapping[str, int]
    ) -> bool:
        """Store a new session, as the contract says."""
        row = self._find(now, key)
        if row is not None:
            return row.owner == owner
        length = session_bytes(identity, data, rooms)
        if not self._has_space(length):
            return False
        self._connection.execute(
            "INSERT INTO session (key, owner, identity, data, bytes, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (key, owner, identity, data, length, now),
        )
        self._add_rooms(self._connection.last_insert_rowid(), rooms)
        self._bytes_connected += length
        return True

    def claim(
        self, now: int, key: str, owner: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> SessionContent | None:
        """Give a session a new owner, as the contract says."""
        row = self._find(now, key)
        if row is None or row.identity != identity:
            return None
        rooms: dict[str, int] = dict(
            self._connection.execute(
                "SELECT room, seq FROM session_room WHERE session = ?", (row.id,)
            )
        )
        if not allowed.allows_all(rooms):
            return None
        if row.gone is not None:
            if self._bytes_connected + row.bytes > self._max_bytes:
                return None
            self._uncount(row)
            self._bytes_connected += row.bytes
        self._connection.execute(
            "UPDATE session SET owner = ?, gone = NULL, brief = NULL, departure = NULL "
            "WHERE id = ?",
            (owner, row.id),
        )
        return SessionContent(row.data, rooms)

    def change(
        self, now: int, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool | SessionsFull:
        """Change a session's rooms, as the contract says; return the error if it is refused."""
        row = self._find(now, key)
        if row is None or row.owner != owner or row.gone is not None:
            return False
        growth = self._growth(row.id, added, removed)
        if growth > 0 and not self._has_space(growth):
            return SessionsFull()
        self._change_rooms(row.id, added, removed)
        if growth:
            self._connection.execute(
                "UPDATE session SET bytes = bytes + ? WHERE id = ?", (growth, row.id)
            )
        self._bytes_connected += growth
        return True

    def leave(
        self,
        now: int,
        key: str,
        owner: str,
        data: str,
        added: Mapping[str, int],
        removed: Collection[str],
    ) -> bool:
        """Replace the data, change the rooms and start the lifetime, as the contract says."""
        row = self._find(now, key)
        if row is None or row.owner != owner:
            return False
        self._uncount(row)
        length = row.bytes + len(data.encode()) - len(row.data.encode())
        length += self._growth(row.id, added, removed)
        self._change_rooms(row.id, added, removed)
        self._departure += 1
        self._connection.execute(
            "UPDATE session SET data = ?, bytes = ?, gone = ?, brief = ?, departure = ? "
            "WHERE id = ?",
            (data, length, now, _is_brief(now, row.created), self._departure, row.id),
        )
        self._sessions_left += 1
        self._bytes_left += length
        return True

    def end(self, now: int, key: str, owner: str) -> bool:
        """Delete a session, as the contract says."""
        row = self._find(now, key)
        if row is None or row.owner != owner:
            return False
        self._drop(row)
        return True

    # Dropping.

    def trim(self, now: int) -> bool:
        """Drop some sessions that are expired or beyond the bounds; tell whether there may be more.

        The step is bounded: see ``MAX_DROPPED_SESSIONS`` and ``MAX_DROPPED_BYTES``.
        """
        sessions = length = 0
        while (row := self._next_to_drop(now)) is not None:
            if sessions == MAX_DROPPED_SESSIONS or length >= MAX_DROPPED_BYTES:
                return True
            self._drop(row)
            sessions += 1
            length += row.bytes
        return False

    def count_left(self) -> int:
        """Return how many sessions are kept for owners that have left."""
        return self._sessions_left

    def mark_all_left(self, now: int) -> None:
        """Mark the owners of a server that has ended as gone since ``now``."""
        self._connection.execute(
            "UPDATE session SET gone = :now, brief = (:now - created < :brief), "
            "departure = :departure WHERE gone IS NULL",
            {"now": now, "brief": BRIEF_SECONDS * 1000, "departure": self._departure + 1},
        )
        self._count()

    # Within a call.

    def _select(self, condition: str, value: str | int) -> _Row | None:
        row = self._connection.execute(
            f"SELECT {', '.join(_Row._fields)} FROM session WHERE {condition} LIMIT 1",  # noqa: S608
            (value,),
        ).fetchone()
        return None if row is None else _Row(*row)

    def _find(self, now: int, key: str) -> _Row | None:
        row = self._select("key = ?", key)
        if row is not None and self._is_expired(now, row):
            self._drop(row)
            return None
        return row

    def _next_to_drop(self, now: int) -> _Row | None:
        brief, other = (self._select("brief = ? ORDER BY departure", brief) for brief in (1, 0))
        for row in (brief, other):
            if row is not None and self._is_expired(now, row):
                return row
        return (brief or other) if self._is_beyond_bounds() else None

    def _is_expired(self, now: int, row: _Row) -> bool:
        return row.gone is not None and row.gone < now - self._lifetime

    def _is_beyond_bounds(self) -> bool:
        return self._sessions_left > self._max_sessions or self._bytes_left > self._max_bytes

    def _has_space(self, length: int) -> bool:
        """Tell whether connected sessions may grow, also if sessions are still to be dropped."""
        connected = self._bytes_connected + length
        return connected <= self._max_bytes and connected + self._bytes_left <= 2 * self._max_bytes

    def _uncount(self, row: _Row) -> None:
        if row.gone is None:
            self._bytes_connected -= row.bytes
        else:
            self._sessions_left -= 1
            self._bytes_left -= row.bytes

    def _drop(self, row: _Row) -> None:
        self._uncount(row)
        self._connection.execute("DELETE FROM session_room WHERE session = ?", (row.id,))
        self._connection.execute("DELETE FROM session WHERE id = ?", (row.id,))

    def _has_room(self, session: int, room: str) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM session_room WHERE session = ? AND room = ?", (session, room)
        )
        return found.fetchone() is not None

    def _growth(self, session: int, added: Mapping[str, int], removed: Collection[str]) -> int:
        return sum(room_bytes(room) for room in added if not self._has_room(session, room)) - sum(
            room_bytes(room) for room in removed if self._has_room(session, room)
        )

    def _change_rooms(
        self, session: int, added: Mapping[str, int], removed: Collection[str]
    ) -> None:
        self._add_rooms(session, added)
        self._connection.executemany(
            "DELETE FROM session_room WHERE session = ? AND room = ?",
            [(session, room) for room in removed],
        )

    def _add_rooms(self, session: int, rooms: Mapping[str, int]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO session_room VALUES (?, ?, ?)",
            [(session, _copied(room), rooms[room]) for room in sorted(rooms)],
        )


def _copied(room: str) -> str:
    """Return a copy. A text that SQLite has read keeps its UTF-8 as long as it lives."""
    return room if room.isascii() else room.encode().decode()


def _is_brief(now: int, created: int) -> bool:
    return now - created < BRIEF_SECONDS * 1000
