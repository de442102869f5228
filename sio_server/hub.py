"""The middle of the server: the only way into the event log, and what each command means.

Endpoints decode a command, call the hub and write its answer. The hub decides what a command means,
once for all transports. It also runs the log's tail into the fan-out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from sio_server.access.identity import Identity
from sio_server.access.limits import Limits
from sio_server.access.principals import Access, Principal
from sio_server.contract.commands import Authenticate, Command, Ping, Publish, Subscribe
from sio_server.contract.errors import (
    ContractError,
    Forbidden,
    LogUnavailable,
    RateLimited,
    ShuttingDown,
)
from sio_server.contract.events import (
    Event,
    Receipt,
    format_timestamp,
    now_timestamp,
)
from sio_server.contract.revocations import Revocation
from sio_server.delivery.connections import DRAIN_PAUSE_SECONDS, Connection, Connections
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.revocations import RevocationFollower
from sio_server.delivery.sessions import ConsumerSessions
from sio_server.delivery.tail import TailDelivery
from sio_server.eventlog.contract import EventLog
from sio_server.eventlog.session_contract import Superseded
from sio_server.logs import connection_id, get_logger
from sio_server.metrics import Metrics

if TYPE_CHECKING:
    from sio_server.tracing import Appending, Publishing, Tracing

log = get_logger("sio_server")

MAX_TIMED_PUBLISHES = 1_000
"""The number of calls to the log whose time the hub remembers."""

EXPIRY_SECONDS = 1.0
"""How often the server looks for clients whose tokens have expired."""


class Hub:
    """The hub of one server.

    Args:
        event_log: not yet open. The hub opens and closes it.
        fanout: delivers the log's tail.
        sessions: stores a change of rooms before it is acknowledged.
        connections: the consumers to close when the server drains.
        access: identifies the client of a fresh token.
        revocations: stores the revocations of tokens, and lets them count.
        limits: bounds the rooms of a connection.
        metrics: the counters.
        drain_seconds: the longest time that a drain takes.
        max_message_bytes: see ``TailDelivery``.
        tracing: makes spans of publishes and deliveries; None: no spans.

    Attributes:
        publish_seconds: how long the log took to store events, for its latest calls.
    """

    def __init__(
        self,
        event_log: EventLog,
        fanout: Fanout,
        sessions: ConsumerSessions,
        connections: Connections,
        access: Access,
        revocations: RevocationFollower,
        limits: Limits,
        metrics: Metrics,
        drain_seconds: float,
        max_message_bytes: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._event_log = event_log
        self._append: Appending = event_log.append
        self._publish_command: Publishing = self.publish
        self._tail = TailDelivery(event_log, fanout, metrics, max_message_bytes)
        if tracing is not None:
            self._append = tracing.append(self._append)
            self._publish_command = tracing.publish(self._publish_command)
            self._tail.deliver = tracing.deliver(self._tail.deliver)
        self._fanout = fanout
        self._sessions = sessions
        self._connections = connections
        self._access = access
        self._revocations = revocations
        self._limits = limits
        self._metrics = metrics
        self._drain_seconds = drain_seconds
        self._drained_at: float | None = None  # on the loop's clock, once the server drains
        self._tail_task: asyncio.Task[None] | None = None
        self._superseded_task: asyncio.Task[None] | None = None
        self._access_tasks: list[asyncio.Task[None]] = []
        self._publishes_in_flight = 0
        self.publish_seconds: deque[float] = deque(maxlen=MAX_TIMED_PUBLISHES)
        self._publish_done = asyncio.Event()

    async def start(self) -> None:
        """Open the log and begin to deliver.

        Raises:
            StartError: the log cannot be opened, now or later.
        """
        await self._event_log.open()
        tail = self._event_log.tail()
        superseded = self._event_log.sessions.superseded()
        self._event_log.on_break = self._fanout.jump_to
        with suppress(LogUnavailable):  # once the log is reached, its tail breaks and says where
            await self._tail.load_recent()
            await self._revocations.load()
        self._tail_task = asyncio.create_task(self._tail.run(tail))
        self._superseded_task = asyncio.create_task(self._close_superseded(superseded))
        self._access_tasks = [
            asyncio.create_task(self._end_expired()),
            asyncio.create_task(self._revocations.follow()),
        ]

    async def stop(self) -> None:
        """Close the log and stop delivering."""
        await self._event_log.close()
        for task in self._access_tasks:
            task.cancel()
        for delivering in (self._tail_task, self._superseded_task):
            if delivering is not None:
                await delivering

    @property
    def is_delivering(self) -> bool:
        """Whether appended events still reach consumers. Once False, always False."""
        return self._tail_task is not None and not self._tail_task.done()

    @property
    def is_draining(self) -> bool:
        """Whether the server stops. Once True, always True."""
        return self._drained_at is not None

    async def _close_superseded(self, superseded: AsyncIterator[list[Superseded]]) -> None:
        async for sessions in superseded:
            self._connections.close_superseded(sessions)

    async def _end_expired(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            self._connections.end_expired()

    async def revoke(self, principal: Principal, revocation: Revocation) -> None:
        """Revoke tokens; see ``RevocationFollower.add``.

        Raises:
            LogUnavailable: the log cannot be reached. The tokens may be revoked.
            ContractError: nothing was revoked.
        """
        principal.check_revoke()
        self.check_open()
        await self._revocations.add(revocation)
        tokens = Identity("token", revocation.subject, revocation.issuer)
        log.info("revoked", tokens=str(tokens), by=str(principal.identity))

    async def publish(self, principal: Principal, event: Event) -> Receipt:
        """Append one event.

        Raises:
            ContractError: nothing was appended.
        """
        (result,) = await self.publish_many(principal, [event])
        if isinstance(result, ContractError):
            raise result
        return result

    async def publish_many(
        self, principal: Principal, events: Sequence[Event]
    ) -> list[Receipt | ContractError]:
        """Append events in their order. This is the only way into the log.

        Returns:
            A result for each event, in order.

        Raises:
            ContractError: no event was appended.
        """
        principal.check_publish()
        self.check_open()
        _log_received(events, str(principal.identity))
        self._publishes_in_flight += 1
        began = time.monotonic()
        try:
            results = await self._append(events)
        finally:
            self._publishes_in_flight -= 1
            self._publish_done.set()
        seconds = time.monotonic() - began
        self.publish_seconds.append(seconds)
        self._metrics.publish_seconds.observe(seconds)
        counts = Counter(
            (event.type, result.duplicate)
            for event, result in zip(events, results, strict=True)
            if isinstance(result, Receipt)
        )
        for (event_type, duplicate), count in counts.items():
            self._metrics.count_published(event_type, duplicate, count)
        return results

    async def execute(self, connection: Connection, parse: Callable[[], Command]) -> dict[str, Any]:
        """Execute a client's command.

        Args:
            connection: the client's connection.
            parse: returns the command, or raises the command's error.

        Returns:
            The fields of the answer.

        Raises:
            Flooding: the connection is to be closed.
            ContractError: nothing was done.
        """
        counted = False
        lines = connection_id.set(connection.id)
        try:
            if connection.is_over_rate:
                counted = True
                connection.rate.count()
            command = parse()
            if isinstance(command, Publish):
                return (await self._publish_command(connection.principal, command.event)).as_dict()
            counted = True
            connection.rate.count()
            return await self._execute(connection, command)
        except ContractError as error:
            # The error that is raised must not be in a variable here: the error, its traceback and
            # this frame would be a cycle, and the client's message would stay in memory.
            raise self._refuse(connection, error, counted=counted) from None
        finally:
            connection_id.reset(lines)

    def _refuse(
        self, connection: Connection, error: ContractError, *, counted: bool
    ) -> ContractError:
        """Return the error to answer with. Count the failure, unless it was counted before."""
        answer = error if counted else connection.rate.count_failure(error)
        if isinstance(answer, RateLimited):
            self._limits.note_refusal(connection.source.address)
        self._metrics.refused.labels(answer.code).inc()
        return answer

    async def _execute(self, connection: Connection, command: Command) -> dict[str, Any]:
        if isinstance(command, Ping):
            return {"type": "pong", "timestamp": now_timestamp()}
        if isinstance(command, Authenticate):
            return await self._authenticate(connection, command.token)
        assert not isinstance(command, Publish)  # ``execute`` has done that
        session = connection.session
        async with nullcontext() if session is None else session.rooms_lock:
            if isinstance(command, Subscribe):
                await self._subscribe(connection, command.rooms)
            else:
                await self._unsubscribe(connection, command.rooms)
            return {"rooms": sorted(connection.cursor.rooms)}

    async def _authenticate(self, connection: Connection, token: str) -> dict[str, Any]:
        """Replace the rights of a connection. It leaves the rooms that they no longer allow."""
        principal = self._access.identify(token, connection.source)
        if principal.identity != connection.principal.identity:
            raise Forbidden("the credential is another client's")
        session = connection.session
        async with nullcontext() if session is None else session.rooms_lock:
            rooms = connection.cursor.rooms
            lost = {room for room in rooms if not principal.allowed_rooms.allows(room)}
            if lost:
                await self._unsubscribe(connection, frozenset(lost))
            self._fanout.change_sight(connection.cursor, principal.rooms)
            self._connections.change_principal(connection, principal)
            expires = principal.expires
            return {
                "expires": None if expires is None else format_timestamp(int(expires * 1000)),
                "rooms": sorted(connection.cursor.rooms),
            }

    async def _subscribe(self, connection: Connection, rooms: frozenset[str]) -> None:
        connection.principal.check_rooms(rooms)
        cursor, session = connection.cursor, connection.session
        self._limits.check_rooms(rooms | cursor.rooms.keys())
        added = rooms - cursor.rooms.keys()
        self._fanout.subscribe(cursor, added)
        if session is not None:
            try:
                await self._sessions.save(session, cursor.rooms)
            except ContractError:
                self._fanout.unsubscribe(cursor, added)
                raise

    async def _unsubscribe(self, connection: Connection, rooms: frozenset[str]) -> None:
        cursor, session = connection.cursor, connection.session
        if session is not None:
            remaining = {room: seq for room, seq in cursor.rooms.items() if room not in rooms}
            await self._sessions.save(session, remaining)
        self._fanout.unsubscribe(cursor, rooms)

    def check_open(self) -> None:
        """Refuse new connections and publishes while the server drains.

        Raises:
            ShuttingDown: the server drains.
        """
        if self._drained_at is not None:
            raise ShuttingDown(self._drained_at - asyncio.get_running_loop().time())

    async def drain(self) -> None:
        """Refuse new work, let publishes in flight finish, then close the consumers.

        The closing is spread over time. All of it ends within the drain time.
        """
        loop = asyncio.get_running_loop()
        self._drained_at = deadline = loop.time() + self._drain_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._publishes_in_flight:
                    self._publish_done.clear()
                    await self._publish_done.wait()
        closing_seconds = DRAIN_PAUSE_SECONDS * len(self._connections)
        self._drained_at = min(deadline, loop.time() + closing_seconds)
        await self._connections.close_all(deadline - loop.time())


def _log_received(events: Sequence[Event], by: str) -> None:
    """Write one line for all events of an append."""
    if len(events) == 1:
        log.info("received", type=events[0].type, id=events[0].id, by=by)
    elif events:
        first, last = events[0].id, events[-1].id
        log.info("received", events=len(events), first=first, last=last, by=by)
