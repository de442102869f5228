"""The handlers of one connection's events: beside its reading, but not without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

MESSAGES_PER_TURN = 32
"""How many messages of one connection are taken before the others have their turn."""

MAX_RUNNING_TASKS = 64
"""How many events of a connection may be in work at once; beyond them it is not read."""


class ConnectionTasks:
    """Tasks of one connection, started in the order of its events."""

    __slots__ = ("_tasks", "_waiting")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[asyncio.Future[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
        """Run ``work`` in a task of its own; return what to wait for where too many run already."""
        if len(self._tasks) < MAX_RUNNING_TASKS:
            self.run(work)
            return None
        return self._start_later(work)

    async def _start_later(self, work: Coroutine[Any, Any, None]) -> None:
        while len(self._tasks) >= MAX_RUNNING_TASKS:
            fewer = asyncio.get_running_loop().create_future()
            self._waiting.append(fewer)
            try:
                await fewer
            except asyncio.CancelledError:
                work.close()
                raise
        self.run(work)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in a task of its own, however many there are."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        waiting, self._waiting = self._waiting, []
        for fewer in waiting:
            if not fewer.done():
                fewer.set_result(None)
