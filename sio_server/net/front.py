"""The HTTP front: it opens every accepted TCP connection, and bounds all of them.

The front reads the head of each request. It answers the simple requests of the engine's path, and
simple publishes, itself, and passes all others to aiohttp, one at a time. So both doors have the
same bounds: bytes and fields of a head, deadlines, unread responses, and the turns of the other
connections. The same ``Responder`` answers the engine's requests in both cases, and the same
``Answer`` a publish.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from sio_server.net.fair_queue import FairQueue
from sio_server.net.front_connection import FrontConnection
from sio_server.net.front_context import Answer, Entered, FrontContext, FrontLimits, Responder
from sio_server.net.handler import Front
from sio_server.net.transports import CLOSE_SECONDS

OPENS = 4
"""Connections that are opened in one iteration of the event loop."""


class _Accepted(NamedTuple):
    """A connection that waits until it is opened."""

    socket: socket.socket
    entered: Entered
    tls: ssl.SSLContext | None

    def close(self) -> None:
        """Close it. It no longer counts."""
        self.entered.leave()
        self.socket.close()


class HttpFront:
    """Open the connections that a ``Listener`` accepts.

    Opening a connection costs much more than accepting it. So accepted connections wait here, each
    network for itself: a client does not wait behind the thousands of another network.

    Args: see ``FrontContext``.
    """

    def __init__(
        self,
        responder: Responder,
        path: str,
        make_handler: Callable[[Front], asyncio.Protocol],
        limits: FrontLimits,
        posts: Mapping[str, Answer] = MappingProxyType({}),
    ) -> None:
        self._context = FrontContext(responder, path, make_handler, limits, posts)
        self._waiting: FairQueue[_Accepted] = FairQueue()
        self._opening: set[asyncio.Task[None]] = set()

    def accept(self, accepted: socket.socket, peer: str, tls: ssl.SSLContext | None = None) -> None:
        """Take a new connection; close it at once if there are too many.

        Args:
            accepted: the connection. It counts from now.
            peer: the address of the client.
            tls: the settings of TLS; None: without TLS.
        """
        entered = self._context.enter(peer)
        if entered is None:
            accepted.close()
            return
        if not self._waiting:
            self._context.loop.call_soon(self._open_some)
        self._waiting.add(_Accepted(accepted, entered, tls), entered.network)

    def _open_some(self) -> None:
        for _ in range(min(OPENS, len(self._waiting))):
            accepted, _, _ = self._waiting.pop()
            task = self._context.loop.create_task(self._open(accepted))
            self._opening.add(task)
            task.add_done_callback(partial(self._opened, accepted))
        if self._waiting:
            self._context.loop.call_soon(self._open_some)

    async def _open(self, accepted: _Accepted) -> None:
        """Make the transport. A TLS handshake has the time of a head."""
        encryption: dict[str, Any] = {}
        if accepted.tls is not None:
            encryption = {
                "ssl": accepted.tls,
                "ssl_handshake_timeout": self._context.connect_timeout,
                "ssl_shutdown_timeout": CLOSE_SECONDS,
            }
        try:
            await self._context.loop.connect_accepted_socket(
                lambda: FrontConnection(self._context, accepted.entered),
                accepted.socket,
                **encryption,
            )
        except OSError:  # whatever strangers send; ssl.SSLError is one
            accepted.close()

    def _opened(self, accepted: _Accepted, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if task.cancelled():  # it may not even have begun
            accepted.close()

    def abort(self) -> None:
        """Close all open connections at once, also those that a WebSocket has now."""
        while self._waiting:
            self._waiting.pop()[0].close()
        for task in self._opening:
            task.cancel()
        for transport in list(self._context.transports):
            transport.abort()
