"""The logs whose session stores are checked against one contract."""

from __future__ import annotations

from sio_server.eventlog.contract import EventLog, Retention
from tests.support import eventlogs
from tests.support.eventlogs import KINDS, Clock, Place

DURABLE = ["sqlite", "valkey"]
"""The stores that outlive their server."""
SHARED = ["valkey"]
"""The stores that several nodes share."""

LIFETIME_SECONDS = 60


class Kind:
    """Makes the logs of one kind at one place, with one clock.

    Attributes:
        name: of the kind.
        retention: of the logs that are opened from now on.
    """

    def __init__(self, name: str, place: Place) -> None:
        self.clock = Clock()
        self.retention = Retention(LIFETIME_SECONDS)
        self.logs: list[EventLog] = []
        self.name = name
        self._place = place

    async def node(self) -> EventLog:
        """Return the log of one more node; if the kind cannot be shared, the log that is open."""
        if self.logs and self.name not in SHARED:
            return self.logs[0]
        return await self.open()

    async def open(self) -> EventLog:
        """Open a log with the data of the logs before it."""
        log = KINDS[self.name](self._place, self.retention, self.clock)
        self.logs.append(log)
        await log.open()
        return log

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await eventlogs.pass_time(seconds, self.clock, *self.logs)
