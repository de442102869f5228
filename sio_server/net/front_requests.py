"""A connection, as the requests that come over it see it.

Its requests are served in two ways: by the responder (``own_requests``), or by aiohttp
(``aiohttp_requests``). A connection has at most one object of each kind, and at most one of the two
serves a request at a time. Both take the request's body from the bytes that the connection has
received.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sio_server.net.connection import TcpConnection
from sio_server.net.front_context import FrontContext
from sio_server.net.response import HttpResponse


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
