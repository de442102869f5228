"""The session store of the SQLite log: a table beside the events, changed by the same thread.

The thread gets one batch of changes at a time; changes that arrive meanwhile form the next batch.
The thread commits a batch together with the events that wait at the same time. If the commit fails,
the changes are refused, even if they were stored: repeating a change does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import apsw
from typing_extensions import override

from sio_server.eventlog.session_contract import SessionStore, Superseded
from sio_server.eventlog.tails import Tails

MAX_BATCH_CHANGES = 500
"""How many changes the thread gets at a time at most, so that they delay no event for long."""

MAX_DELETED_SESSIONS = 500
"""How many expired sessions one step deletes at most."""

SCHEMA = """
    CREATE TABLE session (
        key TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, data TEXT NOT NULL, gone INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX session_gone ON session (gone) WHERE gone IS NOT NULL;
"""
"""``gone``: when the owner left, in milliseconds; null while the owner is connected."""


class SessionChange(Protocol):
    """A change that the thread makes within its next transaction."""

    def __call__(self, connection: apsw.Connection, now: int) -> Any:
        """Change the sessions and return the result.

        Args:
            connection: in a transaction.
            now: milliseconds since the Unix epoch.
        """


class _PendingChange(NamedTuple):
    change: SessionChange
    synced: bool
    answer: asyncio.Future[Any]


class SqliteSessions(SessionStore):
    """Sessions in an SQLite file.

    Args:
        seconds: how long a session lives after its owner has left.
        submit: makes a change in the thread; the flag says whether the disk must be synced.
    """

    def __init__(
        self, seconds: float, submit: Callable[[SessionChange, bool], Awaitable[Any]]
    ) -> None:
        self._lifetime_milliseconds = int(seconds * 1000)
        self._submit = submit
        self._pending: list[_PendingChange] = []
        self._submitting: asyncio.Task[None] | None = None
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(self, key: str, owner: str, data: str) -> None:
        def change(connection: apsw.Connection, now: int) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?, NULL)", (key, owner, data)
            )

        await self._make_change(change, synced=False)

    @override
    async def claim(self, key: str, owner: str) -> str | None:
        def change(connection: apsw.Connection, now: int) -> Any:
            return connection.execute(
                "UPDATE session SET owner = ?, gone = NULL "
                "WHERE key = ? AND (gone IS NULL OR gone >= ?) RETURNING data",
                (owner, key, now - self._lifetime_milliseconds),
            ).get

        data: str | None = await self._make_change(change, synced=False)
        if data is not None:
            self._tails.publish([Superseded(key, owner)])
        return data

    @override
    async def change(self, key: str, owner: str, data: str) -> bool:
        return await self._update("data = :data", key, owner, data, synced=True)

    @override
    async def leave(self, key: str, owner: str, data: str) -> bool:
        return await self._update("data = :data, gone = :now", key, owner, data, synced=False)

    @override
    async def end(self, key: str, owner: str) -> bool:
        def change(connection: apsw.Connection, now: int) -> bool:
            connection.execute("DELETE FROM session WHERE key = ? AND owner = ?", (key, owner))
            return connection.changes() > 0

        return bool(await self._make_change(change, synced=True))

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    def close(self) -> None:
        """End the tails of superseded sessions."""
        self._tails.end()

    async def _update(
        self, assignments: str, key: str, owner: str, data: str, *, synced: bool
    ) -> bool:
        def change(connection: apsw.Connection, now: int) -> bool:
            connection.execute(
                f"UPDATE session SET {assignments} WHERE key = :key AND owner = :owner",  # noqa: S608
                {"key": key, "owner": owner, "data": data, "now": now},
            )
            return connection.changes() > 0

        return bool(await self._make_change(change, synced=synced))

    async def _make_change(self, change: SessionChange, *, synced: bool) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._pending.append(_PendingChange(change, synced, answer))
        if self._submitting is None:
            self._submitting = loop.create_task(self._submit_pending())
        return await answer

    async def _submit_pending(self) -> None:
        """Submit the pending changes, one batch at a time, until there are none."""
        while self._pending:
            batch = self._pending[:MAX_BATCH_CHANGES]
            del self._pending[:MAX_BATCH_CHANGES]
            await self._submit_batch(batch)
        self._submitting = None

    async def _submit_batch(self, batch: Sequence[_PendingChange]) -> None:
        def change(connection: apsw.Connection, now: int) -> list[Any]:
            return [pending.change(connection, now) for pending in batch]

        answers = [pending.answer for pending in batch]
        try:
            results = await self._submit(change, any(pending.synced for pending in batch))
        except Exception as error:
            for answer in answers:
                if not answer.done():  # its caller was cancelled
                    answer.set_exception(error)
        except asyncio.CancelledError:  # the thread has died
            for answer in answers:
                answer.cancel()
        else:
            for answer, result in zip(answers, results, strict=True):
                if not answer.done():
                    answer.set_result(result)


def mark_all_left(connection: apsw.Connection, now: int) -> None:
    """Mark the owners of a server that has ended as gone since ``now``."""
    connection.execute("UPDATE session SET gone = ? WHERE gone IS NULL", (now,))


def delete_expired(connection: apsw.Connection, before: int) -> int:
    """Delete some sessions whose owner left before a time, in milliseconds; return how many."""
    connection.execute(
        "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE gone < ? LIMIT ?)",
        (before, MAX_DELETED_SESSIONS),
    )
    return connection.changes()
