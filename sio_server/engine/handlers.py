"""The handlers of one connection's events: beside its reading, but not without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

MAX_RUNNING = 64
"""How many events of a connection may be in work at once; beyond them it is not read."""


class Handlers:
    """Tasks of one connection, started in the order of its events."""

    __slots__ = ("_fewer", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._fewer: asyncio.Future[None] | None = None

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in a task of its own; first wait where too many run already."""
        while len(self._tasks) >= MAX_RUNNING:
            self._fewer = asyncio.get_running_loop().create_future()
            await self._fewer
        self.run(work)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in a task of its own, however many there are."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._fewer is not None and not self._fewer.done():
            self._fewer.set_result(None)
