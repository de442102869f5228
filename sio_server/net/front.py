"""The HTTP front: it makes the protocol of every TCP connection, and bounds all of them.

The front reads the head of each request. It answers the simple requests of the engine's path
itself, and passes all others to aiohttp, one at a time. So both doors have the same bounds: bytes
and fields of a head, deadlines, unread responses, and the turns of the other connections. The same
``Responder`` answers the engine's requests in both cases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sio_server.net.front_connection import FrontConnection
from sio_server.net.front_context import FrontContext, FrontLimits, Responder
from sio_server.net.handler import Front


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

    def __call__(self) -> FrontConnection:
        """Return the protocol for a new connection."""
        return FrontConnection(self._context)

    def abort(self) -> None:
        """Close all open connections at once, also those that a WebSocket has now."""
        for transport in list(self._context.transports):
            transport.abort()
