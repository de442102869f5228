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
    MAX_FREE_BYTES,
    MIN_PIECE_BYTES,
    MIN_START_BYTES,
    REQUEST_BYTES,
    TURN_BYTES,
    TURN_SECONDS,
    Turn,
    begin_in_turn,
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


async def test_a_network_that_waits_alone_rests_as_long_as_its_turn_took() -> None:
    """And no longer: the next one continues by itself."""
    began: list[float] = []
    ended: list[float] = []

    async def work() -> None:
        await next_turn("a")
        began.append(monotonic())
        sleep(0.02)  # noqa: ASYNC251 - the work of a turn
        ended.append(monotonic())

    await asyncio.gather(*(work() for _ in range(3)))
    await work()  # it comes during the last rest, and waits too
    rests = [later - earlier for earlier, later in zip(ended[:-1], began[1:], strict=True)]
    assert min(rests) >= 0.019


@pytest.mark.parametrize("network", ["a", "b"])
async def test_short_work_does_not_wait_for_the_end_of_a_rest(network: str) -> None:
    """It starts at once, although long work waits. Behind a proxy, both are of one network."""
    await next_turn("a")
    sleep(0.2)  # noqa: ASYNC251 - the work of a turn
    order: list[str] = []
    first, other = next_turn("a"), turn_for(1, network)
    assert other is not None
    first.add_done_callback(lambda turn: order.append("a"))
    other.add_done_callback(lambda turn: order.append("b"))
    await other
    assert not first.done()
    await first
    assert order == ["b", "a"]


async def test_long_work_is_missing_in_the_next_iterations() -> None:
    """A body counts like a turn, however large it is: it is decoded in turns."""
    first, late = turn_for(100 * TURN_BYTES, "a"), turn_for(1, "b")
    other = turn_for(100 * TURN_BYTES, "c")
    assert first is not None
    assert late is not None
    assert other is not None
    done: list[int] = []
    while not other.done():
        await asyncio.sleep(0)
        done.append(first.done() + other.done())
    assert done.count(1) >= TURN_BYTES // ITERATION_BYTES


async def test_a_small_message_counts_as_a_larger_one() -> None:
    """Otherwise thousands of them would be handled in one iteration."""
    starts = [turn_for(1, "a") for _ in range(ITERATION_BYTES // MIN_START_BYTES + 1)]
    assert [it is None for it in starts] == [True] * (len(starts) - 1) + [False]


async def test_a_network_that_asks_for_little_does_not_wait_behind_large_messages() -> None:
    """Each network has the same share of the bytes."""
    order: list[str] = []

    async def work(network: str, size: int, pieces: int) -> None:
        for _ in range(pieces):
            turn = turn_for(size, network)
            if turn is not None:
                await turn
            order.append(network)

    crowd = [work("large", MAX_FREE_BYTES, 5) for _ in range(5)]
    await asyncio.gather(*crowd, work("small", MIN_START_BYTES, 5))
    assert order.index("small") <= 3
    assert order[:25].count("small") == 5


async def test_a_turn_whose_work_fails_does_not_end_the_queue() -> None:
    """The loop reports the failure, and the next one continues."""
    called: list[str] = []
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failures.append(context))

    def fail() -> None:
        raise ValueError

    assert not begin_in_turn(TURN_BYTES, None, fail)
    last = next_turn(None)
    last.add_done_callback(lambda turn: called.append("last"))
    await last
    assert called == ["last"]
    assert len(failures) == 1
