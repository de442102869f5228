"""The SQL statements of the SQLite event log, on one connection that one thread uses.

The store keeps the bounds of the log in memory. They change only after the commit that changes the
file. The store answers no caller and retries nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import apsw

from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import CATALOG
from sio_server.eventlog import reading
from sio_server.eventlog.appending import AppendPlan
from sio_server.eventlog.contract import Bounds, Page, Retention
from sio_server.eventlog.sqlite.sessions import (
    MAX_DELETED_SESSIONS,
    SessionChange,
    delete_expired,
    mark_all_left,
)

MAX_TRIMMED_EVENTS = 500
"""How many events beyond the retention one trimming step deletes at most."""

MAX_ROOM_COMPARISONS = 20_000
"""How many times one read compares an event's rooms with a requested room, about, at most."""

_SPARE_PAGES = 1_000
"""The file keeps at least this many unused pages for the next events, if it has them."""

_MAX_SHRINK_PAGES = 200
"""How many unused pages one step gives back to the disk at most."""

_READ = """
    SELECT seq, type, rooms, body FROM event
    WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?
"""
_READ_ROOMS = """
    WITH requested AS MATERIALIZED (SELECT value FROM json_each(?))
    SELECT seq, type, rooms, body FROM event
    WHERE seq BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM requested WHERE instr(rooms, value))
    ORDER BY seq LIMIT ?
"""


class _LogState(NamedTuple):
    """The state of the log in the file: the bounds of its seqs and its last timestamp."""

    oldest: int
    end: int
    milliseconds: int


class SqliteStore:
    """The log in an open file.

    To change it, call ``begin``; then ``write`` with a plan of ``new_plan``, or
    ``change_sessions``, or both; then ``commit``.

    Args:
        connection: from ``open_file`` or ``reopen_file``.
        retention: the bounds of the log.
        clock: returns the seconds since the Unix epoch.

    Attributes:
        journal_pages: the journal's size after the last commit; 0 after a checkpoint.
    """

    def __init__(
        self, connection: apsw.Connection, retention: Retention, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._retention = retention
        self._clock = clock
        self._epoch, end, milliseconds = self._row("SELECT epoch, seq, milliseconds FROM log")
        (first,) = self._row("SELECT min(seq) FROM event")
        self._state = _LogState(end if first is None else first - 1, end, milliseconds)
        self._next_state = self._state
        self.journal_pages = 0
        self._synced = True  # as the file was opened
        connection.set_wal_hook(self._count_journal)

    @property
    def position(self) -> Offset:
        """The log's end."""
        return Offset(self._epoch, self._state.end)

    def mark_sessions_left(self) -> None:
        """Mark the owners of all sessions as gone, because the server has just started."""
        self.begin()
        mark_all_left(self._connection, self._now())
        self.commit()

    def close(self) -> None:
        """Write everything into the one file and close it."""
        self._connection.close()

    def discard(self) -> None:
        """Close the file as it is after a failure, so that the next opening shows the truth.

        A checkpoint here would throw away the journal's pages of a commit that failed.
        """
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close(True)

    # Changing.

    def begin(self, *, synced: bool = True) -> None:
        """Begin a transaction.

        Args:
            synced: whether the commit waits until the disk has it. Otherwise the next commit that
                waits syncs this one too.
        """
        if synced != self._synced:
            self._execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        self._execute("BEGIN IMMEDIATE")
        self._next_state = self._state

    def change_sessions(self, change: SessionChange) -> Any:
        """Change the sessions and return the result of the change."""
        return change(self._connection, self._now())

    def new_plan(self) -> AppendPlan:
        """Return an empty plan for an append at the log's end."""
        return AppendPlan(
            self.position,
            max(self._state.milliseconds, self._now()),
            find=self._find,
            last_state=self._last_state,
        )

    def write(self, plan: AppendPlan) -> None:
        """Write a plan, and delete at most as many events as it adds, if beyond the retention."""
        milliseconds = plan.milliseconds
        self._connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    record.offset.seq,
                    milliseconds,
                    event_id,
                    record.type,
                    _encode(record.rooms),
                    record.body,
                )
                for event_id, record in plan.records.items()
            ],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO piece VALUES (?, ?)",
            [(piece, _encode(rooms)) for piece, rooms in plan.states.items() if rooms is not None],
        )
        self._connection.executemany(
            "DELETE FROM piece WHERE furniture_id = ?",
            [(piece,) for piece, rooms in plan.states.items() if rooms is None],
        )
        end = self._state.end + len(plan.records)
        self._execute("UPDATE log SET seq = ?, milliseconds = ?", end, milliseconds)
        deleted = self._delete_old_events(len(plan.records), end)
        self._next_state = _LogState(self._state.oldest + deleted, end, milliseconds)

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            apsw.Error: the commit failed; only the file shows whether it was stored.
        """
        self._execute("COMMIT")
        self._state = self._next_state

    # Reading.

    def bounds(self) -> Bounds:
        """Return the log's bounds; read the file first, to see that it can be read."""
        self._execute("SELECT seq FROM event ORDER BY seq DESC LIMIT 1")
        return self._bounds()

    def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read as the log's ``read`` does."""
        bounds = self._bounds()
        if rooms is not None and CATALOG in rooms:
            rooms = None
        max_examined_events = min(
            reading.MAX_EXAMINED_EVENTS,
            MAX_ROOM_COMPARISONS // len(rooms) + 1 if rooms else limit,
        )
        seqs = reading.plan(after, rooms, limit, bounds, max_examined_events)
        if isinstance(seqs, Page):
            return seqs
        parameters = seqs[0], seqs[-1], limit
        if rooms is None:
            rows = self._connection.execute(_READ, parameters)
        else:
            rows = self._connection.execute(_READ_ROOMS, (_encode_requested(rooms), *parameters))
        return reading.page(map(self._record, rows), seqs, limit, bounds)

    # Keeping the file small.

    def trim(self) -> bool:
        """Delete some events and sessions beyond the retention; tell whether there may be more."""
        self.begin()
        events = self._delete_old_events(MAX_TRIMMED_EVENTS, self._state.end)
        self._next_state = self._state._replace(oldest=self._state.oldest + events)
        sessions = delete_expired(self._connection, self._oldest_milliseconds())
        self.commit()
        return events == MAX_TRIMMED_EVENTS or sessions == MAX_DELETED_SESSIONS

    def shrink(self) -> bool:
        """Give some unused pages back to the disk, if there are many; tell whether it did."""
        (free,) = self._row("PRAGMA freelist_count")
        (pages,) = self._row("PRAGMA page_count")
        if free <= max(_SPARE_PAGES, pages // 4):
            return False
        self._connection.execute(f"PRAGMA incremental_vacuum({_MAX_SHRINK_PAGES})").fetchall()
        self.checkpoint()  # only this makes the file smaller
        return True

    def checkpoint(self) -> None:
        """Write the journal's pages into the database, synced, and restart the journal."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        self.journal_pages = 0

    def _delete_old_events(self, max_events: int, end: int) -> int:
        self._execute(
            "DELETE FROM event WHERE seq <= ? AND (seq <= ? OR milliseconds < ?)",
            self._state.oldest + max_events,
            end - self._retention.events,
            self._oldest_milliseconds(),
        )
        return self._connection.changes()

    def _bounds(self) -> Bounds:
        return reading.bounds(self._epoch, self._state.oldest, self._state.end)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _oldest_milliseconds(self) -> int:
        return int((self._clock() - self._retention.seconds) * 1000)

    def _find(self, id: str) -> Record | None:
        row = self._connection.execute(
            "SELECT seq, type, rooms, body FROM event WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else self._record(row)

    def _last_state(self, piece: str) -> Iterable[str]:
        row = self._connection.execute(
            "SELECT rooms FROM piece WHERE furniture_id = ?", (piece,)
        ).fetchone()
        return () if row is None else _decode(row[0])

    def _record(self, row: tuple[Any, ...]) -> Record:
        seq, event_type, rooms, body = row
        return Record(Offset(self._epoch, seq), event_type, _decode(rooms), body)

    def _count_journal(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.journal_pages = pages
        return apsw.SQLITE_OK

    def _execute(self, sql: str, *values: int) -> None:
        self._connection.execute(sql, values).fetchall()

    def _row(self, sql: str) -> tuple[Any, ...]:
        return self._connection.execute(sql).fetchall()[0]


# The rooms of an event are stored as a JSON array, with each name on its own line. JSON escapes
# line ends within names. So a search for a name with its line ends matches whole names only.


def _encode(rooms: Iterable[str]) -> str:
    return "[" + ",".join(map(_line, rooms)) + "]"


def _decode(rooms: str) -> tuple[str, ...]:
    return tuple(json.loads(rooms))


def _encode_requested(rooms: Iterable[str]) -> str:
    return json.dumps([_line(name) for name in rooms])


def _line(name: str) -> str:
    return f"\n{json.dumps(name)}\n"
