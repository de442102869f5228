"""Listening: many connections are accepted at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from sio_server.net.listening import ACCEPTS, bind, listen

CLIENTS = 200


class Accepted(asyncio.Protocol):
    """A connection that records itself."""

    connections: list[asyncio.BaseTransport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record it."""
        self.connections.append(transport)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_many_connections_are_accepted_in_few_iterations(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Otherwise a long iteration would delay all that wait in the kernel."""
    Accepted.connections = []

    async def accept() -> int:
        listener = await listen(Accepted, await bind(["127.0.0.1"], 0))
        address = ("127.0.0.1", listener.port)
        clients = [socket.create_connection(address) for _ in range(CLIENTS)]
        iterations = 0
        while len(Accepted.connections) < CLIENTS:
            await asyncio.sleep(0)
            iterations += 1
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            while True:
                await asyncio.sleep(0)
                clients.append(socket.create_connection(address))
        for client in clients:
            client.close()
        return iterations

    with asyncio.Runner(loop_factory=new_loop) as runner:
        iterations = runner.run(asyncio.wait_for(accept(), 20))
    assert iterations <= CLIENTS // ACCEPTS + 5


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_several_hosts_share_a_free_port(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Each has its own socket, which takes connections as soon as the listener is made."""

    async def connect() -> list[str]:
        sockets = await bind(["127.0.0.1", "127.0.0.2"], 0)
        listener = await listen(asyncio.Protocol, sockets)
        peers = []
        for host in ("127.0.0.1", "127.0.0.2"):
            with socket.create_connection((host, listener.port)) as client:
                peers.append(client.getpeername()[0])
        listener.close()
        return peers

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(connect()) == ["127.0.0.1", "127.0.0.2"]


async def test_a_host_that_cannot_be_used_leaves_no_socket() -> None:
    """The others are closed."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await bind(["127.0.0.1", "127.0.0.2"], port)
        socket.create_server(("127.0.0.1", port)).close()
