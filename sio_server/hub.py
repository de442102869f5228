"""The middle of the server: the only way into the log, and the log's tail into the fan-out.

Endpoints decode, call the hub, and answer; what a command means is decided here, once for every
transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from sio_server.access.limits import AddressRates, ConnectionLimits, RateLimit
from sio_server.access.principals import Access, Principal
from sio_server.contract.commands import Authenticate, Command, Ping, Publish, Subscribe
from sio_server.contract.errors import (
    ContractError,
    Forbidden,
    LogUnavailable,
    RateLimited,
    ShuttingDown,
)
from sio_server.contract.events import Event, Offset, Receipt, now_timestamp
from sio_server.delivery.catchup import PAGE_EVENTS
from sio_server.delivery.connections import DRAIN_PAUSE, Connection, Connections
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.recent import MAX_RECENT_EVENTS
from sio_server.delivery.sessions import ConsumerSessions
from sio_server.eventlog.contract import EventLog
from sio_server.eventlog.session_contract import Superseded
from sio_server.logs import get_logger
from sio_server.metrics import Metrics
from sio_server.settings import Settings

log = get_logger("sio_server")


def pong() -> dict[str, Any]:
    """Return the answer to a ping."""
    return {"type": "pong", "timestamp": now_timestamp()}


class Hub:
    """One node's hub.

    Args:
        settings: the limits.
        event_log: not yet open.
        access: turns credentials into principals.
        metrics: what is counted.
    """

    def __init__(
        self, settings: Settings, event_log: EventLog, access: Access, metrics: Metrics
    ) -> None:
        self.settings = settings
        self.event_log = event_log
        self.access = access
        self.metrics = metrics
        self.connection_limits = ConnectionLimits(
            settings.max_connections, settings.max_connections_per_address
        )
        self.address_rates = AddressRates(settings.rate_limit)
        self.fanout = Fanout(
            event_log,
            settings.slow_seconds,
            metrics.delivered.inc,
            metrics.parked.inc,
            settings.retention_events,
        )
        self.recovery = ConsumerSessions(event_log)
        self.connections = Connections(self.fanout, metrics)
        self.draining = False
        self._drained_at = 0.0  # on the loop's clock, once it drains
        self._tail: asyncio.Task[None] | None = None
        self._takeovers: asyncio.Task[None] | None = None
        self._publishing = 0
        self._published = asyncio.Event()

    async def start(self) -> None:
        """Open the log and begin to deliver.

        Raises:
            StartError: the log can't be opened for good.
        """
        await self.event_log.open()
        tail, lost = self.event_log.tail(), self.event_log.sessions.superseded()
        self.event_log.on_break = self.fanout.jump_to
        with suppress(LogUnavailable):  # a break of the tail tells the position, once it is there
            await self._go_on()
        self._tail = asyncio.create_task(self._deliver(tail))
        self._takeovers = asyncio.create_task(self._give_up(lost))

    async def stop(self) -> None:
        """Close the log and stop delivering."""
        await self.event_log.close()
        for task in (self._tail, self._takeovers):
            if task is not None:
                await task

    @property
    def is_delivering(self) -> bool:
        """Whether what is appended reaches the consumers; for good or not at all."""
        return self._tail is not None and not self._tail.done()

    async def catch_up(self) -> None:
        """Wait until all that was acknowledged by now, on whichever server, is delivered here.

        Raises:
            LogUnavailable: the log can't be asked.
        """
        if self.event_log.shared:  # otherwise the tail has it before its producer has the answer
            await self.fanout.reach((await self.event_log.bounds()).position)

    async def _go_on(self) -> None:
        """Go on at the log's end, with what came right before it in memory for who comes back."""
        kept = await self.event_log.bounds()
        end = kept.position
        position = Offset(end.epoch, max(kept.oldest.seq, end.seq - MAX_RECENT_EVENTS))
        self.fanout.jump_to(position)
        with suppress(LogUnavailable):
            while position.seq < end.seq:
                page = await self.event_log.read(
                    position, None, min(PAGE_EVENTS, end.seq - position.seq)
                )
                if page.gap:
                    break
                for record in page.records:
                    self.fanout.deliver(record)
                position = page.position
        if position != end:
            self.fanout.jump_to(end)

    async def _deliver(self, tail: Any) -> None:
        async for records in tail:
            for record in records:
                try:
                    recipients = self.fanout.deliver(record)
                except Exception:  # what fails for one event must not end all delivery
                    log.exception("delivery_failed", offset=str(record.offset))
                    continue
                log.info("delivered", type=record.type, offset=str(record.offset), to=recipients)

    async def _give_up(self, lost: AsyncIterator[list[Superseded]]) -> None:
        async for taken in lost:
            self.connections.give_up(taken)

    async def publish(self, principal: Principal, event: Event) -> Receipt:
        """Append one event.

        Raises:
            ContractError: nothing was appended.
        """
        (answer,) = await self.publish_many(principal, [event])
        if isinstance(answer, ContractError):
            raise answer
        return answer

    async def publish_many(
        self, principal: Principal, events: Sequence[Event]
    ) -> list[Receipt | ContractError]:
        """Append events in their order, the only way in; return what became of each.

        Raises:
            ContractError: none of them was appended.
        """
        principal.check_publish()
        self.check_open()
        for event in events:
            log.info("received", type=event.type, id=event.id, by=principal.kind)
        self._publishing += 1
        try:
            answers = await self.event_log.append(events)
        finally:
            self._publishing -= 1
            self._published.set()
        for event, answer in zip(events, answers, strict=True):
            if isinstance(answer, Receipt):
                self.metrics.published.labels(event.type, str(answer.duplicate).lower()).inc()
        return answers

    async def execute(self, connection: Connection, parse: Callable[[], Command]) -> dict[str, Any]:
        """Do what a client asks for; return the answer's fields.

        Args:
            connection: whose command it is.
            parse: returns the command, or raises what is wrong with it.

        Raises:
            Flooding: the connection is to be closed.
            ContractError: nothing was done.
        """
        counted = False
        try:
            command = parse()
            if isinstance(command, Publish):
                return (await self.publish(connection.principal, command.event)).as_dict()
            counted = True
            connection.rate.count()
            return await self._execute(connection, command)
        except ContractError as error:
            raise self.refusal(error, None if counted else connection.rate) from None

    def refusal(self, error: ContractError, rate: RateLimit | None) -> ContractError:
        """Count a command that fails; return the error to answer with.

        Args:
            error: the command's own.
            rate: what it counts against where the client is at fault; None: it has been counted.

        Returns:
            The same error, or the rate limit's where that is reached.
        """
        if rate is not None and error.status < 500 and not isinstance(error, RateLimited):
            try:
                rate.count()
            except RateLimited as limited:
                error = limited
        self.metrics.refused.labels(error.code).inc()
        return error

    async def _execute(self, connection: Connection, command: Command) -> dict[str, Any]:
        if isinstance(command, Ping):
            return pong()
        if isinstance(command, Authenticate):
            principal = self.access.identify(command.token, connection.source)
            if principal.kind != connection.principal.kind:
                raise Forbidden("the token is another client's")
            connection.principal = principal
            return {"expires": None}
        assert not isinstance(command, Publish)  # those never come here
        session = connection.session
        async with nullcontext() if session is None else session.changing:
            if isinstance(command, Subscribe):
                await self._subscribe(connection, command.rooms)
            else:
                await self._unsubscribe(connection, command.rooms)
            return {"rooms": sorted(connection.cursor.rooms)}

    async def _subscribe(self, connection: Connection, rooms: frozenset[str]) -> None:
        connection.principal.check_consume()
        cursor, session = connection.cursor, connection.session
        self.check_rooms(rooms | cursor.rooms.keys())
        added = rooms - cursor.rooms.keys()
        self.fanout.subscribe(cursor, added)
        if session is not None:
            try:
                await self.recovery.save(session, cursor.rooms)
            except LogUnavailable:
                self.fanout.unsubscribe(cursor, added)
                raise

    async def _unsubscribe(self, connection: Connection, rooms: frozenset[str]) -> None:
        cursor, session = connection.cursor, connection.session
        if session is not None:
            left = {room: seq for room, seq in cursor.rooms.items() if room not in rooms}
            await self.recovery.save(session, left)
        self.fanout.unsubscribe(cursor, rooms)

    def check_rooms(self, rooms: frozenset[str]) -> None:
        """Hold a connection to its number of rooms.

        Raises:
            RateLimited: there are too many.
        """
        if len(rooms) > self.settings.max_rooms:
            raise RateLimited(f"more than {self.settings.max_rooms} rooms")

    def check_open(self) -> None:
        """Hold back what is new while the server drains.

        Raises:
            ShuttingDown: it does.
        """
        if self.draining:
            raise ShuttingDown(self._drained_at - asyncio.get_running_loop().time())

    async def drain(self) -> None:
        """Refuse what is new, let publishes in flight finish, then close the consumers.

        Both the waiting and the closing, which is spread, end within the drain time.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        self._drained_at = deadline = loop.time() + self.settings.drain_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while self._publishing:
                    self._published.clear()
                    await self._published.wait()
        closing = DRAIN_PAUSE * len(self.connections)
        self._drained_at = min(deadline, loop.time() + closing)
        await self.connections.close_all(deadline - loop.time())
