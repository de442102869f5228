"""A connection to Valkey: whoever breaks off what it waits for gets it back."""

from __future__ import annotations

import asyncio

from sio_server.eventlog.valkey.connection import ValkeyAddress, ValkeyConnection
from tests.support.valkey import Valkey
from tests.unit.eventlog.waiting import until

STEPS = 30
"""More than the steps of the loop that a question takes until it waits for the answer alone."""


async def test_a_question_that_is_broken_off_ends_wherever_it_is(valkey: Valkey) -> None:
    """While it connects, sends or waits: else the tail waits on for what it was told to leave."""
    connection = ValkeyConnection(ValkeyAddress(valkey.url))
    for open_before in (False, True):
        for steps in range(STEPS):
            if open_before:
                await connection.connect()
            asking = asyncio.create_task(
                connection.request(("BLPOP", "nothing", 3_600), extra_seconds=3_600)
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await until(asking.done)
            assert asking.cancelled()
    await connection.close()
