"""Turns: how much is done for one connection before the others have theirs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator
from time import monotonic, sleep

import pytest

from sio_server.net import turns
from sio_server.net.turns import (
    ITERATION_BYTES,
    MIN_PIECE_BYTES,
    REQUEST_BYTES,
    TURN_BYTES,
    TURN_SECONDS,
    Turn,
    in_turns,
    next_turn,
    turn_for,
)


@pytest.fixture
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass."""
    monkeypatch.setattr(turns, "monotonic", lambda: 0.0)


@pytest.mark.usefixtures("_stopped_clock")
def test_a_turn_ends_after_its_bytes() -> None:
    """A small piece counts as a larger one."""
    assert Turn().is_over(TURN_BYTES)
    assert not Turn().is_over(TURN_BYTES - 1)
    turn = Turn()
    pieces = TURN_BYTES // MIN_PIECE_BYTES
    assert [turn.is_over(1) for _ in range(pieces)] == [False] * (pieces - 1) + [True]


def test_a_turn_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces are."""
    now = [0.0]
    monkeypatch.setattr(turns, "monotonic", lambda: now[0])
    turn = Turn()
    assert not turn.is_over(1)
    now[0] = TURN_SECONDS
    assert turn.is_over(1)


@pytest.mark.usefixtures("_stopped_clock")
async def test_work_in_steps_leaves_turns_to_the_others() -> None:
    """Its value is returned."""
    done: list[int] = []

    def work() -> Generator[None, None, str]:
        for number in range(100):
            done.append(number)
            yield
        return "value"

    working = asyncio.ensure_future(in_turns(work(), None))
    await asyncio.sleep(0)
    assert len(done) == TURN_BYTES // MIN_PIECE_BYTES
    assert await working == "value"
    assert len(done) == 100


async def test_those_that_wait_continue_one_after_another() -> None:
    """In the order in which they came. One that is cancelled takes nobody's turn away."""
    order: list[int] = []

    async def wait(number: int) -> None:
        await next_turn(None)
        order.append(number)

    waiting = [asyncio.ensure_future(wait(number)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    lengths = [0]
    while lengths[-1] < 3:
        await asyncio.sleep(0)
        lengths.append(len(order))
    assert order == [0, 2, 3]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(lengths))


async def test_the_networks_that_wait_take_turns() -> None:
    """Many connections of one network delay another network like one."""
    order: list[str] = []

    async def wait(name: str, network: str) -> None:
        await next_turn(network)
        order.append(name)

    crowd = [asyncio.ensure_future(wait(f"a{number}", "a")) for number in range(3)]
    await asyncio.gather(*crowd, *(wait(f"b{number}", "b") for number in range(2)))
    assert order == ["a0", "b0", "a1", "b1", "a2"]


async def test_only_some_small_work_starts_in_one_iteration_of_the_loop() -> None:
    """The networks take turns in the rest, and nobody waits longer than needed."""
    order: list[str] = []
    first = ITERATION_BYTES // REQUEST_BYTES

    async def start(name: str, network: str) -> None:
        turn = turn_for(REQUEST_BYTES, network)
        if turn is not None:
            await turn
        order.append(name)

    waiting = [asyncio.ensure_future(start(f"a{number}", "a")) for number in range(2 * first)]
    waiting.append(asyncio.ensure_future(start("b", "b")))
    await asyncio.sleep(0)
    assert order == [f"a{number}" for number in range(first)]
    waiting[first + 1].cancel()
    late = asyncio.ensure_future(start("late", "b"))
    await asyncio.gather(*waiting, late, return_exceptions=True)
    others = [f"a{number}" for number in range(first + 2, 2 * first)]
    assert order[first:] == [f"a{first}", "b", *others, "late"]
    await asyncio.sleep(0)
    assert turn_for(REQUEST_BYTES, "b") is None


async def test_after_a_turn_the_queue_rests_as_long_as_the_turn_took() -> None:
    """And no longer: the next one continues by itself."""
    began: list[float] = []
    ended: list[float] = []

    async def work() -> None:
        await next_turn(None)
        began.append(monotonic())
        sleep(0.02)  # noqa: ASYNC251 - the work of a turn
        ended.append(monotonic())

    await asyncio.gather(*(work() for _ in range(3)))
    await work()  # it comes during the last rest, and waits too
    rests = [later - earlier for earlier, later in zip(ended[:-1], began[1:], strict=True)]
    assert min(rests) >= 0.019


async def test_a_turn_whose_work_fails_does_not_end_the_queue() -> None:
    """The loop reports the failure, and the next one continues."""
    called: list[str] = []
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failures.append(context))

    def fail(turn: asyncio.Future[None]) -> None:
        raise ValueError

    next_turn(None).add_done_callback(fail)
    last = next_turn(None)
    last.add_done_callback(lambda turn: called.append("last"))
    await last
    assert called == ["last"]
    assert len(failures) == 1
