"""The door before aiohttp: the engine's own requests are answered here, all others go there.

A subset of HTTP/1.1 that is plain enough to be certain about is read here, without a task and
without aiohttp's objects: GET and POST of one path, with whole heads and bodies of a known length.
Whatever differs, however slightly, is aiohttp's, and so is the connection from then on. Both doors
lead to the same ``EioServer.respond``.
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
from sio_server.net.connection import TcpConnection, linger
from sio_server.net.deadlines import Deadlines
from sio_server.net.request import TEXT, HttpRequest, HttpResponse

logger = logging.getLogger("sio_server.engine")

MAX_HEAD_BYTES = 16_384
_END = b"\r\n\r\n"
_HEAD = (
    rb"(GET|POST) (%b\?[!-~]*) HTTP/1\.1\r\n"
    rb"((?:[!#$%%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+)\r\n"
)
_NOT_PLAIN = ("Transfer-Encoding", "Content-Encoding", "Expect")


class Engine(Protocol):
    """What answers requests."""

    connect_timeout: float

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """See ``EioServer``."""


class HttpFront:
    """Makes what serves each new connection.

    Args:
        engine: whose requests are answered here.
        path: the engine's, with slashes around it.
        make_handler: makes aiohttp's protocol for a connection.
    """

    def __init__(
        self,
        engine: Engine,
        path: str,
        make_handler: Callable[[], asyncio.Protocol],
    ) -> None:
        self.engine = engine
        self.make_handler = make_handler
        self.waiting: Deadlines[HttpFrontConnection] = Deadlines(
            engine.connect_timeout, lambda connection: connection.abort()
        )
        self.loop = asyncio.get_running_loop()
        self.transports: WeakSet[asyncio.Transport] = WeakSet()
        self.head = re.compile(_HEAD % re.escape(path.encode()))

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        return HttpFrontConnection(self)

    def abort(self) -> None:
        """Close at once what is still open of all connections, whoever serves them by now."""
        for transport in list(self.transports):
            transport.abort()


class HttpFrontConnection(asyncio.Protocol):
    """A connection that has sent nothing yet, or requests of the engine's alone."""

    __slots__ = ("_body", "_data", "_front", "_more", "_poll", "_task", "_transport")

    def __init__(self, front: HttpFront) -> None:
        self._front = front
        self._data = bytearray()
        self._body = 0  # bytes of the request's body that are still to be read
        self._more: asyncio.Future[None] | None = None  # while a body is waited for
        self._task: asyncio.Task[None] | None = None  # while an answer is waited for
        self._poll = False  # the answer that is waited for is of use to nobody else
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._front.transports.add(self._transport)
        self._front.waiting.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Stop waiting; what has come whole is still worked on."""
        self._front.waiting.discard(self)
        self._wake()
        if self._task is not None and self._poll:
            self._task.cancel()

    def abort(self) -> None:
        """Close: no request came in time."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._data += data
        if self._task is None:
            self._go_on()
            return
        if len(self._data) > self._body + MAX_HEAD_BYTES:  # more than this request and the next
            self._transport.pause_reading()
        self._wake()

    def _go_on(self) -> None:
        """Answer as many requests as are there and need no waiting."""
        while self._task is None:
            if self._transport.is_closing():
                return
            if self._body:  # an answer did not ask for it
                skipped = min(self._body, len(self._data))
                del self._data[:skipped]
                self._body -= skipped
            end = self._data.find(_END)
            if self._body or (end < 0 and len(self._data) <= MAX_HEAD_BYTES):
                return
            request = self._parse(end + len(_END)) if 0 <= end <= MAX_HEAD_BYTES else None
            if request is None:
                self._hand_over()
                return
            self._front.waiting.discard(self)
            if not self._answer(request):
                return

    def _parse(self, end: int) -> HttpRequest | None:
        """Return the request, or None if it is aiohttp's; its head is taken off what has come."""
        found = self._front.head.fullmatch(self._data, 0, end)
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
            or any(name in headers for name in _NOT_PLAIN)
            or len(headers.getall("Host", ())) != 1
            or len(headers.getall("Content-Length", ())) > 1
            or "close" in headers.get("Connection", "").lower()
        ):
            return None
        del self._data[:end]
        self._body = int(length)
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
            self._read,
        )

    def _answer(self, request: HttpRequest) -> bool:
        """Answer a request, or begin to; return whether the connection is still HTTP's."""
        try:
            answer = self._front.engine.respond(request)
        except ConnectionError:
            return False
        except Exception:
            logger.exception("request_failed")
            answer = HttpResponse(500, b"", TEXT)
        if isinstance(answer, Awaitable):
            self._poll = request.method == "GET"
            self._task = self._front.loop.create_task(self._wait(answer))
        elif answer is None:
            return False
        else:
            self._finish(answer)
        return True

    async def _wait(self, answer: Awaitable[HttpResponse | None]) -> None:
        settled: HttpResponse | None
        try:
            settled = await answer
        except Exception:
            logger.exception("request_failed")
            settled = HttpResponse(500, b"", TEXT)
        self._task = None
        if settled is not None:
            self._finish(settled)
            self._go_on()

    def _finish(self, answer: HttpResponse) -> None:
        """Send an answer, and wait for the next request."""
        if self._transport.is_closing():
            return
        self._transport.write(_encode(answer))
        if answer.closes:
            self._data.clear()
            linger(self._transport, self.connection_lost)
        else:
            self._transport.resume_reading()
            self._front.waiting.add(self)

    async def _read(self, max_bytes: int, seconds: float) -> bytes:
        """Read the body; see ``read_body``."""
        if self._body > max_bytes:
            raise BodyTooLarge
        try:
            async with asyncio.timeout(seconds):
                while len(self._data) < self._body:
                    if self._transport.is_closing():
                        raise BodyUnreadable
                    self._more = self._front.loop.create_future()
                    await self._more
        except TimeoutError:
            self._transport.abort()
            raise
        body = bytes(self._data[: self._body])
        del self._data[: self._body]
        self._body = 0
        return body

    def _wake(self) -> None:
        if self._more is not None:
            self._more.set_result(None)
            self._more = None

    def _is_open(self) -> bool:
        return not self._transport.is_closing()

    def _detach(self, connection: TcpConnection) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        connection.attach(self._transport, bytes(self._data))

    def _hand_over(self) -> None:
        """Give the connection to aiohttp, with what has come."""
        self._front.waiting.discard(self)
        handler = self._front.make_handler()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(bytes(self._data))


_date = (0, "")


def _now() -> str:
    """Return the time as HTTP writes it; made once a second."""
    global _date  # noqa: PLW0603
    second = int(time.time())
    if _date[0] != second:
        _date = (second, email.utils.formatdate(second, usegmt=True))
    return _date[1]


def _encode(answer: HttpResponse) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        f"Date: {_now()}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return "\r\n".join(lines).encode() + _END + answer.body
