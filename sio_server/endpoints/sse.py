"""Server-Sent Events: the log as a stream that a browser reads with ``EventSource``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import HttpVersion11, web

from sio_server.access.limits import RateLimit
from sio_server.contract import strictjson
from sio_server.contract.events import Offset, Record
from sio_server.delivery.connections import Connection, ready
from sio_server.delivery.cursor import Cursor
from sio_server.endpoints.gate import identify, rooms_in, since_in, source_of
from sio_server.hub import Hub
from sio_server.net.connection import DETACHED, TcpConnection
from sio_server.net.deadlines import Deadlines

COMMENT_SECONDS = 15


class Stream(TcpConnection):
    """One client's stream: an outlet for events."""

    def __init__(self, max_buffer_bytes: int, max_write_bytes: int) -> None:
        super().__init__(max_buffer_bytes, max_write_bytes)
        self.ended: Callable[[str], object] | None = None

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
        return self.write_bytes(data)

    def write_all(self, frames: Sequence[bytes]) -> bool:
        """Write chunks in one piece."""
        return self.write_bytes(b"".join(frames))

    def drop(self) -> None:
        """End: no progress for too long."""
        self.end("too slow")

    def comment(self) -> None:
        """Say that the stream is alive."""
        self.write(self.frame(": \n\n"))

    def end(self, reason: str) -> None:
        """End the stream for a reason of ours."""
        ended, self.ended = self.ended, None
        if ended is not None:
            ended(reason)
        self.close_after(self.last)

    def connection_lost(self, error: Exception | None) -> None:
        """End: the client is gone."""
        super().connection_lost(error)
        self.end("transport close")


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
        self._comments: Deadlines[Stream] = Deadlines(COMMENT_SECONDS, self._comment)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        app.router.add_get("/api/stream", self.stream, allow_head=False)

    def _comment(self, stream: Stream) -> None:
        stream.comment()
        self._comments.add(stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Open one client's stream."""
        hub, query = self._hub, request.query
        principal = identify(request, hub, token=query.get("token"))
        principal.check_consume()
        rooms = rooms_in(query, hub)
        last_id = request.headers.get("Last-Event-ID")
        since = Offset.parse(last_id) if last_id else since_in(query)
        source = source_of(request, hub)
        await hub.catch_up()
        leave = hub.connection_limits.enter(source.address)
        try:
            stream = await self._open(request)
        except BaseException:
            leave()
            raise
        cursor = Cursor(stream, rooms, hub.fanout.position)
        rate = RateLimit(hub.settings.rate_limit)
        self._serve(stream, Connection("sse", principal, source, cursor, rate), since, leave)
        return DETACHED

    async def _open(self, request: web.Request) -> Stream:
        settings = self._hub.settings
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
        await response.prepare(request)
        kind = Stream if chunked else UnchunkedStream
        stream = kind(settings.max_buffer_bytes, settings.max_message_bytes)
        stream.detach_from_aiohttp(request)
        return stream

    def _serve(
        self,
        stream: Stream,
        connection: Connection,
        since: Offset | None,
        leave: Callable[[], None],
    ) -> None:
        def started(position: Offset, gap: bool, replayed: int) -> None:
            message = strictjson.dumps(ready(connection.cursor, position, gap, replayed))
            stream.write(stream.frame(f"event: ready\nid: {position}\ndata: {message}\n\n"))

        def ended(reason: str) -> None:
            self._comments.discard(stream)
            self._hub.connections.remove(connection, reason)
            leave()

        stream.ended = ended
        self._hub.connections.add(connection, lambda: stream.end("shutting down"))
        self._comments.add(stream)
        self._hub.fanout.join(connection.cursor, since, started)
