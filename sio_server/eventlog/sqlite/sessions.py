"""The session store of the SQLite log: a table beside the events, changed by the same thread.

The thread gets one batch of changes at a time: what comes meanwhile is the next. It is committed
together with the events that wait at the same time. Doing a change again does no harm, so one whose
commit fails is refused, whatever became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import apsw
from typing_extensions import override

from sio_server.eventlog.session_contract import SessionStore, Superseded
from sio_server.eventlog.tails import Tails

BATCH = 500
"""How many changes the thread gets at a time."""

FORGOTTEN = 500
"""How many sessions that have ended go in a step of their own."""

SCHEMA = """
    CREATE TABLE session (
        key TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, data TEXT NOT NULL, gone INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX session_gone ON session (gone) WHERE gone IS NOT NULL;
"""
"""``gone``: since when its consumer is, in milliseconds; null while it is connected."""


class Change(Protocol):
    """What the thread does within its next transaction."""

    def __call__(self, connection: apsw.Connection, now: int) -> Any:
        """Change the sessions.

        Args:
            connection: in a transaction.
            now: milliseconds since the Unix epoch.
        """


class _Waiting(NamedTuple):
    """A change, and who waits for it."""

    change: Change
    synced: bool
    answer: asyncio.Future[Any]


class SqliteSessions(SessionStore):
    """Sessions in an SQLite file.

    Args:
        seconds: how long a session lives without its consumer.
        submit: has a change made in the thread, synced to the disk or not.
    """

    def __init__(self, seconds: float, submit: Callable[[Change, bool], Awaitable[Any]]) -> None:
        self._lifetime = int(seconds * 1000)
        self._submit = submit
        self._waiting: list[_Waiting] = []
        self._working: asyncio.Task[None] | None = None
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(self, key: str, owner: str, data: str) -> None:
        def change(connection: apsw.Connection, now: int) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?, NULL)", (key, owner, data)
            )

        await self._do(change, synced=False)

    @override
    async def claim(self, key: str, owner: str) -> str | None:
        def change(connection: apsw.Connection, now: int) -> Any:
            return connection.execute(
                "UPDATE session SET owner = ?, gone = NULL "
                "WHERE key = ? AND (gone IS NULL OR gone >= ?) RETURNING data",
                (owner, key, now - self._lifetime),
            ).get

        data: str | None = await self._do(change, synced=False)
        if data is not None:
            self._tails.publish([Superseded(key, owner)])
        return data

    @override
    async def change(self, key: str, owner: str, data: str) -> bool:
        return await self._write("data = :data", key, owner, data, synced=True)

    @override
    async def leave(self, key: str, owner: str, data: str) -> bool:
        return await self._write("data = :data, gone = :now", key, owner, data, synced=False)

    @override
    async def end(self, key: str, owner: str) -> bool:
        def change(connection: apsw.Connection, now: int) -> bool:
            connection.execute("DELETE FROM session WHERE key = ? AND owner = ?", (key, owner))
            return connection.changes() > 0

        return bool(await self._do(change, synced=True))

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    def close(self) -> None:
        """Let nobody wait for sessions to be taken."""
        self._tails.end()

    async def _write(
        self, assignments: str, key: str, owner: str, data: str, *, synced: bool
    ) -> bool:
        def change(connection: apsw.Connection, now: int) -> bool:
            connection.execute(
                f"UPDATE session SET {assignments} WHERE key = :key AND owner = :owner",  # noqa: S608
                {"key": key, "owner": owner, "data": data, "now": now},
            )
            return connection.changes() > 0

        return bool(await self._do(change, synced=synced))

    async def _do(self, change: Change, *, synced: bool) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Waiting(change, synced, answer))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Have everything done that waits, a batch at a time."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            await self._do_batch(batch)
        self._working = None

    async def _do_batch(self, batch: Sequence[_Waiting]) -> None:
        def change(connection: apsw.Connection, now: int) -> list[Any]:
            return [it.change(connection, now) for it in batch]

        answers = [it.answer for it in batch]
        try:
            results = await self._submit(change, any(it.synced for it in batch))
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


def leave_all(connection: apsw.Connection, now: int) -> None:
    """Note that the consumers of a server that has ended are gone."""
    connection.execute("UPDATE session SET gone = ? WHERE gone IS NULL", (now,))


def forget(connection: apsw.Connection, before: int) -> int:
    """Take a step in forgetting those whose consumer went before then; return how many."""
    connection.execute(
        "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE gone < ? LIMIT ?)",
        (before, FORGOTTEN),
    )
    return connection.changes()
