"""Serve a Socket.IO or Engine.IO server, ours or the libraries' own, in the test's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


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
    assert runner.server is not None
    protocols = server.front(runner.server, path) if hasattr(server, "front") else runner.server
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(protocols, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await runner.cleanup()
