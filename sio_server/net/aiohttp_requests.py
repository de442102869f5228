"""The requests of a connection that aiohttp answers."""

from __future__ import annotations

import math

from sio_server.net.front_requests import Connection
from sio_server.net.head import body_length
from sio_server.net.turns import REQUEST_BYTES, TURN_BYTES, begin_in_turn


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
