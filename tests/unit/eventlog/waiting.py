"""Functions that wait for a condition instead of a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import EventLog


async def append_when_possible(log: EventLog, event: Event) -> Receipt:
    """Append an event as a producer does: try again while the log is unavailable."""
    async with asyncio.timeout(20):
        while True:
            try:
                (receipt,) = await log.append([event])
            except LogUnavailable:
                await asyncio.sleep(0.002)
            else:
                assert isinstance(receipt, Receipt)
                return receipt


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds that is a coroutine, such as a query of the log."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.002)
