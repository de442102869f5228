"""The parts that all connections of one HTTP front share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sio_server.net.connection import read_buffer
from sio_server.net.deadlines import Deadlines
from sio_server.net.handler import Front
from sio_server.net.head import SimpleHeads
from sio_server.net.incoming import Incoming
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse


class Entered(NamedTuple):
    """A counted TCP connection.

    Attributes:
        network: the client's network, with which it shares turns and room for unfinished requests;
            None: it is not known, because a proxy is between.
        leave: to be called, once, when the connection ends.
    """

    network: str | None
    leave: Callable[[], None]


Enter = Callable[[str], Entered | None]
"""Counts a TCP connection of an address. Returns None if there are too many."""

Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers a request."""


class Responder(Protocol):
    """The server that answers the requests."""

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """Return the response; None if the responder has detached the connection.

        Raises:
            ConnectionError: the client has disconnected.
        """

    def refuse_head(self) -> HttpResponse:
        """Return the response to a request whose head is too large."""


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """The bounds of the connections.

    Attributes:
        connect_timeout: seconds for a complete head.
        keepalive_seconds: seconds that a connection may idle after a response.
        slow_seconds: seconds without progress after which an unread response is aborted.
        incoming: counts the bytes of unfinished requests.
        enter: counts a TCP connection.
    """

    connect_timeout: float = 10
    keepalive_seconds: float = 75
    slow_seconds: float = 30
    incoming: Incoming = field(default_factory=Incoming)
    enter: Enter = lambda address: Entered(address or None, lambda: None)


class Timed(Protocol):
    """A connection with deadlines."""

    def abort(self) -> None:
        """Close at once."""

    def check_progress(self) -> None:
        """Close, unless the client has read some of the response."""

    def __hash__(self) -> int: ...


class FrontContext:
    """The parts that all connections of one front share.

    Args:
        responder: answers the requests that the front reads.
        path: the path of these requests, with a slash at both ends.
        make_handler: makes aiohttp's protocol for one connection; see ``FrontHandler``.
        limits: the bounds of the connections.
        posts: answer the POST requests of these targets in aiohttp's place, which costs less.

    Attributes:
        read_buffer: see ``TcpConnection.get_buffer``.
        reading: the connections that have sent no complete head.
        idle: the connections that wait for another request.
        unread: the connections whose client has not read the last response.
        transports: all open ones.
        connect_timeout: seconds for a complete head, and for a TLS handshake before it.
    """

    def __init__(
        self,
        responder: Responder,
        path: str,
        make_handler: Callable[[Front], asyncio.Protocol],
        limits: FrontLimits,
        posts: Mapping[str, Answer] = MappingProxyType({}),
    ) -> None:
        self.responder = responder
        self.posts = posts
        self.make_handler = make_handler
        self.heads = SimpleHeads(path, posts)
        self.enter = limits.enter
        self.connect_timeout = limits.connect_timeout
        self.incoming = limits.incoming
        self.keep_alive = f"timeout={limits.keepalive_seconds:.0f}"
        self.reading: Deadlines[Timed] = Deadlines(
            limits.connect_timeout, lambda connection: connection.abort()
        )
        self.idle: Deadlines[Timed] = Deadlines(
            limits.keepalive_seconds, lambda connection: connection.abort()
        )
        self.unread: Deadlines[Timed] = Deadlines(
            limits.slow_seconds, lambda connection: connection.check_progress()
        )
        self.loop = asyncio.get_running_loop()
        self.read_buffer = read_buffer()
        self.transports: set[asyncio.Transport] = set()

    def add(self, transport: asyncio.Transport, leave: Callable[[], None]) -> Callable[[], None]:
        """Note an open connection.

        Args:
            transport: the connection.
            leave: see ``Entered``.

        Returns:
            The function to call in its place.
        """
        self.transports.add(transport)
        return partial(self._remove, transport, leave)

    def _remove(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        self.transports.discard(transport)
        leave()
