"""The requests of a connection that the responder answers, without aiohttp."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.front_context import Answer
from sio_server.net.front_requests import Connection
from sio_server.net.head import SimpleHead
from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse
from sio_server.net.turns import REQUEST_BYTES, begin_in_turn

logger = logging.getLogger("sio_server.engine")

_Response = HttpResponse | Awaitable[HttpResponse | None] | None


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
