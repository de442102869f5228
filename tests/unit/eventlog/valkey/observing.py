"""Observe a Valkey event log from outside: its tail, its breaks, its channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from sio_server.contract.events import Event, Offset, Receipt, Record
from sio_server.eventlog.contract import EventLog
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey


class TailObserver:
    """Follows the tail of a log, and records its breaks.

    Attributes:
        ids: the ids of the events since the last break, in order.
        offsets: the offsets of the same events.
        breaks: the positions at which the tail continued after its breaks.
    """

    def __init__(self, log: EventLog) -> None:
        self.ids: list[str] = []
        self.offsets: list[Offset] = []
        self.breaks: list[Offset] = []
        log.on_break = self._handle_break
        self._task = asyncio.create_task(self._follow(log.tail()))

    def _handle_break(self, position: Offset) -> None:
        self.breaks.append(position)
        self.ids.clear()
        self.offsets.clear()

    async def _follow(self, tail: AsyncIterator[list[Record]]) -> None:
        async for records in tail:
            self.ids += [json.loads(record.body)["id"] for record in records]
            self.offsets += [record.offset for record in records]


async def append(log: EventLog, *events: Event) -> list[Receipt]:
    """Append events and return their receipts; no event may be refused."""
    results = await log.append(events)
    receipts = [result for result in results if isinstance(result, Receipt)]
    assert len(receipts) == len(events)
    return receipts


def url_through(proxy: LossyProxy) -> str:
    """Return the URL of a log that connects through a proxy."""
    return f"redis://127.0.0.1:{proxy.port}/0"


async def is_subscribed(server: Valkey) -> bool:
    """Tell whether a node is subscribed to the server's channel of superseded sessions."""
    with server.client as client:
        return bool(client.pubsub_numsub(f"{PREFIX}:superseded")[0][1])


class HeldTail:
    """Holds the tail of a log: its next request waits until ``gate`` is set.

    Attributes:
        gate: set by the test.
        waiting: whether a request waits.
    """

    def __init__(self, log: ValkeyLog) -> None:
        self.gate = asyncio.Event()
        self.waiting = False
        self._connection = log._follower._connection
        self._request = self._connection.request
        self._connection.request = self._wait  # type: ignore[method-assign]

    async def _wait(self, *commands: Any, **options: Any) -> Any:
        self.waiting = True
        await self.gate.wait()
        return await self._request(*commands, **options)
