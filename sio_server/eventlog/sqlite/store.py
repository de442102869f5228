"""The SQLite event log's statements: one connection, used by one thread.

What the store remembers of its file (where the log ends, what is the oldest) changes only after
the commit that changes the file. It answers nobody and retries nothing.
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
from sio_server.eventlog.sqlite.sessions import FORGOTTEN, Change, forget, leave_all

TRIMMED = 500
"""How many events beyond the retention go in a step of their own."""

_MATCHES = 20_000
"""How many comparisons of an event's rooms with a room asked for one read may cost."""

_SHRINK_PAGES = 1_000
_SHRINK_STEP = 200

_READ = """
    SELECT seq, type, rooms, body FROM event
    WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?
"""
_READ_ROOMS = """
    WITH asked AS MATERIALIZED (SELECT value FROM json_each(?))
    SELECT seq, type, rooms, body FROM event
    WHERE seq BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM asked WHERE instr(rooms, value))
    ORDER BY seq LIMIT ?
"""


class _Marks(NamedTuple):
    """What the file says of the log: the seqs it keeps and its last timestamp."""

    oldest: int
    end: int
    milliseconds: int


class Store:
    """The log in an open file.

    Args:
        connection: of ``open_file`` or ``reopen_file``.
        retention: how long events are kept.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self, connection: apsw.Connection, retention: Retention, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._retention = retention
        self._clock = clock
        self._epoch, end, milliseconds = self._row("SELECT epoch, seq, milliseconds FROM log")
        (first,) = self._row("SELECT min(seq) FROM event")
        self._marks = _Marks(end if first is None else first - 1, end, milliseconds)
        self._next_marks = self._marks
        self.journal_pages = 0
        self._synced = True  # as the file was opened
        connection.set_wal_hook(self._count_journal)

    @property
    def position(self) -> Offset:
        """The log's end."""
        return Offset(self._epoch, self._marks.end)

    def leave_sessions(self) -> None:
        """Note that nobody is connected: the server has just started."""
        self.begin()
        leave_all(self._connection, self._now())
        self.commit()

    def close(self) -> None:
        """Bring everything into the one file and let it go."""
        self._connection.close()

    def discard(self) -> None:
        """Let the file go as it is after a failure, so that opening it again shows the truth.

        A checkpoint here would throw away what a failed commit had written to the journal.
        """
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close(True)

    # Changing: begin, then new_step and write for events, rewrite for sessions, then commit.

    def begin(self, *, synced: bool = True) -> None:
        """Begin a transaction.

        Args:
            synced: its commit waits for the disk; otherwise the next one that does syncs it too.
        """
        if synced != self._synced:
            self._execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        self._execute("BEGIN IMMEDIATE")
        self._next_marks = self._marks

    def rewrite(self, change: Change) -> Any:
        """Change the sessions; return what the change does."""
        return change(self._connection, self._now())

    def new_plan(self) -> AppendPlan:
        """Return an empty step at the log's end."""
        return AppendPlan(
            self.position,
            max(self._marks.milliseconds, self._now()),
            find=self._find,
            last_state=self._last_state,
        )

    def write(self, step: AppendPlan) -> None:
        """Write the step, and trim as many events as it adds."""
        milliseconds = step.milliseconds
        self._connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
            [
                (it.offset.seq, milliseconds, event_id, it.type, _encode(it.rooms), it.body)
                for event_id, it in step.records.items()
            ],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO piece VALUES (?, ?)",
            [(piece, _encode(rooms)) for piece, rooms in step.states.items() if rooms is not None],
        )
        self._connection.executemany(
            "DELETE FROM piece WHERE furniture_id = ?",
            [(piece,) for piece, rooms in step.states.items() if rooms is None],
        )
        end = self._marks.end + len(step.records)
        self._execute("UPDATE log SET seq = ?, milliseconds = ?", end, milliseconds)
        self._next_marks = _Marks(
            self._marks.oldest + self._delete(len(step.records), end), end, milliseconds
        )

    def commit(self) -> None:
        """Commit; where this raises, the file alone knows whether it did."""
        self._execute("COMMIT")
        self._marks = self._next_marks

    # Reading.

    def bounds(self) -> Bounds:
        """Return the log's bounds, once the file has shown that it can be read."""
        self._execute("SELECT seq FROM event ORDER BY seq DESC LIMIT 1")
        return reading.bounds(self._epoch, self._marks.oldest, self._marks.end)

    def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read as the log's ``read`` does."""
        kept = reading.bounds(self._epoch, self._marks.oldest, self._marks.end)
        if rooms is not None and CATALOG in rooms:
            rooms = None
        examined = min(reading.MAX_EXAMINED_EVENTS, _MATCHES // len(rooms) + 1 if rooms else limit)
        seqs = reading.plan(after, rooms, limit, kept, examined)
        if isinstance(seqs, Page):
            return seqs
        between = seqs[0], seqs[-1], limit
        if rooms is None:
            rows = self._connection.execute(_READ, between)
        else:
            rows = self._connection.execute(_READ_ROOMS, (_encode_asked(rooms), *between))
        return reading.page(map(self._record, rows), seqs, limit, kept)

    # Keeping the file small.

    def trim(self) -> bool:
        """Take a step in deleting what is beyond the retention; True where more may have to go."""
        self.begin()
        deleted = self._delete(TRIMMED, self._marks.end)
        self._next_marks = self._marks._replace(oldest=self._marks.oldest + deleted)
        forgotten = forget(self._connection, self._kept_since())
        self.commit()
        return deleted == TRIMMED or forgotten == FORGOTTEN

    def shrink(self) -> bool:
        """Take a step in giving unused pages back to the disk; True where there are more.

        Some stay, for the events to come.
        """
        (free,) = self._row("PRAGMA freelist_count")
        (pages,) = self._row("PRAGMA page_count")
        if free <= max(_SHRINK_PAGES, pages // 4):
            return False
        self._connection.execute(f"PRAGMA incremental_vacuum({_SHRINK_STEP})").fetchall()
        self.checkpoint()  # only this makes the file smaller
        return True

    def checkpoint(self) -> None:
        """Bring the journal's pages into the database, synced, and begin the journal anew."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        self.journal_pages = 0

    def _delete(self, at_most: int, end: int) -> int:
        self._execute(
            "DELETE FROM event WHERE seq <= ? AND (seq <= ? OR milliseconds < ?)",
            self._marks.oldest + at_most,
            end - self._retention.events,
            self._kept_since(),
        )
        return self._connection.changes()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _kept_since(self) -> int:
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


# An event's rooms are stored as a JSON array with a line of its own for each name. JSON escapes
# line ends within names, so a name between two of them is found whole or not at all.


def _encode(rooms: Iterable[str]) -> str:
    return "[" + ",".join(map(_line, rooms)) + "]"


def _decode(rooms: str) -> tuple[str, ...]:
    return tuple(json.loads(rooms))


def _encode_asked(rooms: Iterable[str]) -> str:
    return json.dumps([_line(name) for name in rooms])


def _line(name: str) -> str:
    return f"\n{json.dumps(name)}\n"
