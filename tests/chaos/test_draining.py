"""A server that drains lets its clients reconnect. A chaos run found the failure tested here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.support.raw import Closed, RawSocketIO, plain
from tests.support.server import Server


async def test_a_client_that_connects_while_the_server_drains_can_reconnect(
    start_server: Callable[..., Server],
) -> None:
    """The server closes the transport: after a CONNECT_ERROR, socket.io-client would not retry."""
    server = start_server(drain_seconds=10)
    async with AsyncExitStack() as stack:
        for _ in range(100):  # closing them takes a second, so the server still drains
            await stack.enter_async_context(plain(f"{server.url}/ws"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = RawSocketIO(http, server.url)
        await client.open("websocket")
        server.process.terminate()
        server.wait_for_log("draining")
        await client.send("40")
        with pytest.raises(Closed):
            await client.receive("40", "44")
    assert server.stop() == 0
