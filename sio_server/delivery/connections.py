"""The open connections of this server's consumers, on all transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sio_server.access.principals import Principal
from sio_server.access.rates import RateLimit
from sio_server.access.sources import Source
from sio_server.contract.events import Offset
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import Fanout, OnCaughtUp
from sio_server.delivery.resume import Start
from sio_server.delivery.sessions import ConsumerSession
from sio_server.eventlog.session_contract import Superseded
from sio_server.logs import get_logger
from sio_server.metrics import Metrics
from sio_server.net.tasks import MAX_RUNNING_TASKS

log = get_logger("sio_server")

DRAIN_PAUSE_SECONDS = 0.01
"""The time between closing one consumer and the next, if the drain time allows it."""


class Connection:
    """A consumer's connection.

    Args:
        transport: ``socketio``, ``websocket`` or ``sse``, for the log and the metrics.
        principal: the identity and the rights of the client.
        source: the origin of the connection.
        cursor: the consumer's place in the log.
        rate: the limit for the connection's commands.
        session: the session that the client can recover, or None.
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

    @property
    def is_over_rate(self) -> bool:
        """Whether its commands are refused before they are decoded.

        A producer's are not: its publishing has no rate limit.
        """
        return self.rate.is_over and not self.principal.is_producer

    @property
    def max_running_commands(self) -> int:
        """How many of its commands run at once: one, if it may not publish."""
        return MAX_RUNNING_TASKS if self.principal.may_publish else 1


class Connections:
    """The open connections of consumers.

    Args:
        fanout: a connection's cursor joins it, and leaves it when the connection ends.
        metrics: the counters.
    """

    def __init__(self, fanout: Fanout, metrics: Metrics) -> None:
        self._fanout = fanout
        self._metrics = metrics
        self._closes: dict[Connection, Callable[[], None]] = {}
        self._by_session: dict[str, Connection] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._closes)

    def open(
        self,
        connection: Connection,
        close: Callable[[], None],
        decide: Callable[[Offset], Start],
        on_caught_up: OnCaughtUp,
    ) -> None:
        """Add a connection, and let its consumer begin.

        Args:
            connection: a new one.
            close: ends the transport in a way that lets the client connect again.
            decide: returns the consumer's start, given the present head; see ``resume``.
            on_caught_up: see ``Fanout.join``.
        """
        self._add(connection, close)
        self._fanout.join(connection.cursor, decide(self._fanout.position), on_caught_up)

    def _add(self, connection: Connection, close: Callable[[], None]) -> None:
        self._closes[connection] = close
        if connection.session is not None:
            self._by_session[connection.session.key] = connection
        if self._closing:  # the drain began while this connection was opening
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
        """Remove a connection. A second call does nothing.

        Args:
            connection: the ended connection.
            reason: the server's word for the reason, never text of a client.
            dead: the connection was found dead; neither side closed it.
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

    def close_superseded(self, superseded: Iterable[Superseded]) -> None:
        """Close the connections whose session has a later connection, on any server."""
        for key, owner in superseded:
            connection = self._by_session.get(key)
            if connection is None or connection.session is None:
                continue
            if connection.session.owner != owner:
                self._closes[connection]()

    async def close_all(self, seconds: float) -> None:
        """Close all connections, one after another, within ``seconds``; later ones at once."""
        self._closing = True
        closes = list(self._closes.values())
        log.info("draining", clients=len(closes))
        pause = min(DRAIN_PAUSE_SECONDS, max(0.0, seconds) / max(1, len(closes)))
        for close in closes:
            close()
            await asyncio.sleep(pause)
