"""The SQL statements of the SQLite log's revocations, on the connection of the log's thread."""

from __future__ import annotations

from typing import Any

import apsw

from sio_server.contract.revocations import Revocation
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.revocation_contract import PAGE_REVOCATIONS, RevocationPage

MAX_TRIMMED_REVOCATIONS = 500
"""How many revocations one step forgets at most."""

SCHEMA = """
    CREATE TABLE revocation (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        issuer TEXT,
        before INTEGER NOT NULL,
        added INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX revocation_subject ON revocation (subject);
    CREATE INDEX revocation_added ON revocation (added);
"""
"""``issuer`` is null for the tokens of every issuer. ``before`` and ``added`` are milliseconds."""


class RevocationTable:
    """The stored revocations.

    Args:
        connection: the log's open file.
        retention: how long a revocation is kept.
    """

    def __init__(self, connection: apsw.Connection, retention: Retention) -> None:
        self._connection = connection
        self._lifetime = int(retention.revocation_seconds * 1000)

    def add(self, now: int, revocation: Revocation) -> None:
        """Store a revocation in place of those that it includes."""
        self._connection.execute(
            "DELETE FROM revocation WHERE subject = ? AND issuer IS ? AND before <= ?", revocation
        )
        self._connection.execute(
            "INSERT INTO revocation (subject, issuer, before, added) VALUES (?, ?, ?, ?)",
            (*revocation, now),
        )

    def read(self, now: int, after: str) -> RevocationPage:
        """Read as the store's ``read`` does."""
        rows: list[Any] = self._connection.execute(
            "SELECT number, subject, issuer, before FROM revocation "
            "WHERE number > ? AND added >= ? ORDER BY number LIMIT ?",
            (int(after or 0), now - self._lifetime, PAGE_REVOCATIONS),
        ).fetchall()
        found = [Revocation(subject, issuer, before) for _, subject, issuer, before in rows]
        position = str(rows[-1][0]) if rows else after
        return RevocationPage(found, position, len(rows) < PAGE_REVOCATIONS)

    def trim(self, now: int) -> bool:
        """Forget some revocations beyond their lifetime; tell whether there may be more."""
        self._connection.execute(
            "DELETE FROM revocation WHERE number IN "
            "(SELECT number FROM revocation WHERE added < ? LIMIT ?)",
            (now - self._lifetime, MAX_TRIMMED_REVOCATIONS),
        )
        return self._connection.changes() == MAX_TRIMMED_REVOCATIONS
