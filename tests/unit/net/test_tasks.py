"""The tasks of a connection: their order and their bound."""

from __future__ import annotations

import asyncio
import inspect

from sio_server.net.tasks import MAX_RUNNING_TASKS, ConnectionTasks


class Works:
    """Coroutines that run until they are told to end.

    Attributes:
        started: their numbers in the order of their starts.
        running: the events that end the running ones, by number.
    """

    def __init__(self) -> None:
        self.started: list[int] = []
        self.running: dict[int, asyncio.Event] = {}

    async def work(self, number: int) -> None:
        """Run until the event is set."""
        self.started.append(number)
        end = self.running[number] = asyncio.Event()
        await end.wait()
        del self.running[number]

    def end_all(self) -> None:
        """End all running coroutines."""
        for end in self.running.values():
            end.set()


async def turns(count: int = 10) -> None:
    """Let the event loop run everything that is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_tasks_start_in_order_and_run_concurrently() -> None:
    """A long task delays no other."""
    works, handlers = Works(), ConnectionTasks()
    for number in range(5):
        assert handlers.start(works.work(number)) is None
    await turns()
    assert works.started == list(works.running) == [0, 1, 2, 3, 4]
    works.running[3].set()
    await turns()
    assert list(works.running) == [0, 1, 2, 4]
    works.end_all()
    await turns()


async def test_a_task_over_the_bound_waits_for_a_free_slot() -> None:
    """It starts once another task has ended."""
    works, handlers = Works(), ConnectionTasks()
    for number in range(MAX_RUNNING_TASKS):
        assert handlers.start(works.work(number)) is None
    one_more = asyncio.create_task(handlers.start(works.work(MAX_RUNNING_TASKS)))
    await turns()
    assert not one_more.done()
    assert len(works.running) == MAX_RUNNING_TASKS
    works.running[7].set()
    async with asyncio.timeout(5):
        await one_more
    await turns()
    assert works.started[-1] == MAX_RUNNING_TASKS
    assert len(works.running) == MAX_RUNNING_TASKS
    works.end_all()
    await turns()


async def test_all_waiting_tasks_start() -> None:
    """Two may wait at once: the POST of a client that upgrades, and its WebSocket."""
    works, handlers = Works(), ConnectionTasks()
    for number in range(MAX_RUNNING_TASKS):
        handlers.run(works.work(number))
    coroutines = [works.work(100 + number) for number in range(3)]
    waiting = [asyncio.create_task(handlers.start(coroutine)) for coroutine in coroutines]
    await turns()
    for number in range(3):
        works.running[number].set()
    await turns()
    works.end_all()
    await turns()
    started = works.started[MAX_RUNNING_TASKS:]
    works.end_all()
    await turns()
    for task, coroutine in zip(waiting, coroutines, strict=True):
        task.cancel()
        coroutine.close()
    assert started == [100, 101, 102]


async def test_a_cancelled_wait_does_not_stop_the_other_waits() -> None:
    """Its coroutine is closed without a start, so that Python does not warn."""
    works, handlers = Works(), ConnectionTasks()
    for number in range(MAX_RUNNING_TASKS):
        handlers.run(works.work(number))
    cancelled, other = works.work(100), works.work(101)
    waiting = [asyncio.create_task(handlers.start(work)) for work in (cancelled, other)]
    await turns()
    waiting[0].cancel()
    await turns()
    works.running[0].set()
    await turns()
    works.end_all()
    await turns()
    started, is_closed = works.started[MAX_RUNNING_TASKS:], inspect.getcoroutinestate(cancelled)
    works.end_all()
    await turns()
    waiting[1].cancel()
    for work in (cancelled, other):
        work.close()
    assert started == [101]
    assert is_closed == inspect.CORO_CLOSED


async def test_run_ignores_the_bound() -> None:
    """The end of a connection waits for none of its events."""
    works, handlers = Works(), ConnectionTasks()
    for number in range(MAX_RUNNING_TASKS + 1):
        handlers.run(works.work(number))
    await turns()
    assert len(works.running) == MAX_RUNNING_TASKS + 1
    works.end_all()
    await turns()


async def test_many_short_tasks_all_run() -> None:
    """None is lost between the end of one and the start of another."""
    handlers, all_done = ConnectionTasks(), asyncio.Event()
    done: list[int] = []

    async def work(number: int) -> None:
        await turns(number % 5)
        done.append(number)
        if len(done) == 1000:
            all_done.set()

    async with asyncio.timeout(20):
        for number in range(1000):
            wait = handlers.start(work(number))
            if wait is not None:
                await wait
        await all_done.wait()
    assert sorted(done) == list(range(1000))
