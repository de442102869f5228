"""The log's tail: every appended event goes through here to the fan-out, in the log's order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Offset, Record
from sio_server.delivery.catchup import PAGE_EVENTS
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.recent import MAX_RECENT_EVENTS
from sio_server.eventlog.contract import EventLog
from sio_server.logs import get_logger
from sio_server.metrics import Metrics
from sio_server.net.turns import Turn

log = get_logger("sio_server")


class TailDelivery:
    """Delivers the log's tail. Events that were committed together have one log line.

    Args:
        event_log: the log, open when the first method is called.
        fanout: writes an event to its consumers.
        metrics: get the time from an event's commit to its last write.

    Attributes:
        deliver_one: delivers a record and returns the number of its consumers. Tracing wraps it.
    """

    def __init__(self, event_log: EventLog, fanout: Fanout, metrics: Metrics) -> None:
        self._event_log = event_log
        self._fanout = fanout
        self._metrics = metrics
        self._is_alone = False  # the present record was committed alone
        self._unlogged: list[tuple[Record, int]] = []
        self.deliver_one: Callable[[Record], int] = self._deliver_one

    async def load_recent(self) -> None:
        """Start at the log's end, and load the latest events for clients that reconnect."""
        bounds = await self._event_log.bounds()
        end = bounds.position
        position = Offset(end.epoch, max(bounds.oldest.seq, end.seq - MAX_RECENT_EVENTS))
        self._fanout.jump_to(position)
        with suppress(LogUnavailable):
            while position.seq < end.seq:
                page = await self._event_log.read(
                    position, None, min(PAGE_EVENTS, end.seq - position.seq)
                )
                if page.gap:
                    break
                for record in page.records:
                    self._fanout.deliver(record)
                position = page.position
        if position != end:
            self._fanout.jump_to(end)

    async def run(self, tail: AsyncIterator[list[Record]]) -> None:
        """Deliver until the tail ends."""
        fanout = self._fanout
        async for records in tail:
            fanout.expect(records[-1].offset)
            self._is_alone = len(records) == 1
            turn = Turn()
            for record in records:
                self.deliver_one(record)
                position = fanout.position
                if turn.is_over(record.size):
                    self._log_delivered()
                    await asyncio.sleep(0)
                    if fanout.position != position:  # the tail broke: the other records are dropped
                        break
                    turn.begin()
            self._log_delivered()
            fanout.expect(fanout.position)

    def _deliver_one(self, record: Record) -> int:
        try:
            recipients = self._fanout.deliver(record)
        except Exception:  # one event's failure must not end all delivery
            log.exception("delivery_failed", offset=str(record.offset))
            return 0
        if record.committed_at is not None:
            self._metrics.commit_to_write.observe(time.monotonic() - record.committed_at)
        if self._is_alone:
            offset = str(record.offset)
            log.info("delivered", type=record.type, id=record.id, offset=offset, to=recipients)
        else:
            self._unlogged.append((record, recipients))
        return recipients

    def _log_delivered(self) -> None:
        delivered = self._unlogged
        if delivered:
            log.info(
                "delivered",
                events=len(delivered),
                first=str(delivered[0][0].offset),
                last=str(delivered[-1][0].offset),
                deliveries=sum(recipients for _, recipients in delivered),
            )
            delivered.clear()
