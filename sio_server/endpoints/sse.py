"""Server-Sent Events: the log as a stream that a browser reads with ``EventSource``."""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web

from sio_server import strictjson
from sio_server.endpoints.requests import identify, rooms_in, since_in, source_of
from sio_server.engine.deadlines import Deadlines
from sio_server.engine.outgoing import Outgoing
from sio_server.events import Offset, Record
from sio_server.fanout import Cursor
from sio_server.hub import Connection, Hub, ready
from sio_server.limits import RateLimit

COMMENT_SECONDS = 15
CHECK_SECONDS = 1
"""How often a stream looks whether its client is still there: nothing reads its socket."""


class Stream(Outgoing):
    """One client's stream: an outlet for events."""

    def __init__(self, max_buffer_bytes: int, max_write_bytes: int) -> None:
        super().__init__(max_buffer_bytes, max_write_bytes)
        self._checks_since_comment = 0
        self.ended = asyncio.Event()
        self.reason = "client disconnect"

    last = b"0\r\n\r\n"

    @staticmethod
    def frame(text: str) -> bytes:
        """Encode a piece of the stream as one chunk (RFC 9112, 7.1)."""
        data = text.encode()
        return b"%x\r\n%b\r\n" % (len(data), data)

    @classmethod
    def encode(cls, record: Record) -> bytes:
        """Return the event as a piece of the stream."""
        return cls.frame(record.sse)

    def write(self, data: bytes) -> bool:
        """Write a chunk."""
        return self.write_bytes(data) <= self.max_buffer_bytes

    def drop(self) -> None:
        """End: no progress for too long."""
        self.end("too slow")

    def end(self, reason: str) -> None:
        """Let the request handler return."""
        self.reason = reason
        self.ended.set()

    def check(self) -> bool:
        """Return whether the client is still there; say so to it every 15 s."""
        if self.is_closing:
            return False
        self._checks_since_comment += 1
        if self._checks_since_comment * CHECK_SECONDS >= COMMENT_SECONDS:
            self._checks_since_comment = 0
            self.write(self.frame(": \n\n"))
        return True


class UnchunkedStream(Stream):
    """The stream of a client that speaks HTTP/1.0, as some proxies do: it ends with the socket."""

    last = b""

    @staticmethod
    def frame(text: str) -> bytes:
        """Encode a piece of the stream."""
        return text.encode()


class SseApi:
    """The endpoint at ``/api/stream``."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._checks: Deadlines[Stream] = Deadlines(CHECK_SECONDS, self._check)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        app.router.add_get("/api/stream", self.stream, allow_head=False)

    def _check(self, stream: Stream) -> None:
        if stream.check():
            self._checks.add(stream)
        else:
            stream.end("transport close")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Stream events until the client goes."""
        hub, query = self._hub, request.query
        principal = identify(request, hub, token=query.get("token"))
        principal.check_consume()
        rooms = rooms_in(query, hub)
        last_id = request.headers.get("Last-Event-ID")
        since = Offset.parse(last_id) if last_id else since_in(query)
        source = source_of(request, hub)
        leave = hub.connection_limits.enter(source.address)
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            chunked = request.version >= HttpVersion11
            if chunked:
                response.enable_chunked_encoding()
            kind = Stream if chunked else UnchunkedStream
            stream = kind(hub.settings.max_buffer_bytes, hub.settings.max_message_bytes)
            await stream.start(request, response)
            cursor = Cursor(stream, rooms, hub.fanout.position)
            rate = RateLimit(hub.settings.rate_limit)
            await self._serve(stream, Connection("sse", principal, source, cursor, rate), since)
        finally:
            leave()
        return response

    async def _serve(self, stream: Stream, connection: Connection, since: Offset | None) -> None:
        def started(position: Offset, gap: bool, replayed: int) -> None:
            message = strictjson.dumps(ready(connection.cursor, position, gap, replayed))
            stream.write(stream.frame(f"event: ready\nid: {position}\ndata: {message}\n\n"))

        self._hub.connect(connection, lambda: stream.end("shutting down"))
        self._checks.add(stream)
        try:
            self._hub.fanout.join(connection.cursor, since, started)
            await stream.ended.wait()
        finally:
            self._checks.discard(stream)
            self._hub.disconnect(connection, stream.reason)
            stream.close_after(stream.last)
