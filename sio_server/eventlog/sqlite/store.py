"""The SQL statements of the SQLite event log, on one connection that one thread uses.

The store keeps the bounds of the log in memory. They change only after the commit that changes the
file. The store answers no caller and retries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apsw

from sio_server.contract.events import Offset, Record
from sio_server.eventlog import reading, summaries
from sio_server.eventlog.appending import AppendPlan
from sio_server.eventlog.clock import LogClock
from sio_server.eventlog.contract import Bounds, Page, PiecePage, Retention
from sio_server.eventlog.sqlite import blocks
from sio_server.eventlog.sqlite import pieces as pieces_table
from sio_server.eventlog.sqlite.revocation_table import RevocationTable
from sio_server.eventlog.sqlite.session_table import SessionTable
from sio_server.eventlog.sqlite.tables import TableChange, Tables

MAX_TRIMMED_EVENTS = 500
"""How many events beyond the retention one trimming step deletes at most."""

MAX_TRIMMED_PIECES = 500
"""How many pieces beyond the retention one trimming step forgets at most."""

MAX_EXAMINED_CHARACTERS = 131_072
"""How long the rooms are that one read examines, about, at most: comparing them takes time."""

PROBE_BYTES = 131_072
"""The size of the first probe of an open file: a disk with room for it has room for any event."""

_SPARE_PAGES = 1_000
"""The file keeps at least this many unused pages for the next events, if it has them."""

_MAX_SHRINK_PAGES = 200
"""How many unused pages one step gives back to the disk at most."""

_READ_BY = "SELECT seq, type, rooms, body, former FROM event WHERE"
_READ = f"{_READ_BY} seq BETWEEN ? AND ? ORDER BY seq"
_READ_ROOMS = "SELECT seq, rooms FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq"
"""This reads no page of a long body, because the body is behind the rooms."""


class _LogState(NamedTuple):
    """The state of the log in the file.

    Attributes:
        oldest: the log holds the events after this seq.
        end: the last seq.
        milliseconds: the last timestamp.
        pieces: the number of pieces whose last state is known.
        summarised: the last seq that the summaries of blocks cover.
    """

    oldest: int
    end: int
    milliseconds: int
    pieces: int
    summarised: int


class SqliteStore:
    """The log in an open file.

    To change it, call ``begin``; then ``write`` with a plan of ``new_plan``, ``change_tables`` or
    ``write_probe``, or several of them; then ``commit``.

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
        self._timestamps = LogClock(clock)
        self._epoch, end, milliseconds = self._row("SELECT epoch, seq, milliseconds FROM log")
        (first,) = self._row("SELECT min(seq) FROM event")
        pieces = pieces_table.count(connection)
        oldest, summarised = end if first is None else first - 1, blocks.summarised_end(connection)
        self._state = _LogState(oldest, end, milliseconds, pieces, summarised)
        self._next_state = self._state
        self._tables = Tables(
            SessionTable(connection, retention), RevocationTable(connection, retention)
        )
        self.journal_pages = 0
        self._synced = True  # as the file was opened
        self._was_probed = False
        connection.set_wal_hook(self._count_journal)

    @property
    def position(self) -> Offset:
        """The log's end."""
        return Offset(self._epoch, self._state.end)

    def mark_sessions_left(self) -> None:
        """Mark the owners of all sessions as gone, because the server has just started."""
        self.begin()
        self._tables.sessions.mark_all_left(self._now())
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

    def change_tables(self, change: TableChange) -> Any:
        """Change the tables beside the events and return the result of the change."""
        return change(self._tables, self._now())

    def write_probe(self) -> None:
        """Write something that nobody reads, to see that the file takes writes.

        After a failure the file is opened again. So its first probe finds out whether the disk has
        room for an event, and not only for the few bytes of later probes.
        """
        size = 0 if self._was_probed else PROBE_BYTES
        self._was_probed = True
        self._execute(
            "UPDATE probe SET milliseconds = ?, filler = randomblob(?)", self._now(), size
        )

    def new_plan(self) -> AppendPlan:
        """Return an empty plan for an append at the log's end."""
        return AppendPlan(
            self.position,
            self._timestamps.next(self._state.milliseconds),
            find=self._find,
            last_state=partial(pieces_table.last_state, self._connection),
        )

    def write(self, plan: AppendPlan) -> None:
        """Write a plan, and delete at most as much as it adds, if beyond the retention."""
        milliseconds = plan.milliseconds
        end = self._state.end + len(plan.records)
        self._connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.offset.seq,
                    milliseconds,
                    event_id,
                    record.type,
                    pieces_table.encode_rooms(record.rooms),
                    record.body,
                    record.former,
                )
                for event_id, record in plan.records.items()
            ],
        )
        pieces = self._state.pieces + pieces_table.write_states(self._connection, plan)
        self._execute("UPDATE log SET seq = ?, milliseconds = ?", end, milliseconds)
        deleted = self._delete_old_events(len(plan.records), end)
        pieces -= self._delete_old_pieces(len(plan.records), pieces)
        self._next_state = self._state._replace(
            oldest=self._state.oldest + deleted, end=end, milliseconds=milliseconds, pieces=pieces
        )

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

    def read(self, after: Offset | None, rooms: frozenset[str] | None, limit: int) -> Page:
        """Read as the log's ``read`` does; ``rooms`` are from ``reading.selecting``."""
        bounds = self._bounds()
        seqs = reading.plan(after, rooms, limit, bounds)
        if isinstance(seqs, Page):
            return seqs
        if rooms is None:
            examined = map(self._record, self._connection.execute(_READ, (seqs[0], seqs[-1])))
            return reading.page(examined, seqs, limit, bounds)
        skipped_to = blocks.skip(self._connection, seqs[0] - 1, rooms)
        if skipped_to >= seqs[0]:
            return reading.empty_page(skipped_to, bounds)
        return reading.page(self._examine(rooms, seqs), seqs, limit, bounds)

    def _examine(self, rooms: frozenset[str], seqs: range) -> Iterator[Record | None]:
        """Yield the record of each event, or None if it has none of the rooms."""
        characters = 0
        for seq, names in self._connection.execute(_READ_ROOMS, (seqs[0], seqs[-1])):
            is_selected = pieces_table.has_any(names, rooms)
            yield self._record(self._row(f"{_READ_BY} seq = ?", seq)) if is_selected else None
            characters += len(names)
            if characters >= MAX_EXAMINED_CHARACTERS:
                return

    def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        """Read pieces as the log's ``pieces`` does."""
        if before is not None and before.epoch != self._epoch:
            return PiecePage([], None)
        start = self._state.end + 1 if before is None else before.seq
        most = min(limit, reading.MAX_EXAMINED_EVENTS)
        examined = []
        size = 0
        for seq, piece, state in pieces_table.latest_changed(self._connection, start, most):
            examined.append((seq, piece, state))
            size += len(state.furniture or "")
            if size >= reading.PAGE_BYTES:  # an append waits for the end of this read
                break
        at_end = len(examined) < most and size < reading.PAGE_BYTES
        return reading.piece_page(self._epoch, examined, most, at_end=at_end)

    # Keeping the file small.

    def trim(self) -> bool:
        """Delete some rows beyond the retention; tell whether there may be more."""
        self.begin()
        events = self._delete_old_events(MAX_TRIMMED_EVENTS, self._state.end)
        pieces = self._delete_old_pieces(MAX_TRIMMED_PIECES, self._state.pieces)
        self._next_state = self._state._replace(
            oldest=self._state.oldest + events, pieces=self._state.pieces - pieces
        )
        blocks.forget(self._connection, self._next_state.oldest)
        now = self._now()
        may_have_more = [table.trim(now) for table in self._tables]
        self.commit()
        return events == MAX_TRIMMED_EVENTS or pieces == MAX_TRIMMED_PIECES or any(may_have_more)

    def summarise(self) -> bool:
        """Write the summary of one more block, if it is complete; tell whether it did."""
        after = max(self._state.summarised, self._state.oldest)
        if self._state.end - after < summaries.BLOCK_EVENTS:
            return False
        self.begin(synced=False)  # if the summary is lost, it is written again
        last = blocks.summarise(self._connection, after, MAX_EXAMINED_CHARACTERS)
        self._next_state = self._state._replace(summarised=last)
        self.commit()
        return True

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

    def _delete_old_pieces(self, max_pieces: int, pieces: int) -> int:
        """Delete at most ``max_pieces`` of this number of pieces, if they exceed the retention."""
        excess = min(pieces - self._retention.pieces, max_pieces)
        if excess <= 0:
            return 0
        pieces_table.forget_longest_unchanged(self._connection, excess)
        return excess

    def _bounds(self) -> Bounds:
        return reading.bounds(self._epoch, self._state.oldest, self._state.end)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _oldest_milliseconds(self) -> int:
        return int((self._clock() - self._retention.seconds) * 1000)

    def _find(self, id: str) -> Record | None:
        row = self._connection.execute(f"{_READ_BY} id = ?", (id,)).fetchone()
        return None if row is None else self._record(row)

    def _record(self, row: tuple[Any, ...]) -> Record:
        seq, event_type, rooms, body, former = row
        names = pieces_table.decode_rooms(rooms)
        return Record(Offset(self._epoch, seq), event_type, names, body, former)

    def _count_journal(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self.journal_pages = pages
        return apsw.SQLITE_OK

    def _execute(self, sql: str, *values: int) -> None:
        self._connection.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: int) -> tuple[Any, ...]:
        return self._connection.execute(sql, values).fetchall()[0]
