"""The running handlers of one connection's events, bounded in number."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

MAX_RUNNING_TASKS = 64
"""How many handlers of one connection run at once. At the bound, the connection is not read."""


class ConnectionTasks:
    """The tasks of one connection. They start in the order of its events.

    Attributes:
        max_running: how many tasks run at once.
    """

    __slots__ = ("_free_slots", "_tasks", "max_running")

    def __init__(self) -> None:
        self.max_running = MAX_RUNNING_TASKS
        self._tasks: set[asyncio.Task[None]] = set()
        self._free_slots: list[asyncio.Future[None]] = []  # one for each waiting coroutine

    def start(self, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
        """Run a coroutine in a task.

        Returns:
            None if the task has started. If too many tasks run already: an awaitable, which starts
            the task once another has ended.
        """
        if len(self._tasks) < self.max_running:
            self.run(work)
            return None
        return self._start_later(work)

    async def _start_later(self, work: Coroutine[Any, Any, None]) -> None:
        while len(self._tasks) >= self.max_running:
            free_slot = asyncio.get_running_loop().create_future()
            self._free_slots.append(free_slot)
            try:
                await free_slot
            except asyncio.CancelledError:
                work.close()
                raise
        self.run(work)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task, even if too many tasks run already."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        free_slots, self._free_slots = self._free_slots, []
        for free_slot in free_slots:  # each waiting coroutine checks the bound again
            if not free_slot.done():
                free_slot.set_result(None)
