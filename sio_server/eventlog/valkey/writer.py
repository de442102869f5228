"""Appends in groups, one request at a time, and finds out what became of each.

What waits to be appended when an answer has come is the next group: one request, one step of the
script. A group is answered once the tail has passed it. One whose request was cut off is asked for
again, for as long as it takes: the script remembers a node's last append by its number, and answers
again what it did. An append is refused only where nothing of it was sent, or the server refused it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Offset
from sio_server.eventlog.contract import AppendResult
from sio_server.eventlog.valkey.connection import CutOffError, Link, LinkError, RefusedError
from sio_server.eventlog.valkey.script import SCRIPT, Appended, Store

logger = logging.getLogger(__name__)

GROUP_EVENTS = 1_000
"""A group takes further appends until it holds this many events."""

RETRY_SECONDS = 0.2
"""How long to wait before asking again what became of a group."""

CLOSE_SECONDS = 5.0
"""How long closing waits to learn an unknown outcome."""


@dataclass(eq=False, slots=True)
class _Append:
    events: Sequence[Event]
    answer: asyncio.Future[list[AppendResult]]


@dataclass(eq=False, slots=True)
class _Done:
    """A group that is in the log, and not answered yet."""

    group: Sequence[_Append]
    appended: Appended


class Writer:
    """This node's appends.

    Args:
        store: what they go to.
        link: its own.
        position: returns where the tail is.
        told: called with the epoch of each answer.
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        position: Callable[[], Offset | None],
        told: Callable[[str], None],
    ) -> None:
        self._store = store
        self._link = link
        self._position = position
        self._told = told
        self._waiting: deque[_Append] = deque()
        self._sent: Sequence[_Append] = ()
        self._done: deque[_Done] = deque()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def append(self, events: Sequence[Event]) -> asyncio.Future[list[AppendResult]]:
        """Append events as one step, when it is their turn."""
        answer: asyncio.Future[list[AppendResult]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Append(tuple(events), answer))
        self._idle.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return answer

    def passed(self, position: Offset) -> None:
        """Answer what the tail has passed."""
        self._answer(lambda last: last.epoch == position.epoch and last.seq <= position.seq)

    def broke(self, position: Offset) -> None:
        """Answer what the tail will never pass: it goes on in another epoch."""
        self._answer(lambda last: last.epoch != position.epoch)
        self.passed(position)

    async def close(self) -> None:
        """Finish what was asked for, within a time; cancel what can't be known by then."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            pass
        if self._task is not None:
            self._task.cancel()
        for append in self._sent:
            append.answer.cancel()
        self._refuse_waiting()
        self._answer(lambda last: True)
        await self._link.close()

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._sent = self._next_group()
                try:
                    await self._append()
                except Exception:
                    logger.exception("event_log_append_failed")
                    for append in self._sent:
                        append.answer.cancel()
                self._sent = ()
        finally:
            self._task = None
            self._rest()

    def _next_group(self) -> Sequence[_Append]:
        group: list[_Append] = []
        events = 0
        while self._waiting and events < GROUP_EVENTS:
            group.append(self._waiting.popleft())
            events += len(group[-1].events)
        return group

    async def _append(self) -> None:
        events = [event for append in self._sent for event in append.events]
        self._number += 1
        in_doubt = 0
        while True:
            request = self._store.append(self._number, events)
            try:
                answer = await self._link.run(SCRIPT, request.keys, *request.arguments)
                break
            except CutOffError as error:
                in_doubt += 1
                logger.warning("event_log_append_in_doubt error=%s", error)
            except LinkError as error:
                if isinstance(error, RefusedError):
                    logger.warning("event_log_append_refused error=%s", error)
                self._refuse_waiting()  # nothing of it was sent
                if not in_doubt:
                    _refuse(self._sent)
                    return
                in_doubt += 1
            if in_doubt > 1:
                await asyncio.sleep(RETRY_SECONDS)
        appended = self._store.appended(events, answer)
        self._done.append(_Done(self._sent, appended))
        self._told(appended.last.epoch)
        position = self._position()
        if position is not None:
            self.passed(position)

    def _answer(self, is_due: Callable[[Offset], bool]) -> None:
        later: deque[_Done] = deque()
        for done in self._done:
            if not is_due(done.appended.last):
                later.append(done)
                continue
            answers = iter(done.appended.answers)
            for append in done.group:
                own = [next(answers) for _ in append.events]
                if not append.answer.done():  # its caller was cancelled
                    append.answer.set_result(own)
        self._done = later
        self._rest()

    def _refuse_waiting(self) -> None:
        _refuse(self._waiting)
        self._waiting.clear()

    def _rest(self) -> None:
        if self._task is None and not self._waiting and not self._done:
            self._idle.set()


def unavailable() -> LogUnavailable:
    """Build the error for what can't be done at the moment."""
    return LogUnavailable("the event log can't be reached at the moment; try again")


def _refuse(appends: Sequence[_Append] | deque[_Append]) -> None:
    for append in appends:
        if not append.answer.done():
            append.answer.set_exception(unavailable())
