"""The HTTP front: it answers the engine's own simple requests, and gives all others to aiohttp.

The front reads GET and POST requests of one path, with a complete head and a body of known length.
This subset of HTTP/1.1 leaves no room for interpretation, and needs no task and none of aiohttp's
objects. A request that differs in any way goes to aiohttp, together with its connection. The same
``Responder`` answers the engine's requests in both cases.

The states of a connection::

    waiting ───▶ answering    a complete and simple request has arrived
    waiting ◀─── answering    the response was sent
    waiting ───▶ aiohttp      the request is not simple: aiohttp's protocol replaces this one
    waiting ───▶ closed       no request has arrived in time
    answering ─▶ detached     respond() has returned None: a WebSocket has the connection
    answering ─▶ closed       the response says "Connection: close"
    (any) ─────▶ closed       the client has disconnected
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol, cast
from weakref import WeakSet

from multidict import CIMultiDict

from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.connection import TcpConnection, half_close
from sio_server.net.deadlines import Deadlines
from sio_server.net.request import TEXT, HttpRequest, HttpResponse

logger = logging.getLogger("sio_server.engine")

MAX_HEAD_BYTES = 16_384
"""The largest request head that the front reads. aiohttp gets a connection with a larger one."""

_HEAD_END = b"\r\n\r\n"
_SIMPLE_HEAD = (
    rb"(GET|POST) (%b\?[!-~]*) HTTP/1\.1\r\n"
    rb"((?:[!#$%%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+)\r\n"
)
_NOT_SIMPLE = ("Transfer-Encoding", "Content-Encoding", "Expect")


class Responder(Protocol):
    """The server that answers the requests.

    Attributes:
        connect_timeout: seconds that a connection may wait for its next request.
    """

    connect_timeout: float

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """Return the response; None if the responder has detached the connection.

        Raises:
            ConnectionError: the client has disconnected.
        """


class HttpFront:
    """Make the protocol of each new connection, as ``loop.create_server`` asks for it.

    Args:
        responder: answers the requests that the front reads.
        path: the path of these requests, with a slash at both ends.
        make_handler: makes aiohttp's protocol for one connection.
    """

    def __init__(
        self,
        responder: Responder,
        path: str,
        make_handler: Callable[[], asyncio.Protocol],
    ) -> None:
        self.responder = responder
        self.make_handler = make_handler
        self.waiting: Deadlines[HttpFrontConnection] = Deadlines(
            responder.connect_timeout, lambda connection: connection.abort()
        )
        self.loop = asyncio.get_running_loop()
        self.transports: WeakSet[asyncio.Transport] = WeakSet()
        self.simple_head = re.compile(_SIMPLE_HEAD % re.escape(path.encode()))

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        return HttpFrontConnection(self)

    def abort(self) -> None:
        """Close all open connections at once, also those that aiohttp or a WebSocket has now."""
        for transport in list(self.transports):
            transport.abort()


class HttpFrontConnection(asyncio.Protocol):
    """A connection that has sent nothing yet, or only requests that the front reads."""

    __slots__ = (
        "_body_arrived",
        "_front",
        "_is_poll",
        "_received",
        "_response_task",
        "_transport",
        "_unread_body_bytes",
    )

    def __init__(self, front: HttpFront) -> None:
        self._front = front
        self._received = bytearray()  # bytes that belong to no parsed head yet
        self._unread_body_bytes = 0  # of the body of the current request
        self._body_arrived: asyncio.Future[None] | None = None  # while a body is incomplete
        self._response_task: asyncio.Task[None] | None = None  # while a response is awaited
        self._is_poll = False  # the awaited response is useless once the client has disconnected
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._front.transports.add(self._transport)
        self._front.waiting.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel a waiting poll; a request that arrived completely is still handled."""
        self._front.waiting.discard(self)
        self._notify_body_arrived()
        if self._response_task is not None and self._is_poll:
            self._response_task.cancel()

    def abort(self) -> None:
        """Close: no request came in time."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are complete now."""
        self._received += data
        if self._response_task is None:
            self._answer_requests()
            return
        if len(self._received) > self._unread_body_bytes + MAX_HEAD_BYTES:
            self._transport.pause_reading()  # it is more than this request and the next head
        self._notify_body_arrived()

    def _answer_requests(self) -> None:
        """Answer the complete requests, until the response to one of them has to be awaited."""
        while self._response_task is None:
            if self._transport.is_closing():
                return
            if self._unread_body_bytes:  # the responder has answered without reading the body
                skipped = min(self._unread_body_bytes, len(self._received))
                del self._received[:skipped]
                self._unread_body_bytes -= skipped
            end = self._received.find(_HEAD_END)
            if self._unread_body_bytes or (end < 0 and len(self._received) <= MAX_HEAD_BYTES):
                return
            is_bounded = 0 <= end <= MAX_HEAD_BYTES
            request = self._parse_head(end + len(_HEAD_END)) if is_bounded else None
            if request is None:
                self._give_to_aiohttp()
                return
            self._front.waiting.discard(self)
            if not self._answer(request):
                return

    def _parse_head(self, end: int) -> HttpRequest | None:
        """Return the request whose head ends here, or None if the front does not read it."""
        found = self._front.simple_head.fullmatch(self._received, 0, end)
        if found is None:
            return None
        method, target, block = (group.decode("ascii") for group in found.groups())
        lines = [line.partition(":") for line in block.split("\r\n")[:-1]]
        headers = CIMultiDict([(name, value.strip(" \t")) for name, _, value in lines])
        length = headers.get("Content-Length", "0" if method == "GET" else "")
        if (
            not length.isdecimal()
            or len(length) > 9
            or (method == "GET" and length != "0")
            or any(name in headers for name in _NOT_SIMPLE)
            or len(headers.getall("Host", ())) != 1
            or len(headers.getall("Content-Length", ())) > 1
            or "close" in headers.get("Connection", "").lower()
        ):
            return None
        del self._received[:end]
        self._unread_body_bytes = int(length)
        peer = self._transport.get_extra_info("peername")
        secure = self._transport.get_extra_info("sslcontext") is not None
        return HttpRequest(
            method,
            target,
            headers,
            peer,
            "https" if secure else "http",
            self._detach,
            self._is_open,
            self._read_body,
        )

    def _answer(self, request: HttpRequest) -> bool:
        """Answer a request, or start a task for it; return False if the connection has left."""
        try:
            response = self._front.responder.respond(request)
        except ConnectionError:
            return False
        except Exception:
            logger.exception("request_failed")
            response = HttpResponse(500, b"", TEXT)
        if isinstance(response, Awaitable):
            self._is_poll = request.method == "GET"
            self._response_task = self._front.loop.create_task(self._answer_later(response))
        elif response is None:
            return False
        else:
            self._send(response)
        return True

    async def _answer_later(self, awaitable: Awaitable[HttpResponse | None]) -> None:
        response: HttpResponse | None
        try:
            response = await awaitable
        except Exception:
            logger.exception("request_failed")
            response = HttpResponse(500, b"", TEXT)
        self._response_task = None
        if response is not None:
            self._send(response)
            self._answer_requests()

    def _send(self, response: HttpResponse) -> None:
        """Send a response, and wait for the next request."""
        if self._transport.is_closing():
            return
        self._transport.write(_encode(response))
        if response.closes:
            self._received.clear()
            half_close(self._transport, self.connection_lost)
        else:
            self._transport.resume_reading()
            self._front.waiting.add(self)

    async def _read_body(self, max_bytes: int, seconds: float) -> bytes:
        """Read the body of the current request; see ``read_body``."""
        if self._unread_body_bytes > max_bytes:
            raise BodyTooLarge
        try:
            async with asyncio.timeout(seconds):
                while len(self._received) < self._unread_body_bytes:
                    if self._transport.is_closing():
                        raise BodyUnreadable
                    self._body_arrived = self._front.loop.create_future()
                    await self._body_arrived
        except TimeoutError:
            self._transport.abort()
            raise
        body = bytes(self._received[: self._unread_body_bytes])
        del self._received[: self._unread_body_bytes]
        self._unread_body_bytes = 0
        return body

    def _notify_body_arrived(self) -> None:
        """Let ``_read_body`` look again: bytes arrived, or none will arrive any more."""
        if self._body_arrived is not None:
            self._body_arrived.set_result(None)
            self._body_arrived = None

    def _is_open(self) -> bool:
        return not self._transport.is_closing()

    def _detach(self, connection: TcpConnection) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        connection.attach(self._transport, bytes(self._received))

    def _give_to_aiohttp(self) -> None:
        """Let aiohttp serve this connection, from the first byte that was not answered here."""
        self._front.waiting.discard(self)
        handler = self._front.make_handler()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(bytes(self._received))


_cached_date = (0, "")


def _http_date() -> str:
    """Return the current time as HTTP writes it (RFC 9110, 5.6.7), formatted once a second."""
    global _cached_date  # noqa: PLW0603
    second = int(time.time())
    if _cached_date[0] != second:
        _cached_date = (second, email.utils.formatdate(second, usegmt=True))
    return _cached_date[1]


def _encode(response: HttpResponse) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Date: {_http_date()}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return "\r\n".join(lines).encode() + _HEAD_END + response.body
