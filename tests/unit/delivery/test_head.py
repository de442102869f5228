"""The head: it moves, and wakes the tasks that wait for it."""

from __future__ import annotations

import asyncio

import pytest

from sio_server.delivery.head import Head
from tests.unit.delivery.node import offset, turns


async def test_every_waiting_task_wakes_at_the_next_move() -> None:
    """A later move wakes only tasks that wait again."""
    head = Head()
    first, second = (asyncio.ensure_future(head.moved()) for _ in range(2))
    await turns(1)
    assert not first.done()
    head.move(offset(1))
    await asyncio.gather(first, second)
    third = asyncio.ensure_future(head.moved())
    await turns()
    assert not third.done()
    head.move(offset(2))
    await third


async def test_a_cancelled_wait_leaves_the_others_waiting() -> None:
    """One consumer that leaves must not wake or end the others."""
    head = Head()
    cancelled, other = (asyncio.ensure_future(head.moved()) for _ in range(2))
    await turns(1)
    cancelled.cancel()
    await turns()
    assert not other.done()
    head.move(offset(1))
    await other


async def test_reach_waits_until_the_head_has_come_that_far() -> None:
    """It does not wait for a position that the head has passed."""
    head = Head()
    head.move(offset(3))
    await head.reach(offset(3))
    waiting = asyncio.ensure_future(head.reach(offset(5)))
    head.move(offset(4))
    await turns()
    assert not waiting.done()
    head.move(offset(6))
    await waiting


@pytest.mark.parametrize("seq", [0, 5])
async def test_reach_does_not_wait_in_another_epoch(seq: int) -> None:
    """The log began again: the position that was asked for never comes."""
    head = Head()
    head.move(offset(1))
    waiting = asyncio.ensure_future(head.reach(offset(9)))
    await turns()
    head.move(offset(seq)._replace(epoch="another"))
    await waiting
