"""The tables beside the events, and how the other modules change them in the log's thread."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from sio_server.eventlog.sqlite.revocation_table import RevocationTable
from sio_server.eventlog.sqlite.session_table import SessionTable


class Tables(NamedTuple):
    """The tables beside the events."""

    sessions: SessionTable
    revocations: RevocationTable


class TableChange(Protocol):
    """A change that the thread makes within its next transaction."""

    def __call__(self, tables: Tables, now: int) -> Any:
        """Change the tables and return the result.

        Args:
            tables: a transaction has begun.
            now: milliseconds since the Unix epoch.
        """
