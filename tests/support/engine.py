"""Serve an engine in the test's process, or use its parts without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from sio_server.net.frames import Frame
from sio_server.net.handler import Front, FrontHandler
from sio_server.net.listening import Listener, bind
from sio_server.net.request import HttpRequest


@asynccontextmanager
async def serving(server: Any, path: str = "socket.io", port: int = 0) -> AsyncIterator[str]:
    """Serve a server at a path; return the URL without the path.

    Our server gets its own requests before aiohttp, as in the product.

    Args:
        server: the server.
        path: its path.
        port: the port on the loopback interface; 0 takes a free one.
    """
    app = web.Application()
    server.attach(app, path)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    http_server, loop = runner.server, asyncio.get_running_loop()
    assert http_server is not None

    def make_handler(front: Front) -> FrontHandler:
        return FrontHandler(front, http_server, loop=loop, access_log=None)

    sockets = await bind(["127.0.0.1"], port)
    address = sockets[0].getsockname()
    listener: Listener | asyncio.Server
    if hasattr(server, "front"):
        listener = Listener(sockets, server.front(make_handler, path).accept)
    else:
        listener = await loop.create_server(http_server, sock=sockets[0])
    try:
        yield f"http://127.0.0.1:{address[1]}"
    finally:
        listener.close()
        await runner.cleanup()


class RecordingTransport:
    """A transport of an Engine.IO session that records its packets.

    Attributes:
        packets: the written packets.
        closed: the transport was closed.
    """

    def __init__(self, name: str = "websocket") -> None:
        self.name = name
        self.packets: list[str | bytes] = []
        self.closed = False

    def write(self, frame: Frame) -> bool:
        """Record a frame."""
        self.packets.append(frame.packet)
        return True

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Record frames."""
        self.packets += [frame.packet for frame in frames]
        return True

    def one_write(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def unacknowledged_bytes(self) -> int:
        """Return 0: everything was sent."""
        return 0

    async def drain(self) -> None:
        """Return at once."""

    def close(self) -> None:
        """Record the close."""
        self.closed = True


class RequestBody:
    """A client's connection and the body of its request.

    Attributes:
        is_open: the client is connected.
        body: the body, or the exception that reading it raises.
    """

    def __init__(self, body: bytes | Exception = b"") -> None:
        self.is_open = True
        self.body = body

    async def read(self, max_bytes: int, seconds: float) -> bytes:
        """Return the body."""
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


def make_request(
    method: str = "GET",
    query: str = "EIO=4&transport=polling",
    body: RequestBody | None = None,
    peer: str = "127.0.0.1",
) -> HttpRequest:
    """Return a request to an engine, which has no connection that can be detached."""
    content = body or RequestBody()

    def detach(connection: Any) -> None:
        raise ConnectionResetError

    return HttpRequest(
        method,
        f"/engine.io/?{query}",
        CIMultiDict({"Host": "localhost"}),
        (peer, 5),
        "http",
        detach,
        lambda: content.is_open,
        content.read,
    )
