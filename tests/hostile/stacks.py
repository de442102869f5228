"""The two servers that are compared: python-socketio's own server, and ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import socketio
from aiohttp import web

from sio_server.engine import Server
from sio_server.logs import server_logger

TIMEOUT = 5
"""Seconds after which a test that waits for something fails."""

WATCH_SECONDS = 0.5
"""Seconds in which a test watches that nothing happens, if nothing else tells it."""

STOCK_LOG = logging.getLogger("stock")
STOCK_LOG.setLevel(logging.ERROR)  # the stock servers' default


@dataclass
class Stack:
    """A server that is being served.

    Attributes:
        server: the Socket.IO server.
        runner: aiohttp's runner.
        events: the received events, each as a list of its name and its arguments.
    """

    server: Any
    runner: web.AppRunner
    events: list[list[Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    @property
    def endpoint(self) -> str:
        """Return the address of its Engine.IO endpoint."""
        return f"{self.url}/socket.io/"

    @property
    def sockets(self) -> dict[str, Any]:
        """Return its Engine.IO sessions."""
        sockets: dict[str, Any] = self.server.eio.sockets
        return sockets

    @property
    def connections(self) -> int:
        """Return the number of TCP connections that aiohttp has."""
        assert self.runner.server is not None
        return sum(connection.connected for connection in self.runner.server.connections)

    def record(self, name: str, sid: str, *arguments: Any) -> None:
        """Handle and record every event."""
        self.events.append([name, *arguments])


async def until(
    condition: Callable[[], Any], description: str = "", seconds: float = TIMEOUT
) -> None:
    """Wait until the condition is true.

    Raises:
        AssertionError: it was not true in time.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, (
            f"not within {seconds} s: {description}"
        )
        await asyncio.sleep(0.005)


@asynccontextmanager
async def _serve(server: Any, **options: Any) -> AsyncIterator[Stack]:
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, **options)
    await runner.setup()
    stack = Stack(server, runner)
    server.on("*", stack.record)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield stack
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stock(**options: Any) -> AsyncIterator[Stack]:
    """Serve python-socketio's own server."""
    server = socketio.AsyncServer(
        async_mode="aiohttp", logger=STOCK_LOG, engineio_logger=STOCK_LOG, **options
    )
    async with _serve(server) as stack:
        try:
            yield stack
        finally:
            if server.eio.service_task_event is not None:
                await server.shutdown()


@asynccontextmanager
async def ours(**options: Any) -> AsyncIterator[Stack]:
    """Serve our server."""
    async with _serve(Server(**options), logger=server_logger()) as stack:
        yield stack


async def both(
    observe: Callable[..., Awaitable[Any]],
    *arguments: Any,
    stock_options: dict[str, Any] | None = None,
    ours_options: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Return the results of observing the stock server and ours.

    Args:
        observe: called with each stack and the arguments.
        stock_options: options for the stock server only.
        ours_options: options for our server only.
        options: options for both servers.
    """
    async with asyncio.timeout(4 * TIMEOUT):
        async with stock(**options, **(stock_options or {})) as stack:
            on_stock = await observe(stack, *arguments)
        async with ours(**options, **(ours_options or {})) as stack:
            return on_stock, await observe(stack, *arguments)
