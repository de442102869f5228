"""Plain WebSocket: one JSON object a message, as the original broker spoke and ``wscat`` does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from sio_server.access.limits import RateLimit
from sio_server.contract import strictjson
from sio_server.contract.commands import Command, parse_message, parse_ref
from sio_server.contract.errors import (
    ContractError,
    Flooding,
    Forbidden,
    Internal,
    InvalidMessage,
    LogUnavailable,
    RateLimited,
    Unauthorized,
)
from sio_server.contract.events import Offset, Record
from sio_server.delivery.connections import Connection, ready
from sio_server.delivery.cursor import Cursor
from sio_server.endpoints.gate import identify, rooms_in, since_in, source_of
from sio_server.hub import Hub
from sio_server.net.connection import DETACHED
from sio_server.net.frames import PING, Frame
from sio_server.net.heartbeat import Heartbeat
from sio_server.net.request import HttpRequest
from sio_server.net.tasks import ConnectionTasks
from sio_server.net.websocket import BadHandshake, WebSocket
from sio_server.net.websocket_reader import FramingError

logger = logging.getLogger("sio_server")

GOING_AWAY, TRY_AGAIN = 1001, 1013
BAD_QUERY, NOT_AUTHORIZED, NOT_ALLOWED = 4400, 4401, 4403


class Client:
    """One plain WebSocket: an outlet for events, a receiver of commands, alive while it pongs."""

    def __init__(self, hub: Hub, heartbeat: Heartbeat) -> None:
        self._hub = hub
        self._heartbeat = heartbeat
        self.socket = WebSocket(
            hub.settings.max_message_bytes,
            hub.settings.max_buffer_bytes,
            on_pong=lambda: heartbeat.beat(self),
        )
        self._handlers = ConnectionTasks()
        self._reason = "client disconnect"
        self._connection: Connection
        self._leave: Callable[[], None]

    def start(
        self, connection: Connection, since: Offset | None, leave: Callable[[], None]
    ) -> None:
        """Serve the client from now on; ``leave`` is called at the end."""

        def started(position: Offset, gap: bool, replayed: int) -> None:
            if since is not None:
                self.send(ready(connection.cursor, position, gap, replayed))

        self._connection = connection
        self._leave = leave
        self._hub.connections.add(connection, lambda: self.close(GOING_AWAY, "shutting down"))
        self._heartbeat.add(self)
        self._hub.fanout.join(connection.cursor, since, started)
        self.socket.set_receiver(self)

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a command; see ``Receiver``."""
        return self._handlers.start(self._answer(message))

    def connection_closed(self, error: FramingError | None) -> None:
        """Forget the client; see ``Receiver``."""
        self._heartbeat.discard(self)
        dead = self._reason == "ping timeout"
        self._hub.connections.remove(self._connection, self._reason, dead=dead)
        self._leave()

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the event with its offset."""
        return Frame(record.json_with_offset)

    def write(self, frame: Frame) -> bool:
        """Write a message."""
        return self.socket.write(frame)

    def write_all(self, frames: Sequence[Frame]) -> bool:
        """Write messages in one piece."""
        return self.socket.write_all(frames)

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes the client's machine has not taken."""
        return self.socket.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait for the socket's buffer."""
        await self.socket.drain()

    def send(self, message: dict[str, Any]) -> None:
        """Write one JSON message."""
        self.socket.write(Frame(strictjson.dumps(message)))

    def send_error(self, error: ContractError, ref: object = None) -> None:
        """Write an error, with the reference of the message that it answers."""
        answer = {"type": "error", **error.as_dict()}
        self.send(answer if ref is None else {**answer, "ref": ref})

    def drop(self) -> None:
        """Close: no progress for too long."""
        self.close(TRY_AGAIN, "too slow")

    def ping(self) -> None:
        """Send a WebSocket ping."""
        self.socket.write_bytes(PING)

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""
        self.close(GOING_AWAY, "ping timeout")

    def close(self, code: int, reason: str) -> None:
        """Close with a code and one of our own reasons."""
        self._reason = reason
        self.socket.close_with(code, reason)

    async def _answer(self, message: str | bytes) -> None:
        ref: str | int | float | None = None

        def parse() -> Command:
            nonlocal ref
            if isinstance(message, bytes):
                raise InvalidMessage("binary data is not accepted")
            decoded = strictjson.loads(message, self._hub.settings.max_json_depth)
            ref = parse_ref(decoded)
            return parse_message(decoded)

        try:
            answer = await self._hub.execute(self._connection, parse)
        except Exception as failure:
            if isinstance(failure, ContractError):
                error = failure
            else:
                logger.exception("command_failed")
                error = Internal("the server failed; its log says why")
            self.send_error(error, ref)
            if isinstance(error, Flooding):
                self.close(TRY_AGAIN, "over the rate limit")
            return
        if answer.get("type") == "pong":
            self.send(answer if ref is None else {**answer, "ref": ref})
        elif ref is not None:
            self.send({"type": "ack", "ref": ref, "ok": True, **answer})


class PlainWebSocket:
    """The endpoint at ``/ws``, and at ``/`` for upgrade requests."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._heartbeat = Heartbeat(hub.settings.ping_interval, hub.settings.ping_timeout)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Open one client's socket; once it has the answer, it misses nothing."""
        hub = self._hub
        source = source_of(request, hub)
        client = Client(hub, self._heartbeat)
        try:
            leave = hub.connection_limits.enter(source.address)
        except RateLimited as full:
            _open(client, request)
            client.close(TRY_AGAIN, full.message)
            return DETACHED
        try:
            opened = await self._handshake(request, client)
            _open(client, request)
        except BaseException:
            leave()
            raise
        if isinstance(opened, ContractError):
            leave()
            error = hub.refusal(opened, hub.address_rates.of(source.address))
            client.send_error(error)
            client.close(_close_code(error), error.code)
        else:
            client.start(*opened, leave)
        return DETACHED

    async def _handshake(
        self, request: web.Request, client: Client
    ) -> tuple[Connection, Offset | None] | ContractError:
        hub = self._hub
        try:
            principal = identify(request, hub, token=request.query.get("token"))
            principal.check_consume()
            since = since_in(request.query)
            rooms = rooms_in(request.query, hub)
            await hub.catch_up()
        except ContractError as error:
            return error
        cursor = Cursor(client, rooms, hub.fanout.position)
        rate = RateLimit(hub.settings.rate_limit)
        return Connection("websocket", principal, source_of(request, hub), cursor, rate), since


def _open(client: Client, request: web.Request) -> None:
    try:
        client.socket.open(HttpRequest.of(request))
    except BadHandshake as error:
        raise InvalidMessage(str(error)) from None


def _close_code(error: ContractError) -> int:
    if isinstance(error, LogUnavailable):
        return TRY_AGAIN
    if isinstance(error, Unauthorized):
        return NOT_AUTHORIZED
    return NOT_ALLOWED if isinstance(error, Forbidden) else BAD_QUERY
