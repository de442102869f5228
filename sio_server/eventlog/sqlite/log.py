"""The event log in an SQLite file: for one server, and it outlives it.

This is the event loop's side. All that touches the file happens in one thread, the writer's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import apsw
from typing_extensions import override

from sio_server.contract.errors import LogUnavailable, StartError
from sio_server.contract.events import Event, Offset, Record
from sio_server.eventlog.contract import AppendResult, Bounds, EventLog, Page, Retention
from sio_server.eventlog.sqlite.file import open_file, reopen_file, start_error
from sio_server.eventlog.sqlite.jobs import (
    Append,
    Job,
    Outcome,
    Question,
    Rewrite,
    Stop,
    refusal,
)
from sio_server.eventlog.sqlite.sessions import Change, SqliteSessions
from sio_server.eventlog.sqlite.store import Store
from sio_server.eventlog.sqlite.writer import Writer
from sio_server.eventlog.tails import Tails

logger = logging.getLogger(__name__)

_Reply = TypeVar("_Reply")


class SqliteLog(EventLog):
    """An event log in an SQLite file, synced to disk at every commit.

    The file belongs to one server at a time. Where closing can't learn from a failing disk
    whether it took an append, that append is cancelled: it gets no answer.

    Args:
        path: the file; it and its folder are made where they are missing.
        retention: how long events are kept.
        clock: seconds since the Unix epoch.
        sweep_seconds: how often events that grew too old are looked for.
        vfs: the SQLite VFS to reach the file through; None: the system's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
        sweep_seconds: float = 1.0,
        vfs: str | None = None,
    ) -> None:
        self._path = Path(path).absolute()
        self._retention = retention
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._vfs = vfs
        self._tails: Tails[Record] = Tails()
        self._sessions = self.sessions = SqliteSessions(retention.seconds, self._rewrite)
        self._jobs: SimpleQueue[Job | Stop] = SimpleQueue()
        self._accepting = False
        self._ended: asyncio.Future[None] | None = None

    @override
    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._ended = loop.create_future()
        self._accepting = True
        Thread(target=self._run, args=(loop, opened), name="event-log", daemon=True).start()
        await opened

    @override
    async def close(self) -> None:
        if self._accepting:
            self._accepting = False
            self._jobs.put(Stop())
        if self._ended is not None:
            await asyncio.shield(self._ended)
        self._tails.end()
        self._sessions.close()

    @override
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        answer: asyncio.Future[list[AppendResult]] = asyncio.get_running_loop().create_future()
        self._submit(Append(tuple(events), answer))
        return await answer

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        wanted = None if rooms is None else frozenset(rooms)  # the caller's may change meanwhile
        return await self._ask(lambda store: store.read(after, wanted, limit))

    @override
    async def bounds(self) -> Bounds:
        return await self._ask(Store.bounds)

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    async def _ask(self, question: Callable[[Store], _Reply]) -> _Reply:
        answer: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._submit(Question(question, answer))
        return await answer

    async def _rewrite(self, change: Change, synced: bool) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submit(Rewrite(change, answer, synced))
        return await answer

    def _submit(self, job: Job) -> None:
        if not self._accepting:
            raise LogUnavailable("the event log is closed")
        self._jobs.put(job)

    def _deliver(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Take from the thread what it has done: the tails first, then those who wait for it."""
        if records:
            self._tails.publish(records)
        for outcome in outcomes:
            answer = outcome.answer
            if answer.done():  # its caller was cancelled
                continue
            if not outcome.known:
                answer.cancel()
            elif isinstance(outcome.value, Exception):
                answer.set_exception(outcome.value)
            else:
                answer.set_result(outcome.value)

    def _end(self, outcomes: Sequence[Outcome]) -> None:
        """Let nobody wait for a thread that has ended, however it has."""
        self._accepting = False
        self._deliver([], outcomes)
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not isinstance(job, Stop):
                self._deliver([], [refusal(job)])
        self._tails.end()
        if self._ended is not None:
            self._ended.set_result(None)

    # In the thread.

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        def post(records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
            loop.call_soon_threadsafe(self._deliver, records, outcomes)

        writer = Writer(self._jobs, post, self._reopen_store, self._sweep_seconds)
        outcome = Outcome(opened, StartError(f"the event log {self._path} can't be opened"))
        try:
            try:
                store = self._open_store()
            except StartError as error:
                outcome.value = error
            else:
                post([], [Outcome(opened)])
                writer.run(store)
        except BaseException:
            if not loop.is_closed():
                logger.critical("event_log_died", exc_info=True)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._end, [outcome, *writer.abandoned()])

    def _open_store(self) -> Store:
        connection = open_file(self._path, self._vfs)
        try:
            store = Store(connection, self._retention, self._clock)
            store.leave_sessions()
        except apsw.Error as error:
            connection.close(True)
            raise start_error(self._path, error) from error
        return store

    def _reopen_store(self) -> Store:
        connection = reopen_file(self._path, self._vfs)
        try:
            return Store(connection, self._retention, self._clock)
        except BaseException:
            connection.close(True)
            raise
