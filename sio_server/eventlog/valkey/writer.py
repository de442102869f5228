"""Append in groups, one request at a time, and find out the outcome of each.

When an answer has arrived, the writer takes the waiting appends as the next group: one request, one
step of the script. It answers a group when the tail has passed it. If the connection breaks before
the answer, the writer repeats the request until it gets an answer: the script remembers the last
append of a node by its number, and answers a repeated append as it did the first time. The writer
refuses an append only if it was not sent, or if Valkey refused it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Offset
from sio_server.eventlog.contract import AppendResult
from sio_server.eventlog.valkey.connection import (
    CutOffError,
    RefusedError,
    ValkeyConnection,
    ValkeyError,
)
from sio_server.eventlog.valkey.script import LOG_SCRIPT, AppendedEvents, LogScript

logger = logging.getLogger(__name__)

GROUP_EVENTS = 1_000
"""A group accepts further appends until it holds this many events."""

RETRY_SECONDS = 0.2
"""How long the writer waits before it asks again for the outcome of a group."""

CLOSE_TIMEOUT_SECONDS = 5.0
"""How long closing waits for an unknown outcome at most."""


@dataclass(eq=False, slots=True)
class _PendingAppend:
    events: Sequence[Event]
    answer: asyncio.Future[list[AppendResult]]


@dataclass(eq=False, slots=True)
class _AppendedGroup:
    """A group that is in the log and not answered yet."""

    appends: Sequence[_PendingAppend]
    appended: AppendedEvents


class ValkeyWriter:
    """The appends of this node.

    Args:
        script: encodes the calls of the log's script.
        connection: used only by the writer.
        tail_position: returns the position of the tail.
        check_epoch: called with the epoch of each answer.
    """

    def __init__(
        self,
        script: LogScript,
        connection: ValkeyConnection,
        tail_position: Callable[[], Offset | None],
        check_epoch: Callable[[str], None],
    ) -> None:
        self._script = script
        self._connection = connection
        self._tail_position = tail_position
        self._check_epoch = check_epoch
        self._waiting: deque[_PendingAppend] = deque()
        self._sent: Sequence[_PendingAppend] = ()
        self._unanswered: deque[_AppendedGroup] = deque()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def append(self, events: Sequence[Event]) -> asyncio.Future[list[AppendResult]]:
        """Append events as one step, as part of a later group."""
        answer: asyncio.Future[list[AppendResult]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_PendingAppend(tuple(events), answer))
        self._idle.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return answer

    def tail_passed(self, position: Offset) -> None:
        """Answer the groups that the tail has passed."""
        self._answer_groups(lambda last: last.epoch == position.epoch and last.seq <= position.seq)

    def tail_broke(self, position: Offset) -> None:
        """Answer the groups that the tail will never pass: it continues in another epoch."""
        self._answer_groups(lambda last: last.epoch != position.epoch)
        self.tail_passed(position)

    async def close(self) -> None:
        """Finish all appends, within a time; cancel the one whose outcome is unknown by then."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            pass
        if self._task is not None:
            self._task.cancel()
        for append in self._sent:
            append.answer.cancel()
        self._refuse_waiting()
        self._answer_groups(lambda last: True)
        await self._connection.close()

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._sent = self._next_group()
                try:
                    await self._append_group()
                except Exception:
                    logger.exception("event_log_append_failed")
                    for append in self._sent:
                        append.answer.cancel()
                self._sent = ()
        finally:
            self._task = None
            self._set_idle_if_finished()

    def _next_group(self) -> Sequence[_PendingAppend]:
        group: list[_PendingAppend] = []
        events = 0
        while self._waiting and events < GROUP_EVENTS:
            group.append(self._waiting.popleft())
            events += len(group[-1].events)
        return group

    async def _append_group(self) -> None:
        events = [event for append in self._sent for event in append.events]
        self._number += 1
        failures = 0  # since the outcome is unknown
        while True:
            call = self._script.append_call(self._number, events)
            try:
                answer = await self._connection.run_script(LOG_SCRIPT, call.keys, *call.arguments)
                break
            except CutOffError as error:
                failures += 1
                logger.warning("event_log_append_outcome_unknown error=%s", error)
            except ValkeyError as error:
                if isinstance(error, RefusedError):
                    logger.warning("event_log_append_refused error=%s", error)
                self._refuse_waiting()  # they were not sent
                if not failures:
                    _refuse(self._sent)
                    return
                failures += 1
            if failures > 1:
                await asyncio.sleep(RETRY_SECONDS)
        appended = self._script.decode_append(events, answer)
        self._unanswered.append(_AppendedGroup(self._sent, appended))
        self._check_epoch(appended.last.epoch)
        position = self._tail_position()
        if position is not None:
            self.tail_passed(position)

    def _answer_groups(self, is_due: Callable[[Offset], bool]) -> None:
        """Answer the groups whose last event is due."""
        remaining: deque[_AppendedGroup] = deque()
        for group in self._unanswered:
            if not is_due(group.appended.last):
                remaining.append(group)
                continue
            results = iter(group.appended.results)
            for append in group.appends:
                own = [next(results) for _ in append.events]
                if not append.answer.done():  # its caller was cancelled
                    append.answer.set_result(own)
        self._unanswered = remaining
        self._set_idle_if_finished()

    def _refuse_waiting(self) -> None:
        _refuse(self._waiting)
        self._waiting.clear()

    def _set_idle_if_finished(self) -> None:
        if self._task is None and not self._waiting and not self._unanswered:
            self._idle.set()


def unavailable() -> LogUnavailable:
    """Make the error of a call that is not possible at the moment."""
    return LogUnavailable("the event log cannot be reached at the moment; try again")


def _refuse(appends: Iterable[_PendingAppend]) -> None:
    for append in appends:
        if not append.answer.done():
            append.answer.set_exception(unavailable())
