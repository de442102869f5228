"""The session store of the SQLite log: tables beside the events, changed by the same thread.

The thread gets one batch of changes at a time; changes that arrive meanwhile form the next batch.
The thread commits a batch together with the events that wait at the same time. If the commit fails,
the changes are refused, even if they were stored: repeating a change does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from typing_extensions import override

from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.eventlog.session_contract import (
    SessionContent,
    SessionStore,
    Superseded,
    session_bytes,
)
from sio_server.eventlog.sqlite.tables import TableChange, Tables
from sio_server.eventlog.tails import Tails

MAX_BATCH_CHANGES = 500
"""How many changes the thread gets at a time at most, so that they delay no event for long."""

MAX_BATCH_BYTES = 131072
"""A batch accepts further changes until their texts have this length."""


class _PendingChange(NamedTuple):
    change: TableChange
    bytes: int
    synced: bool
    answer: asyncio.Future[Any]


class SqliteSessions(SessionStore):
    """Sessions in an SQLite file.

    Args:
        submit: makes a change in the thread; the flag says whether the disk must be synced.
    """

    def __init__(self, submit: Callable[[TableChange, bool], Awaitable[Any]]) -> None:
        self._submit = submit
        self._pending: list[_PendingChange] = []
        self._submitting: asyncio.Task[None] | None = None
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(
        self, key: str, owner: str, identity: str, data: str, rooms: Mapping[str, int]
    ) -> bool:
        rooms = dict(rooms)  # the caller may change its own
        created: bool = await self._make_change(
            lambda tables, now: tables.sessions.create(now, key, owner, identity, data, rooms),
            session_bytes(identity, data, rooms),
            synced=False,
        )
        return created

    @override
    async def claim(
        self, key: str, owner: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> SessionContent | None:
        content: SessionContent | None = await self._make_change(
            lambda tables, now: tables.sessions.claim(now, key, owner, identity, allowed),
            synced=False,
        )
        if content is not None:
            self._tails.publish([Superseded(key, owner)])
        return content

    @override
    async def change(
        self, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        added, removed = dict(added), tuple(removed)
        changed: bool = await self._make_change(
            lambda tables, now: tables.sessions.change(now, key, owner, added, removed),
            session_bytes("", "", (*added, *removed)),
            synced=True,
        )
        return changed

    @override
    async def leave(
        self,
        key: str,
        owner: str,
        data: str,
        added: Mapping[str, int],
        removed: Collection[str],
    ) -> bool:
        added, removed = dict(added), tuple(removed)
        left: bool = await self._make_change(
            lambda tables, now: tables.sessions.leave(now, key, owner, data, added, removed),
            session_bytes("", data, (*added, *removed)),
            synced=False,
        )
        return left

    @override
    async def end(self, key: str, owner: str) -> bool:
        ended: bool = await self._make_change(
            lambda tables, now: tables.sessions.end(now, key, owner), synced=True
        )
        return ended

    @override
    async def count_left(self) -> int:
        count: int = await self._make_change(
            lambda tables, now: tables.sessions.count_left(), synced=False
        )
        return count

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    def close(self) -> None:
        """End the tails of superseded sessions."""
        self._tails.end()

    async def _make_change(self, change: TableChange, length: int = 0, *, synced: bool) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._pending.append(_PendingChange(change, length, synced, answer))
        if self._submitting is None:
            self._submitting = loop.create_task(self._submit_pending())
        return await answer

    async def _submit_pending(self) -> None:
        """Submit the pending changes, one batch at a time, until there are none."""
        while self._pending:
            await self._submit_batch(self._next_batch())
        self._submitting = None

    def _next_batch(self) -> list[_PendingChange]:
        size = length = 0
        for pending in self._pending[:MAX_BATCH_CHANGES]:
            size += 1
            length += pending.bytes
            if length >= MAX_BATCH_BYTES:
                break
        batch = self._pending[:size]
        del self._pending[:size]
        return batch

    async def _submit_batch(self, batch: Sequence[_PendingChange]) -> None:
        def change(tables: Tables, now: int) -> list[Any]:
            results = [pending.change(tables, now) for pending in batch]
            tables.sessions.trim(now)
            return results

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
                if answer.done():
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)
