"""The log's tail: every appended event goes through here to the fan-out, in the log's order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
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

TOGETHER_BYTES = 8_192
"""Events that wait are written together, up to so many characters of JSON. Most of the time of a
delivery is its system call."""


class TailDelivery:
    """Delivers the log's tail. Events that were committed together have one log line.

    Args:
        event_log: the log, open when the first method is called.
        fanout: writes an event to its consumers.
        metrics: get the time from an event's commit to its last write.
        max_message_bytes: an outlet has spare room for one message of this length.

    Attributes:
        deliver: delivers records that are written together, and returns the number of consumers of
            each. Tracing wraps it.
    """

    def __init__(
        self, event_log: EventLog, fanout: Fanout, metrics: Metrics, max_message_bytes: int
    ) -> None:
        self._event_log = event_log
        self._fanout = fanout
        self._metrics = metrics
        # JSON is counted in characters, and each of them may be four bytes of a frame.
        self._together_bytes = min(TOGETHER_BYTES, max_message_bytes // 4)
        self._is_alone = False  # the present record was committed alone
        self._unlogged: list[tuple[Record, int]] = []
        self.deliver: Callable[[Sequence[Record]], list[int]] = self._deliver

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
                self._fanout.deliver(page.records)
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
            for together, size in _cut(records, self._together_bytes):
                self.deliver(together)
                position = fanout.position
                if turn.is_over(size):
                    self._log_delivered()
                    await asyncio.sleep(0)
                    if fanout.position != position:  # the tail broke: the other records are dropped
                        break
                    turn.begin()
            self._log_delivered()
            fanout.expect(fanout.position)

    def _deliver(self, records: Sequence[Record]) -> list[int]:
        try:
            counts = self._fanout.deliver(records)
        except Exception:  # a failure must not end all delivery
            log.exception("delivery_failed", offset=str(records[0].offset))
            return [0] * len(records)
        now = time.monotonic()
        for record in records:
            if record.committed_at is not None:
                self._metrics.commit_to_write.observe(now - record.committed_at)
        if self._is_alone:
            ((record, count),) = zip(records, counts, strict=True)
            offset = str(record.offset)
            log.info("delivered", type=record.type, id=record.id, offset=offset, to=count)
        else:
            self._unlogged += zip(records, counts, strict=True)
        return counts

    def _log_delivered(self) -> None:
        delivered = self._unlogged
        if delivered:
            log.info(
                "delivered",
                events=len(delivered),
                first=str(delivered[0][0].offset),
                last=str(delivered[-1][0].offset),
                deliveries=sum(count for _, count in delivered),
            )
            delivered.clear()


def _cut(records: Iterable[Record], max_bytes: int) -> Iterator[tuple[list[Record], int]]:
    """Cut records into lists of at most so much JSON, each with its size.

    A larger record is alone.
    """
    together: list[Record] = []
    size = 0
    for record in records:
        if together and size + record.size > max_bytes:
            yield together, size
            together, size = [], 0
        together.append(record)
        size += record.size
    if together:
        yield together, size
