"""The jobs and results that pass between the event loop and the thread of the SQLite event log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event
from sio_server.eventlog.contract import AppendResult
from sio_server.eventlog.sqlite.sessions import SessionChange
from sio_server.eventlog.sqlite.store import SqliteStore


@dataclass(eq=False, slots=True)
class AppendJob:
    """Append events as one step."""

    events: Sequence[Event]
    answer: asyncio.Future[list[AppendResult]]


@dataclass(eq=False, slots=True)
class SessionJob:
    """Change sessions, in the same transaction as a group of appends.

    A failed job is refused, even if its outcome is unknown: its caller may repeat it.

    Attributes:
        change: changes the sessions.
        answer: receives the result of the change.
        synced: whether the change must survive a power cut; otherwise, only the process's end.
    """

    change: SessionChange
    answer: asyncio.Future[Any]
    synced: bool


@dataclass(eq=False, slots=True)
class QueryJob:
    """Read something from the store."""

    query: Callable[[SqliteStore], Any]
    answer: asyncio.Future[Any]


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


Job = AppendJob | SessionJob | QueryJob


def refusal(job: Job) -> JobResult:
    """Return the result of a job that had no effect."""
    return JobResult(job.answer, unavailable())


def unavailable() -> LogUnavailable:
    """Make the error of a job that is not possible at the moment."""
    return LogUnavailable("the event log cannot be used at the moment; try again")
