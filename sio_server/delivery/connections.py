"""Who is connected to this node, over whichever transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from sio_server.access.limits import RateLimit
from sio_server.access.principals import Principal
from sio_server.access.sources import Source
from sio_server.contract.events import Offset
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.sessions import ConsumerSession
from sio_server.eventlog.session_contract import Superseded
from sio_server.logs import get_logger
from sio_server.metrics import Metrics

log = get_logger("sio_server")

DRAIN_PAUSE = 0.01
"""Seconds between closing one consumer and the next, unless that would take too long."""


class Connection:
    """A consumer's connection: who it is, what it gets, how much it has asked.

    Args:
        transport: ``socketio``, ``websocket`` or ``sse``, for the log and the metrics.
        principal: whom it speaks for.
        source: where it comes from.
        cursor: its place in the log.
        rate: its commands.
        session: what its client can come back to, if it can.
    """

    __slots__ = ("cursor", "principal", "rate", "session", "source", "transport")

    def __init__(
        self,
        transport: str,
        principal: Principal,
        source: Source,
        cursor: Cursor,
        rate: RateLimit,
        session: ConsumerSession | None = None,
    ) -> None:
        self.transport = transport
        self.principal = principal
        self.source = source
        self.cursor = cursor
        self.rate = rate
        self.session = session


class Connections:
    """The open connections of consumers.

    Args:
        fanout: what those that end leave.
        metrics: what is counted.
    """

    def __init__(self, fanout: Fanout, metrics: Metrics) -> None:
        self._fanout = fanout
        self._metrics = metrics
        self._closes: dict[Connection, Callable[[], None]] = {}
        self._by_session: dict[str, Connection] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._closes)

    def add(self, connection: Connection, close: Callable[[], None]) -> None:
        """Note a connection; it gets nothing before ``Fanout.join``.

        Args:
            close: ends its transport in a way that lets the client come back.
        """
        self._closes[connection] = close
        if connection.session is not None:
            self._by_session[connection.session.key] = connection
        if self._closing:  # it was opening when the others were told
            close()
        self._metrics.connections[connection.transport].inc()
        log.info(
            "connected",
            transport=connection.transport,
            address=connection.source.address,
            by=connection.principal.kind,
            rooms=len(connection.cursor.rooms),
            clients=len(self),
        )

    def remove(self, connection: Connection, reason: str, *, dead: bool = False) -> None:
        """Forget a connection. A second call does nothing.

        Args:
            reason: one of ours, never a client's words.
            dead: nobody closed it; it was found dead.
        """
        if self._closes.pop(connection, None) is None:
            return
        session = connection.session
        if session is not None and self._by_session.get(session.key) is connection:
            del self._by_session[session.key]
        self._fanout.leave(connection.cursor)
        self._metrics.connections[connection.transport].dec()
        log.info(
            "dead_connection_removed" if dead else "disconnected",
            transport=connection.transport,
            address=connection.source.address,
            reason=reason,
            clients=len(self),
        )

    def give_up(self, taken: Iterable[Superseded]) -> None:
        """End those whose session goes on over another connection, on whichever node."""
        for key, owner in taken:
            connection = self._by_session.get(key)
            if connection is None or connection.session is None:
                continue
            if connection.session.owner != owner:
                self._closes[connection]()

    async def close_all(self, seconds: float) -> None:
        """Close all, one after another, within that time; from now on also those that are new."""
        self._closing = True
        closes = list(self._closes.values())
        log.info("draining", clients=len(closes))
        pause = min(DRAIN_PAUSE, max(0.0, seconds) / max(1, len(closes)))
        for close in closes:
            close()
            await asyncio.sleep(pause)


def ready(
    cursor: Cursor, position: Offset, gap: bool, replayed: int, *, recovered: bool = False
) -> dict[str, Any]:
    """Return the object that tells a consumer that it has caught up."""
    return {
        "type": "ready",
        "position": str(position),
        "rooms": sorted(cursor.rooms),
        "recovered": recovered,
        "gap": gap,
        "replayed": replayed,
    }
