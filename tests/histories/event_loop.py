"""An event loop that runs until nothing is left to do, on a clock that a test turns. No waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

PATIENCE = 60
"""Seconds after which a thread that has not answered never will."""


class _Selector(selectors.DefaultSelector):
    """Tells when the loop has nothing to run but timers, and no thread works for it."""

    def __init__(self) -> None:
        super().__init__()
        self.working = 0
        self.idle: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[Any]:
        """Look what is there; never wait for a timer."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.working:
            ready = super().select(PATIENCE)
            assert ready, "a thread does not answer"
            return ready
        self.idle()
        return []


class QuietLoop(asyncio.SelectorEventLoop):
    """A loop that is run from outside, a step at a time.

    Attributes:
        now: its time, which stands still until ``advance``.
        failures: what went wrong where nobody waited for it.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.failures: list[dict[str, Any]] = []
        self._idle = _Selector()
        self._idle.idle = self.stop
        super().__init__(self._idle)
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self.now

    def settle(self) -> None:
        """Run until it is idle."""
        self.run_forever()

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what is due by then."""
        self.now += seconds
        self.settle()

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run until it is idle; return what the work returns, which is done by then."""
        task = self.create_task(work)
        self.settle()
        return task.result()

    def cancel_all(self) -> None:
        """End all tasks, as the end of a process does."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()

    def wait_for(self, answer: asyncio.Future[Any]) -> None:
        """Count a thread's work, which ends with an answer: until then the loop is not idle."""

        def done(answer: asyncio.Future[Any]) -> None:
            self._idle.working -= 1

        self._idle.working += 1
        answer.add_done_callback(done)
