"""The server that the official Socket.IO suite tests: two namespaces that greet and echo.

``python -m tests.conformance.socketio --port 3000`` serves it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sio_server.engine import Server
from tests.conformance.engineio import SUITE_OPTIONS
from tests.conformance.serve import main

PATH = "socket.io"
NAMESPACES = ("/", "/custom")
AUTH_PAUSE = 0.05
"""Seconds from CONNECT to the event ``auth``.

The suite starts to listen for the second message only after it has handled the first. If both
messages arrive together, it waits forever for the second. The pause sends them apart.
"""


def make_server(*, auth_pause: float = AUTH_PAUSE, **options: Any) -> Server:
    """Make a server of two namespaces with the suite's three events.

    ``auth`` returns the auth of its CONNECT to each client. ``message`` is echoed as ``message-
    back``. ``message-with-ack`` is acknowledged with its own arguments.

    Args:
        auth_pause: seconds from CONNECT to ``auth``.
        options: options of ``Server`` that differ from the suite's.
    """
    server = Server(**{**SUITE_OPTIONS, "connect_timeout": 1, **options})
    for namespace in NAMESPACES:
        _add_handlers(server, namespace, auth_pause)
    return server


def _add_handlers(server: Server, namespace: str, auth_pause: float) -> None:
    async def tell(sid: str, auth: dict[str, Any]) -> None:
        await asyncio.sleep(auth_pause)
        await server.emit("auth", auth, to=sid, namespace=namespace)

    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any] | None) -> None:
        server.start_background_task(tell, sid, auth or {})

    async def message(sid: str, *arguments: Any) -> None:
        await server.emit("message-back", arguments, to=sid, namespace=namespace)

    async def message_with_ack(sid: str, *arguments: Any) -> tuple[Any, ...]:
        return arguments

    server.on("connect", connect, namespace=namespace)
    server.on("message", message, namespace=namespace)
    server.on("message-with-ack", message_with_ack, namespace=namespace)


if __name__ == "__main__":
    main(make_server, PATH)
