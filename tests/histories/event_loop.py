"""An event loop that runs until it is idle, on a clock that a test advances. It never waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

THREAD_SECONDS = 60
"""Seconds after which a thread that has not answered is taken to hang."""


class _IdleSelector(selectors.DefaultSelector):
    """Reports when the loop has nothing left but timers, and no thread works for it."""

    def __init__(self) -> None:
        super().__init__()
        self.working_threads = 0
        self.on_idle: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return the files that are ready. Wait for a thread, but never for a timer."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.working_threads:
            ready = super().select(THREAD_SECONDS)
            assert ready, "a thread does not answer"
            return ready
        self.on_idle()
        return []


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop that a test runs step by step, from outside.

    Attributes:
        now: its time in seconds, which changes only in ``advance``.
        failures: the errors of tasks and callbacks that no code awaited.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.failures: list[dict[str, Any]] = []
        self._idle_selector = _IdleSelector()
        self._idle_selector.on_idle = self.stop
        super().__init__(self._idle_selector)
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return self.now

    def run_until_idle(self) -> None:
        """Run until only timers are left."""
        self.run_forever()

    def advance(self, seconds: float) -> None:
        """Advance the time, and run the timers that are due by then."""
        self.now += seconds
        self.run_until_idle()

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run until the loop is idle; return the result of the work, which must be done by then."""
        task = self.create_task(work)
        self.run_until_idle()
        return task.result()

    def cancel_all(self) -> None:
        """Cancel all tasks, as the end of a process does."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.run_until_idle()

    def wait_for_thread(self, answer: asyncio.Future[Any]) -> None:
        """Count a thread as working until its answer: so long the loop is not idle."""

        def finished(answer: asyncio.Future[Any]) -> None:
            self._idle_selector.working_threads -= 1

        self._idle_selector.working_threads += 1
        answer.add_done_callback(finished)
