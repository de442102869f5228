"""Server-Sent Events: the log as a stream that a browser reads with ``EventSource``."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from aiohttp import HttpVersion11, web

from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError
from sio_server.contract.events import Offset, Record
from sio_server.delivery.connections import Connection, Connections, Ends
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.fanout import CaughtUp, Fanout
from sio_server.delivery.resume import ResumeRequest, Start, resume
from sio_server.endpoints.gate import Gate, check_query, offset_in
from sio_server.net.connection import DETACHED, TcpConnection
from sio_server.net.deadlines import Deadlines
from sio_server.net.handler import detach_from_aiohttp
from sio_server.settings import Settings

PATH = "/api/stream"

COMMENT_SECONDS = 15

RETRY_MILLISECONDS = 1_000, 3_000
"""A browser waits a random time between these before it reconnects. Otherwise all browsers would
come back at once after a restart."""


class EventStream(TcpConnection):
    """One client's stream, an outlet for events.

    Args:
        max_buffer_bytes: see ``TcpConnection``.
        max_write_bytes: see ``TcpConnection``.
        on_end: called once with the reason for the stream's end.
    """

    last_chunk = b"0\r\n\r\n"

    def __init__(
        self,
        max_buffer_bytes: int,
        max_write_bytes: int,
        on_end: Callable[[EventStream, str], None],
    ) -> None:
        super().__init__(max_buffer_bytes, max_write_bytes)
        self._on_end: Callable[[EventStream, str], None] | None = on_end
        self.connection: Connection
        self.leave: Callable[[], None]

    @staticmethod
    def frame(text: str) -> bytes:
        """Encode text as one chunk (RFC 9112, 7.1)."""
        data = text.encode()
        return b"%x\r\n%b\r\n" % (len(data), data)

    @classmethod
    def encode(cls, record: Record) -> bytes:
        """Return the frame of an event."""
        return cls.frame(record.sse)

    def write(self, data: bytes) -> bool:
        """Write a frame; see ``Outlet``."""
        return self.write_bytes(data)

    def write_all(self, frames: Sequence[bytes]) -> bool:
        """Write several frames in one piece; see ``Outlet``."""
        return self.write_pieces(frames)

    def drop(self) -> None:
        """End the stream: the client made no progress for too long."""
        self.end("too slow")

    def comment(self) -> None:
        """Write a comment, so that proxies and the client see that the stream is alive."""
        self.write(self.frame(": \n\n"))

    def caught_up(self, caught_up: CaughtUp) -> None:
        """Write the ``ready`` event."""
        message = strictjson.dumps(caught_up.ready_message(self.connection.cursor.rooms))
        self.write(self.frame(f"event: ready\nid: {caught_up.position}\ndata: {message}\n\n"))

    def refuse(self, error: ContractError) -> None:
        """Tell an error, and end the stream: the client's rights have ended."""
        self.write(self.frame(f"event: error\ndata: {strictjson.dumps(error.as_dict())}\n\n"))
        self.end(error.code)

    def end(self, reason: str) -> None:
        """End the stream. ``reason`` is the server's word for it."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self, reason)
        self.close_after(self.last_chunk)

    def connection_lost(self, error: Exception | None) -> None:
        """End the stream: the client is gone."""
        super().connection_lost(error)
        self.end("transport close")


class UnchunkedEventStream(EventStream):
    """The stream of an HTTP/1.0 client, such as some proxies. It ends with the connection."""

    last_chunk = b""

    @staticmethod
    def frame(text: str) -> bytes:
        """Encode text as it is."""
        return text.encode()


class SseApi:
    """The endpoint at ``/api/stream``.

    Args:
        gate: identifies the client and counts its connection.
        fanout: delivers events to the stream.
        connections: the open connections.
        settings: the bounds of a connection's buffer.
    """

    def __init__(
        self,
        gate: Gate,
        fanout: Fanout,
        connections: Connections,
        settings: Settings,
    ) -> None:
        self._gate = gate
        self._fanout = fanout
        self._connections = connections
        self._settings = settings
        self._comments: Deadlines[EventStream] = Deadlines(COMMENT_SECONDS, self._comment)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        app.router.add_get(PATH, self.stream, allow_head=False)

    def _comment(self, stream: EventStream) -> None:
        stream.comment()
        self._comments.add(stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Open one client's stream."""
        gate, query = self._gate, request.query
        principal, source = gate.visitor(request, token=query.get("token"))
        principal.check_consume()
        check_query(query, "room", "since", "token", "lastEventId")
        rooms = gate.rooms(query, principal)
        last_id = request.headers.get("Last-Event-ID") or query.get("lastEventId")
        since = Offset.parse(last_id) if last_id else offset_in(query, "since")
        past = ResumeRequest(since, has_rooms=bool(rooms))
        rate, leave = gate.enter(source)
        try:
            if past.has_past:
                rate.count()
            bounds = await self._fanout.prepare(past)
            stream = await self._open(request)
        except BaseException:
            leave()
            raise
        cursor = Cursor(stream, rooms, self._fanout.position, principal.rooms)
        stream.leave = leave
        stream.connection = Connection("sse", principal, source, cursor, rate)
        self._serve(stream, partial(resume, past, None, bounds))
        return DETACHED

    async def _open(self, request: web.Request) -> EventStream:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "X-Accel-Buffering": "no",
            }
        )
        is_chunked = request.version >= HttpVersion11
        if is_chunked:
            response.enable_chunked_encoding()
        await response.prepare(request)
        kind = EventStream if is_chunked else UnchunkedEventStream
        settings = self._settings
        stream = kind(settings.max_buffer_bytes, settings.max_message_bytes, self._ended)
        detach_from_aiohttp(request, stream)
        return stream

    def _serve(self, stream: EventStream, decide: Callable[[Offset], Start]) -> None:
        # No empty line: some clients would take a block with only this line for an event.
        stream.write(stream.frame(f"retry: {random.randint(*RETRY_MILLISECONDS)}\n"))  # noqa: S311
        self._comments.add(stream)
        ends = Ends(lambda: stream.end("shutting down"), stream.refuse)
        self._connections.open(stream.connection, ends, decide, stream.caught_up)

    def _ended(self, stream: EventStream, reason: str) -> None:
        self._comments.discard(stream)
        self._connections.remove(stream.connection, reason)
        stream.leave()
