"""The open connections of this server's consumers, on all transports."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sio_server.access.principals import Principal, revoked
from sio_server.access.rates import RateLimit
from sio_server.access.revocations import Revocations
from sio_server.access.sources import Source
from sio_server.contract.errors import ContractError, TokenExpired
from sio_server.contract.events import Offset
from sio_server.delivery.cursor import Cursor, State
from sio_server.delivery.fanout import Fanout, OnCaughtUp
from sio_server.delivery.resume import GapCause, Result, Start
from sio_server.delivery.sessions import ConsumerSession
from sio_server.eventlog.session_contract import Superseded
from sio_server.logs import get_logger
from sio_server.metrics import Metrics
from sio_server.net.tasks import MAX_RUNNING_TASKS
from sio_server.randomness import random_bytes

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

    Attributes:
        id: a random name for the log lines of the connection.
    """

    __slots__ = ("cursor", "id", "principal", "rate", "session", "source", "transport")

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
        self.id = random_bytes(4).hex()

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


class Ends(NamedTuple):
    """The ways in which the server ends a connection.

    Attributes:
        close: ends the transport in a way that lets the client connect again.
        refuse: tells the client an error, and ends the transport.
    """

    close: Callable[[], None]
    refuse: Callable[[ContractError], None]


class Connections:
    """The open connections of consumers.

    Args:
        fanout: a connection's cursor joins it, and leaves it when the connection ends.
        metrics: the counters.
        revocations: the revoked tokens.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        fanout: Fanout,
        metrics: Metrics,
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fanout = fanout
        self._metrics = metrics
        metrics.show_from_start(metrics.recoveries, Result)
        metrics.show_from_start(metrics.gaps, GapCause)
        self._revocations = revocations
        self._clock = clock
        self._ends: dict[Connection, Ends] = {}
        self._with_tokens: dict[Connection, None] = {}  # their rights end
        self._by_session: dict[str, Connection] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._ends)

    def count(self) -> Counter[str]:
        """Count the connections by transport; ``parked`` are those of slow consumers."""
        counts = Counter(connection.transport for connection in self._ends)
        counts["parked"] = sum(it.cursor.state is State.PARKED for it in self._ends)
        return counts

    def open(
        self,
        connection: Connection,
        ends: Ends,
        decide: Callable[[Offset], Start],
        on_caught_up: OnCaughtUp,
    ) -> None:
        """Add a connection, and let its consumer begin.

        Args:
            connection: a new one.
            ends: the ways to end it.
            decide: returns the consumer's start, given the present head; see ``resume``.
            on_caught_up: see ``Fanout.join``.
        """
        self._add(connection, ends)
        start = decide(self._fanout.position)
        if start.result is not None:
            self._metrics.recoveries.labels(start.result).inc()
        if start.cause is not None:
            self._metrics.gaps.labels(start.cause).inc()
        self._fanout.join(connection.cursor, start, on_caught_up)

    def _add(self, connection: Connection, ends: Ends) -> None:
        self._ends[connection] = ends
        if connection.session is not None:
            self._by_session[connection.session.key] = connection
        if self._closing:  # the drain began while this connection was opening
            ends.close()
        self._metrics.connections[connection.transport].inc()
        log.info(
            "connected",
            connection=connection.id,
            transport=connection.transport,
            address=connection.source.address,
            by=str(connection.principal.identity),
            rooms=len(connection.cursor.rooms),
            clients=len(self),
        )
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """Note whether the rights of a client can end. They may have ended in the meantime."""
        self._with_tokens.pop(connection, None)
        if connection.principal.expires is not None:
            self._with_tokens[connection] = None
            self._refuse_if_revoked(connection)

    def _refuse_if_revoked(self, connection: Connection) -> None:
        principal = connection.principal
        if self._revocations.include(principal.identity, principal.issued):
            self._ends[connection].refuse(revoked())

    def remove(self, connection: Connection, reason: str, *, dead: bool = False) -> None:
        """Remove a connection. A second call does nothing.

        Args:
            connection: the ended connection.
            reason: the server's word for the reason, never text of a client.
            dead: the connection was found dead; neither side closed it.
        """
        if self._ends.pop(connection, None) is None:
            return
        self._with_tokens.pop(connection, None)
        session = connection.session
        if session is not None and self._by_session.get(session.key) is connection:
            del self._by_session[session.key]
        self._fanout.leave(connection.cursor)
        self._metrics.connections[connection.transport].dec()
        log.info(
            "dead_connection_removed" if dead else "disconnected",
            connection=connection.id,
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
                self._ends[connection].close()

    def change_principal(self, connection: Connection, principal: Principal) -> None:
        """Replace the rights of a client by others of the same identity."""
        connection.principal = principal
        if connection in self._ends:
            self._watch(connection)

    def end_expired(self) -> None:
        """Refuse the clients whose tokens have expired."""
        now = self._clock()
        for connection in list(self._with_tokens):
            expires = connection.principal.expires
            if expires is not None and expires <= now and connection in self._ends:
                self._ends[connection].refuse(TokenExpired("the token has expired"))

    def end_revoked(self) -> None:
        """Refuse the clients whose tokens are revoked."""
        for connection in list(self._with_tokens):
            if connection in self._ends:
                self._refuse_if_revoked(connection)

    async def close_all(self, seconds: float) -> None:
        """Close all connections, one after another, within ``seconds``; later ones at once."""
        self._closing = True
        all_ends = list(self._ends.values())
        log.info("draining", clients=len(all_ends))
        pause = min(DRAIN_PAUSE_SECONDS, max(0.0, seconds) / max(1, len(all_ends)))
        for ends in all_ends:
            ends.close()
            await asyncio.sleep(pause)
