"""What passes between the event loop and the SQLite event log's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event
from sio_server.eventlog.contract import AppendResult
from sio_server.eventlog.sqlite.sessions import Change
from sio_server.eventlog.sqlite.store import Store


@dataclass(eq=False, slots=True)
class Append:
    """Events to append as one step."""

    events: Sequence[Event]
    answer: asyncio.Future[list[AppendResult]]


@dataclass(eq=False, slots=True)
class Rewrite:
    """Sessions to change, within a group of appends; to be done again where it fails.

    Attributes:
        synced: a power cut must not undo it; otherwise it outlives the process alone.
    """

    change: Change
    answer: asyncio.Future[Any]
    synced: bool


@dataclass(eq=False, slots=True)
class Question:
    """Something to ask of the store."""

    ask: Callable[[Store], Any]
    answer: asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class Stop:
    """The last job: finish those before it, and end."""


@dataclass(eq=False, slots=True)
class Outcome:
    """What the event loop is to do with an answer.

    Attributes:
        answer: whose turn it is.
        value: its result, or the exception.
        known: False where it can't be told what became of the append: then its caller is
            cancelled, for no answer is better than a wrong one.
    """

    answer: asyncio.Future[Any]
    value: Any = None
    known: bool = True


Job = Append | Rewrite | Question


def refusal(job: Job) -> Outcome:
    """Refuse a job of which nothing was done."""
    return Outcome(job.answer, unavailable())


def unavailable() -> LogUnavailable:
    """Build the error for what can't be done at the moment."""
    return LogUnavailable("the event log can't be used at the moment; try again")
