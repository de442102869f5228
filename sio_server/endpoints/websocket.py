"""Plain WebSocket: one JSON object a message, as ``wscat`` and the original broker speak."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from sio_server.access.rates import RateLimit
from sio_server.contract import errors, strictjson
from sio_server.contract.commands import Command, parse_message, parse_ref
from sio_server.contract.errors import (
    ContractError,
    Flooding,
    Internal,
    InvalidMessage,
    RateLimited,
    TooManyConnections,
)
from sio_server.contract.events import Record
from sio_server.delivery.connections import Connection, Connections, Ends
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp, Fanout
from sio_server.delivery.resume import ResumeRequest, resume
from sio_server.endpoints.close_codes import (
    GOING_AWAY,
    TRY_AGAIN_LATER,
    CloseCode,
    close_code,
)
from sio_server.endpoints.gate import Gate, check_query, offset_in
from sio_server.eventlog.contract import Bounds
from sio_server.hub import Hub
from sio_server.net.connection import DETACHED
from sio_server.net.frames import PING, Frame
from sio_server.net.heartbeat import Heartbeat
from sio_server.net.request import HttpRequest
from sio_server.net.tasks import ConnectionTasks
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_handshake import BadHandshake, UnknownVersion
from sio_server.net.websocket_reader import FramingError
from sio_server.settings import Settings

logger = logging.getLogger("sio_server")


@dataclass(frozen=True, slots=True)
class _Handshake:
    """The result of a successful handshake."""

    connection: Connection
    past: ResumeRequest
    bounds: Bounds | None


class WebSocketClient:
    """One plain WebSocket: an outlet for events, and a receiver of commands.

    Args:
        hub: executes commands.
        connections: the open connections.
        heartbeat: pings the client.
        settings: the bounds of a message and of the buffer.
    """

    def __init__(
        self,
        hub: Hub,
        connections: Connections,
        heartbeat: Heartbeat,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._connections = connections
        self._heartbeat = heartbeat
        self._max_json_depth = settings.max_json_depth
        self.socket = WebSocket(
            settings.max_message_bytes,
            settings.max_buffer_bytes,
            on_pong=lambda: heartbeat.answered(self),
        )
        self._tasks = ConnectionTasks()
        self._close_reason = "client disconnect"
        self._connection: Connection
        self._wants_ready: bool
        self._leave: Callable[[], None]

    def start(self, handshake: _Handshake, leave: Callable[[], None]) -> None:
        """Serve the client from now on. ``leave`` is called when the connection ends."""
        connection, past = handshake.connection, handshake.past
        self._connection = connection
        self._tasks.max_running = connection.max_running_commands
        self._wants_ready = past.since is not None
        self._leave = leave
        self._heartbeat.add(self)
        self._connections.open(
            connection,
            Ends(lambda: self.close(GOING_AWAY, "shutting down"), self.refuse),
            partial(resume, past, None, handshake.bounds),
            self.caught_up,
        )
        self.socket.set_receiver(self)

    def caught_up(self, caught_up: CaughtUp) -> None:
        """Write ``ready``, if the client asked for missed events."""
        if self._wants_ready:
            self.send(caught_up.ready_message(self._connection.cursor.rooms))

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Execute a command; see ``Receiver``."""
        return self._tasks.start(self._answer(message))

    def control_received(self) -> bool:
        """Count a frame that brings no command; see ``Receiver``."""
        try:
            self._connection.rate.count()
        except Flooding:
            self.close(TRY_AGAIN_LATER, "over the rate limit")
            return False
        except RateLimited:
            return False
        return True

    def connection_closed(self, error: FramingError | None) -> None:
        """Remove the client; see ``Receiver``."""
        self._heartbeat.discard(self)
        dead = self._close_reason == "ping timeout"
        self._connections.remove(self._connection, self._close_reason, dead=dead)
        self._leave()

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the frame of an event, with its offset."""
        return Frame(record.json_with_offset)

    def write(self, frame: Frame) -> bool:
        """Write a message."""
        return self.socket.write(frame)

    def write_all(self, frames: Sequence[Frame]) -> bool:
        """Write several messages in one piece."""
        return self.socket.write_all(frames)

    def unacknowledged_bytes(self) -> int:
        """Return how many written bytes the client's machine has not acknowledged."""
        return self.socket.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait until the socket's buffer is well below its bound."""
        await self.socket.drain()

    def send(self, message: dict[str, Any]) -> None:
        """Write one JSON message."""
        self.socket.write(Frame(strictjson.dumps(message)))

    def send_error(self, error: ContractError, ref: object = None) -> None:
        """Write an error. ``ref`` is the reference of the client's message."""
        answer = {"type": "error", **error.as_dict()}
        self.send(answer if ref is None else {**answer, "ref": ref})

    def refuse(self, error: ContractError) -> None:
        """Tell an error, and close: the client may not stay, or not come in."""
        self.send_error(error)
        self.close(close_code(error), error.code)

    def drop(self) -> None:
        """Close: the client made no progress for too long."""
        self.close(TRY_AGAIN_LATER, "too slow")

    def ping(self) -> None:
        """Send a WebSocket ping."""
        self.socket.write_bytes(PING)

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""
        self.close(GOING_AWAY, "ping timeout")

    def close(self, close_code: CloseCode, reason: str) -> None:
        """Close the connection. ``reason`` is the server's word for it."""
        self._close_reason = reason
        self.socket.close_with(close_code.code, reason)

    async def _answer(self, message: str | bytes) -> None:
        ref: str | int | float | None = None

        def parse() -> Command:
            nonlocal ref
            if isinstance(message, bytes):
                raise InvalidMessage("binary data is not accepted")
            decoded = strictjson.loads(message, self._max_json_depth)
            ref = parse_ref(decoded)
            return parse_message(decoded)

        try:
            answer = await self._hub.execute(self._connection, parse)
        except ContractError as error:
            self.send_error(error, ref)
            if isinstance(error, Flooding):
                self.close(TRY_AGAIN_LATER, "over the rate limit")
            return
        except Exception:
            logger.exception("command_failed")
            self.send_error(Internal("the server failed; its log says why"), ref)
            return
        if answer.get("type") == "pong":
            self.send(answer if ref is None else {**answer, "ref": ref})
        elif ref is not None:
            self.send({"type": "ack", "ref": ref, "ok": True, **answer})


class PlainWebSocket:
    """The endpoint at ``/ws``, and at ``/`` for upgrade requests.

    Args:
        hub: executes commands.
        gate: identifies the client and counts its connection.
        fanout: delivers events to the clients.
        connections: the open connections.
        settings: the heartbeat, and the bounds of a message and of the buffer.
    """

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        fanout: Fanout,
        connections: Connections,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._fanout = fanout
        self._connections = connections
        self._settings = settings
        self._heartbeat = Heartbeat(settings.ping_interval, settings.ping_timeout)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Open one client's socket. The client misses no event after the answer to its upgrade."""
        gate = self._gate
        source = gate.source(request)
        client = WebSocketClient(self._hub, self._connections, self._heartbeat, self._settings)
        try:
            rate, leave = gate.enter(source)
        except (RateLimited, TooManyConnections) as full:
            gate.count_refused_connection(full)
            _open(client, request)
            client.close(TRY_AGAIN_LATER, full.message)
            return DETACHED
        try:
            handshake = await self._handshake(request, client, rate)
            _open(client, request)
        except BaseException:
            leave()
            raise
        if isinstance(handshake, ContractError):
            leave()
            client.refuse(gate.refuse_connection(handshake, source))
        else:
            client.start(handshake, leave)
        return DETACHED

    async def _handshake(
        self, request: web.Request, client: WebSocketClient, rate: RateLimit
    ) -> _Handshake | ContractError:
        gate, query = self._gate, request.query
        try:
            principal, source = gate.visitor(request, token=query.get("token"))
            principal.check_connect()
            check_query(query, "room", "since", "token")
            rooms = gate.rooms(query, principal)
            past = ResumeRequest(since=offset_in(query, "since"), has_rooms=bool(rooms))
            if past.has_past:
                rate.count()
            bounds = await self._fanout.prepare(past)
        except ContractError as error:
            return error
        cursor = Cursor(client, rooms, self._fanout.position, principal.rooms)
        connection = Connection("websocket", principal, source, cursor, rate)
        return _Handshake(connection, past, bounds)


def _open(client: WebSocketClient, request: web.Request) -> None:
    try:
        client.socket.open(HttpRequest.of(request))
    except UnknownVersion as error:
        raise errors.UnknownWebSocketVersion(str(error)) from None
    except BadHandshake as error:
        raise InvalidMessage(str(error)) from None
