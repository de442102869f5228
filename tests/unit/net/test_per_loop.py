"""Objects of which each event loop has one."""

from __future__ import annotations

import asyncio
import gc

from sio_server.net.per_loop import PerLoop


def test_each_event_loop_has_its_object_which_ends_with_it() -> None:
    """A program that runs one loop after another keeps nothing of the former ones."""
    numbers = iter(range(10))
    values = PerLoop(lambda: next(numbers))

    async def twice() -> list[int]:
        return [values.get(), values.get()]

    assert [asyncio.run(twice()) for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]
    gc.collect()
    assert len(values) == 0
