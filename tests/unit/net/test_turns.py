"""Turns: how much is done for one connection before the others have theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from sio_server.net import turns
from sio_server.net.turns import MIN_PIECE_BYTES, TURN_BYTES, TURN_SECONDS, Turn, in_turns


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

    working = asyncio.ensure_future(in_turns(work()))
    await asyncio.sleep(0)
    assert len(done) == TURN_BYTES // MIN_PIECE_BYTES
    assert await working == "value"
    assert len(done) == 100
