"""aiohttp's protocol behind a front: it gets one request at a time, and does not know the client.

The front keeps the TCP connection, its deadlines and its bounds. aiohttp reads the requests that
the front does not answer, and writes the responses.
"""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import StreamReader, web

from sio_server.net.connection import TcpConnection
from sio_server.net.head import MAX_HEAD_BYTES

FOREVER_SECONDS = 10 * 365 * 86_400.0
"""aiohttp's own keep-alive. The front closes idle connections."""


class Front(Protocol):
    """The front, as aiohttp's protocol sees it.

    Attributes:
        network: the client's network; see ``Entered``.
    """

    network: str | None

    def detach(self, connection: TcpConnection) -> None:
        """Give the TCP connection to another protocol; HTTP no longer serves it."""

    def pause_body(self) -> None:
        """Pass no more of the present body to aiohttp."""

    def resume_body(self) -> None:
        """Pass on the present body."""

    def is_open(self) -> bool:
        """Tell whether the client can still read a response, as far as is known."""

    def is_last_request(self) -> bool:
        """Tell whether the connection must close after the present request."""

    def request_finished(self) -> None:
        """Note that the response to the present request was written."""


def detach_from_aiohttp(request: web.BaseRequest, connection: TcpConnection) -> None:
    """Give the TCP connection of a request to another protocol.

    The handler of the request then returns ``DETACHED``.

    Raises:
        ConnectionError: the client has disconnected.
    """
    handler, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has disconnected")
    unread = handler._message_tail  # noqa: SLF001 - see seams.py
    handler.transport = None  # so that connection_lost below does not close it
    handler.connection_lost(None)
    if isinstance(handler, FrontHandler):
        handler.front.detach(connection)
    else:
        connection.attach(transport, unread)


class FrontHandler(web.RequestHandler):
    """aiohttp's protocol for one connection of a front.

    Args:
        front: the connection.
        manager: aiohttp's server.
        options: of aiohttp's protocol.
    """

    __slots__ = ("_answered_body", "front")

    def __init__(self, front: Front, manager: web.Server, **options: Any) -> None:
        super().__init__(
            manager,
            keepalive_timeout=FOREVER_SECONDS,
            tcp_keepalive=False,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            **options,
        )
        self.front = front
        self._answered_body: StreamReader | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop waiting for the rest of a body after its response; aiohttp alone would wait on.

        A request that aiohttp has got but not begun is dropped: aiohttp alone would fail.
        """
        if self._messages and self._task_handler is not None:
            self._task_handler.cancel()
        if self._answered_body is not None and not self._answered_body.is_eof():
            self._answered_body.feed_eof()
        self._answered_body = None
        super().connection_lost(exc)

    def _pause_transport_reading(self) -> None:
        self.front.pause_body()

    def _resume_transport_reading(self) -> None:
        self.front.resume_body()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the rest of a response. Then the front may pass on the next request."""
        if self.front.is_last_request():
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self.transport is not None:
            self._answered_body = request.content
        self.front.request_finished()
        return finished
