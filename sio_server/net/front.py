"""The HTTP front: it makes the protocol of every TCP connection, and bounds all of them.

The front reads the head of each request. It answers the simple requests of the engine's path
itself, and passes all others to aiohttp, one at a time. So both doors have the same bounds: bytes
and fields of a head, deadlines, unread responses, and the turns of the other connections. The same
``Responder`` answers the engine's requests in both cases.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from sio_server.net.front_connection import FrontConnection
from sio_server.net.front_context import Entered, FrontContext, FrontLimits, Responder
from sio_server.net.handler import Front
from sio_server.net.transports import CLOSE_SECONDS


class HttpFront:
    """Make the protocol of each new connection, as ``loop.create_server`` asks for it.

    Args: see ``FrontContext``.
    """

    def __init__(
        self,
        responder: Responder,
        path: str,
        make_handler: Callable[[Front], asyncio.Protocol],
        limits: FrontLimits,
    ) -> None:
        self._context = FrontContext(responder, path, make_handler, limits)
        self._handshakes: set[asyncio.Task[None]] = set()

    def __call__(self) -> FrontConnection:
        """Return the protocol for a new connection."""
        return FrontConnection(self._context)

    def accept(self, accepted: socket.socket, peer: str, context: ssl.SSLContext) -> None:
        """Begin a TLS handshake on a new connection; close it at once if there are too many.

        The connection counts from its beginning, and has the time of a head for the handshake.
        """
        entered = self._context.enter(peer)
        if entered is None:
            accepted.close()
            return
        task = self._context.loop.create_task(self._shake_hands(accepted, entered, context))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(
        self, accepted: socket.socket, entered: Entered, context: ssl.SSLContext
    ) -> None:
        try:
            await self._context.loop.connect_accepted_socket(
                lambda: FrontConnection(self._context, entered),
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._context.connect_timeout,
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except (OSError, asyncio.CancelledError):  # whatever strangers send; ssl.SSLError is one
            entered.leave()
            accepted.close()

    def abort(self) -> None:
        """Close all open connections at once, also those that a WebSocket has now."""
        for task in self._handshakes:
            task.cancel()
        for transport in list(self._context.transports):
            transport.abort()
