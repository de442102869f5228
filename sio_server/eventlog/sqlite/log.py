"""The event log in an SQLite file: for one server, and it outlives the server.

This module is the side of the event loop. Only the writer's thread accesses the file.
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
from sio_server.eventlog import reading
from sio_server.eventlog.contract import (
    AppendResult,
    Bounds,
    EventLog,
    Page,
    PiecePage,
    Retention,
)
from sio_server.eventlog.sqlite.file import open_file, reopen_file, start_error
from sio_server.eventlog.sqlite.jobs import (
    AppendJob,
    ChangeJob,
    Job,
    JobResult,
    ProbeJob,
    QueryJob,
    StopJob,
    refusal,
)
from sio_server.eventlog.sqlite.revocations import SqliteRevocations
from sio_server.eventlog.sqlite.sessions import SqliteSessions
from sio_server.eventlog.sqlite.store import SqliteStore
from sio_server.eventlog.sqlite.tables import TableChange
from sio_server.eventlog.sqlite.writer import SqliteWriter
from sio_server.eventlog.tails import Tails

logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")


class SqliteLog(EventLog):
    """An event log in an SQLite file, synced to disk at every commit.

    The file belongs to one server at a time. If the disk fails while the log closes, the log may
    be unable to find out whether an append was stored. Then that append is cancelled: it gets no
    answer.

    Args:
        path: the file. It and its folder are created if they are missing.
        retention: the bounds of the log.
        clock: returns the seconds since the Unix epoch.
        sweep_seconds: how often the log looks for events that are too old.
        vfs: the name of the SQLite VFS that accesses the file; None: the system's.
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
        self._sessions = self.sessions = SqliteSessions(self._change_tables)
        self.revocations = SqliteRevocations(self._change_tables)
        self._jobs: SimpleQueue[Job | StopJob] = SimpleQueue()
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
            self._jobs.put(StopJob())
        if self._ended is not None:
            await asyncio.shield(self._ended)
        self._tails.end()
        self._sessions.close()

    @override
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        answer: asyncio.Future[list[AppendResult]] = asyncio.get_running_loop().create_future()
        self._submit(AppendJob(tuple(events), answer))
        return await answer

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        wanted = reading.selecting(rooms)
        return await self._query(lambda store: store.read(after, wanted, limit))

    @override
    async def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        return await self._query(lambda store: store.pieces(before, limit))

    @override
    async def bounds(self) -> Bounds:
        return await self._query(SqliteStore.bounds)

    @override
    async def check_writable(self) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._submit(ProbeJob(answer))
        await answer

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    async def _query(self, query: Callable[[SqliteStore], _Value]) -> _Value:
        answer: asyncio.Future[_Value] = asyncio.get_running_loop().create_future()
        self._submit(QueryJob(query, answer))
        return await answer

    async def _change_tables(self, change: TableChange, synced: bool) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submit(ChangeJob(change, answer, synced))
        return await answer

    def _submit(self, job: Job) -> None:
        if not self._accepting:
            raise LogUnavailable("the event log is closed")
        self._jobs.put(job)

    def _finish_jobs(self, records: Sequence[Record], results: Sequence[JobResult]) -> None:
        """Publish the thread's new records, then answer the callers of its finished jobs."""
        if records:
            self._tails.publish(records)
        for result in results:
            answer = result.answer
            if answer.done():  # its caller was cancelled
                continue
            if not result.known:
                answer.cancel()
            elif isinstance(result.value, Exception):
                answer.set_exception(result.value)
            else:
                answer.set_result(result.value)

    def _handle_thread_end(self, results: Sequence[JobResult]) -> None:
        """Answer every caller that still waits, however the thread has ended."""
        self._accepting = False
        self._finish_jobs([], results)
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not isinstance(job, StopJob):
                self._finish_jobs([], [refusal(job)])
        self._tails.end()
        if self._ended is not None:
            self._ended.set_result(None)

    # In the thread.

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        def post(records: Sequence[Record], results: Sequence[JobResult]) -> None:
            loop.call_soon_threadsafe(self._finish_jobs, records, results)

        writer = SqliteWriter(self._jobs, post, self._reopen_store, self._sweep_seconds)
        open_result = JobResult(opened, StartError(f"the event log {self._path} cannot be opened"))
        try:
            try:
                store = self._open_store()
            except StartError as error:
                open_result.value = error
            else:
                post([], [JobResult(opened)])
                writer.run(store)
        except BaseException:
            if not loop.is_closed():
                logger.critical("event_log_thread_died", exc_info=True)
        finally:
            with suppress(RuntimeError):  # the loop is closed, so that no caller waits
                loop.call_soon_threadsafe(
                    self._handle_thread_end, [open_result, *writer.unfinished_results()]
                )

    def _open_store(self) -> SqliteStore:
        connection = open_file(self._path, self._vfs)
        try:
            store = SqliteStore(connection, self._retention, self._clock)
            store.mark_sessions_left()
        except apsw.Error as error:
            connection.close(True)
            raise start_error(self._path, error) from error
        return store

    def _reopen_store(self) -> SqliteStore:
        connection = reopen_file(self._path, self._vfs)
        try:
            return SqliteStore(connection, self._retention, self._clock)
        except BaseException:
            connection.close(True)
            raise
