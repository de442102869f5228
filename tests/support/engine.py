"""An engine alone, ours or the libraries' own, served in the test's process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


@asynccontextmanager
async def serving(server: Any, path: str = "socket.io", port: int = 0) -> AsyncIterator[str]:
    """Serve a Socket.IO or Engine.IO server at a path; return the URL without it.

    Args:
        port: on the loopback; 0 takes a free one.
    """
    app = web.Application()
    server.attach(app, path)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
