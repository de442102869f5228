"""The two ways in which a connection's request is served: by the responder, or by aiohttp.

A connection has at most one object of each kind, and at most one of the two serves a request at a
time. Both take the request's body from the bytes that the connection has received.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.connection import TcpConnection
from sio_server.net.front_context import Answer, FrontContext
from sio_server.net.head import SimpleHead, body_length
from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse
from sio_server.net.turns import REQUEST_BYTES, TURN_BYTES, begin_in_turn

logger = logging.getLogger("sio_server.engine")

_Response = HttpResponse | Awaitable[HttpResponse | None] | None


class Connection(Protocol):
    """The connection, as its requests see it.

    Attributes:
        front: the parts that it shares with other connections.
        network: the client's network; see ``Entered``.
        received: the bytes that no request has taken yet.
        transport: the TCP connection.
    """

    front: FrontContext
    network: str | None
    received: bytearray
    transport: asyncio.Transport

    def respond(self, response: HttpResponse) -> None:
        """Write a response. If it says so, close the connection."""

    def await_body(self) -> None:
        """Give the client time to send the rest of a body after its response."""

    def request_ended(self) -> None:
        """Note that the response was written and the whole body was taken."""

    def serve_soon(self) -> None:
        """Serve what has been received, in the next turn."""

    def read_or_pause(self) -> None:
        """Read from the transport, unless enough bytes have arrived."""

    def is_open(self) -> bool:
        """Tell whether the client can still read a response, as far as is known."""

    def detach(self, connection: TcpConnection) -> None:
        """Give the TCP connection to another protocol; HTTP no longer serves it."""

    def abort(self) -> None:
        """Close at once."""


class OwnRequests:
    """Requests that the responder, or an ``Answer``, answers.

    Args:
        connection: their connection.
    """

    __slots__ = ("_body_arrived", "_body_left", "_connection", "_is_poll", "_responded", "_task")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._body_left = 0  # bytes of the present body that were not taken yet
        self._body_arrived: asyncio.Future[None] | None = None  # while the body is incomplete
        self._task: asyncio.Task[None] | None = None  # while the response is awaited
        self._is_poll = False  # the awaited response is useless once the client has disconnected
        self._responded = False

    def serve(self, head: SimpleHead) -> None:
        """Answer a request, or start a task for it."""
        connection = self._connection
        transport = connection.transport
        self._body_left, self._responded = head.body_bytes, False
        request = HttpRequest(
            head.method,
            head.target,
            head.headers,
            transport.get_extra_info("peername"),
            "http" if transport.get_extra_info("sslcontext") is None else "https",
            connection.detach,
            connection.is_open,
            self._read_body,
            connection.network,
        )
        answer = connection.front.posts.get(head.target)
        if answer is None:
            self._answer(request, connection.front.responder.respond)
        else:
            begin = partial(self._answer_in_turn, request, answer)
            if begin_in_turn(REQUEST_BYTES, connection.network, begin):
                begin()

    def _answer_in_turn(self, request: HttpRequest, answer: Answer) -> None:
        if not self._connection.transport.is_closing():
            self._answer(request, answer)

    def _answer(self, request: HttpRequest, answer: Callable[[HttpRequest], _Response]) -> None:
        connection = self._connection
        response: _Response
        try:
            response = answer(request)
        except ConnectionError:
            return
        except Exception:
            logger.exception("request_failed")
            response = HttpResponse(500, b"", TEXT)
        if response is None or isinstance(response, HttpResponse):
            self._finish(response)
        else:
            self._is_poll = request.method == "GET"
            self._task = connection.front.loop.create_task(self._serve_later(response))

    async def _serve_later(self, awaitable: Awaitable[HttpResponse | None]) -> None:
        response: HttpResponse | None
        try:
            response = await awaitable
        except Exception:
            logger.exception("request_failed")
            response = HttpResponse(500, b"", TEXT)
        self._task = None
        self._finish(response)
        self._connection.serve_soon()

    def _finish(self, response: HttpResponse | None) -> None:
        if response is not None and not self._connection.transport.is_closing():
            self._responded = True
            self._connection.respond(response)
            if not response.closes:
                self.data_received()
                if self._body_left:
                    self._connection.await_body()

    def data_received(self) -> None:
        """Let ``_read_body`` look again; skip the rest of a body that was not read."""
        received = self._connection.received
        if self._responded:
            skipped = min(self._body_left, len(received))
            del received[:skipped]
            self._body_left -= skipped
            if not self._body_left:
                self._connection.request_ended()
        arrived, self._body_arrived = self._body_arrived, None
        if arrived is not None and not arrived.done():  # its waiter may have been cancelled
            arrived.set_result(None)

    async def _read_body(self, max_bytes: int, seconds: float) -> bytes:
        """Read the body of the present request; see ``read_body``."""
        connection = self._connection
        if self._body_left > max_bytes:
            raise BodyTooLarge
        if len(connection.received) < self._body_left:  # most bodies come with their head
            await self._await_body(seconds)
        body = bytes(connection.received[: self._body_left])
        del connection.received[: self._body_left]
        self._body_left = 0
        return body

    async def _await_body(self, seconds: float) -> None:
        connection = self._connection
        try:
            async with asyncio.timeout(seconds):
                while len(connection.received) < self._body_left:
                    if connection.transport.is_closing():
                        raise BodyUnreadable
                    connection.read_or_pause()
                    self._body_arrived = connection.front.loop.create_future()
                    await self._body_arrived
        except TimeoutError:
            connection.abort()
            raise

    @property
    def wanted_bytes(self) -> int:
        """How many of the received bytes are the present body's."""
        return self._body_left

    @property
    def held_bytes(self) -> int:
        """The number of received bytes, while the body is incomplete."""
        received = len(self._connection.received)
        return received if received < self._body_left else 0

    def may_outlive_client(self) -> bool:
        """Tell whether the response is of use to a client that sends nothing more."""
        is_waiting_poll = self._task is not None and self._is_poll
        return not is_waiting_poll and len(self._connection.received) >= self._body_left

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel a waiting poll; a request that arrived completely is still handled."""
        self.data_received()
        if self._task is not None and self._is_poll:
            self._task.cancel()

    @property
    def is_waiting(self) -> bool:
        """Whether a task works on the request."""
        return self._task is not None


class AiohttpRequests:
    """Requests that aiohttp serves; see ``Front``.

    Args:
        connection: their connection.
    """

    __slots__ = (
        "_body_left",
        "_body_passed",
        "_body_paused",
        "_connection",
        "_handler",
        "_head",
        "_responded",
        "detach",
        "is_open",
        "network",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Bytes of the present body that were not passed yet. Infinite: only aiohttp knows where the
        # body ends, so the connection closes after this request.
        self._body_left: float = 0
        self._body_passed = 0
        self._body_paused = False
        self._head = b""  # of a request that has not started
        self._responded = False
        self.detach, self.is_open = connection.detach, connection.is_open
        self.network = connection.network
        self._handler = connection.front.make_handler(self)
        self._handler.connection_made(connection.transport)

    def serve(self, head: bytes) -> None:
        """Pass on a request, now or later."""
        length = body_length(head)
        self._body_left = math.inf if length is None else length
        self._body_passed, self._responded = 0, False
        self._head = head
        if begin_in_turn(REQUEST_BYTES, self._connection.network, self._start):
            self._start()

    def _start(self) -> None:
        head, self._head = self._head, b""
        if self._connection.transport.is_closing():
            return
        # Together, because aiohttp answers an error in a body that it gets with its head. After the
        # head it would only wait for the rest of the body.
        self._handler.data_received(head + self._take())
        self.data_received()
        self._connection.read_or_pause()

    def data_received(self) -> None:
        """Pass on the bytes of the body that have arrived."""
        while not (self._body_paused or self._head):
            part = self._take()
            if not part:
                break
            self._handler.data_received(part)
        self._end_if_complete()

    def _take(self) -> bytes:
        """Take the next bytes of the body; none if no more have arrived."""
        received = self._connection.received
        size = int(min(self._body_left, len(received), TURN_BYTES))
        part = bytes(received[:size])
        del received[:size]
        self._body_left -= size
        self._body_passed += size
        return part

    def pause_body(self) -> None:
        """Pass on no more of the present body."""
        self._body_paused = True
        self._connection.read_or_pause()

    def resume_body(self) -> None:
        """Pass on the present body again."""
        if self._body_paused:
            self._body_paused = False
            self._connection.serve_soon()

    def is_last_request(self) -> bool:
        """Tell whether the connection must close after the present request."""
        return self._body_left == math.inf

    def request_finished(self) -> None:
        """Note that aiohttp has written its response."""
        self._responded = True
        self._end_if_complete()

    def _end_if_complete(self) -> None:
        if self._responded and not self._body_left:
            self._responded = self._body_paused = False
            self._connection.request_ended()
            self._connection.serve_soon()

    @property
    def wanted_bytes(self) -> float:
        """How many of the received bytes are the present body's: all are passed on at once."""
        return -math.inf if self._body_paused else 0

    @property
    def held_bytes(self) -> int:
        """The number of bytes that aiohttp has got, while the body is incomplete."""
        return self._body_passed if self._body_left else 0

    def may_outlive_client(self) -> bool:
        """Tell whether the response is of use to a client that sends nothing more."""
        return not self._body_left or self.is_last_request()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell aiohttp."""
        handler = self._handler
        self.forget_handler()
        handler.connection_lost(error)

    def forget_handler(self) -> None:
        """Let go of aiohttp's protocol, which refers to this object: no more requests come.

        Such a cycle would keep each closed connection until the next full garbage collection, which
        a quiet server seldom has.
        """
        del self._handler

    def pause_writing(self) -> None:
        """Tell aiohttp that the client does not read."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Tell aiohttp that the client has read everything."""
        self._handler.resume_writing()
