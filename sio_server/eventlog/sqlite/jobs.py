"""The jobs and results that pass between the event loop and the thread of the SQLite event log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event
from sio_server.eventlog.contract import AppendResult
from sio_server.eventlog.sqlite.store import SqliteStore
from sio_server.eventlog.sqlite.tables import TableChange


@dataclass(eq=False, slots=True)
class AppendJob:
    """Append events as one step."""

    events: Sequence[Event]
    answer: asyncio.Future[list[AppendResult]]


@dataclass(eq=False, slots=True)
class ChangeJob:
    """Change the tables beside the events, in the same transaction as a group of appends.

    A failed job is refused, even if its outcome is unknown: its caller may repeat it.

    Attributes:
        change: changes the tables.
        answer: receives the result of the change.
        synced: whether the change must survive a power cut; otherwise, only the process's end.
    """

    change: TableChange
    answer: asyncio.Future[Any]
    synced: bool


@dataclass(eq=False, slots=True)
class QueryJob:
    """Read something from the store."""

    query: Callable[[SqliteStore], Any]
    answer: asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class ProbeJob:
    """Find out whether the file takes writes, in a transaction of its own."""

    answer: asyncio.Future[None]


@dataclass(eq=False, slots=True)
class StopJob:
    """The last job: finish the jobs before it, and end the thread."""


@dataclass(eq=False, slots=True)
class JobResult:
    """A job's answer, and the value that the event loop gives to it.

    Attributes:
        answer: the future on which the job's caller waits.
        value: the result, or the exception.
        known: False if the outcome of an append cannot be found out. Then its caller is
            cancelled, because no answer is better than a wrong one.
    """

    answer: asyncio.Future[Any]
    value: Any = None
    known: bool = True


Job = AppendJob | ChangeJob | QueryJob | ProbeJob


class JobQueues:
    """The waiting jobs, in one queue for each kind.

    Attributes:
        appends: each kind has its own queue; the oldest job is the first.
        changes: see ``appends``.
        queries: see ``appends``.
        probes: see ``appends``.
    """

    def __init__(self) -> None:
        self.appends: deque[AppendJob] = deque()
        self.changes: deque[ChangeJob] = deque()
        self.queries: deque[QueryJob] = deque()
        self.probes: deque[ProbeJob] = deque()

    def __bool__(self) -> bool:
        return any((self.appends, self.changes, self.queries, self.probes))

    def add(self, job: Job) -> None:
        """Put a job at the end of its queue."""
        match job:
            case AppendJob():
                self.appends.append(job)
            case ChangeJob():
                self.changes.append(job)
            case QueryJob():
                self.queries.append(job)
            case ProbeJob():
                self.probes.append(job)

    def refuse_all(self) -> list[JobResult]:
        """Remove all jobs and return their refusals."""
        results: list[JobResult] = []
        for queue in (self.appends, self.changes, self.queries, self.probes):
            results += map(refusal, queue)
            queue.clear()
        return results


def refusal(job: Job) -> JobResult:
    """Return the result of a job that had no effect."""
    return JobResult(job.answer, unavailable())


def unavailable() -> LogUnavailable:
    """Make the error of a job that is not possible at the moment."""
    return LogUnavailable("the event log cannot be used at the moment; try again")
