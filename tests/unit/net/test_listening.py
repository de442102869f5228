"""Listening: many connections are accepted at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from sio_server.net.listening import ACCEPTS, Listener, bind

CLIENTS = 200


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_many_connections_are_accepted_in_few_iterations(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Otherwise all would wait in the kernel, however long an iteration takes."""
    accepted: list[socket.socket] = []

    async def accept() -> int:
        sockets = await bind(["127.0.0.1"], 0)
        listener = Listener(sockets, lambda connection, peer: accepted.append(connection))
        address = ("127.0.0.1", listener.port)
        clients = [socket.create_connection(address) for _ in range(CLIENTS)]
        iterations = 0
        while len(accepted) < CLIENTS:
            await asyncio.sleep(0)
            iterations += 1
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for it in (*clients, *accepted):
            it.close()
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
        listener = Listener(sockets, lambda connection, peer: connection.close())
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
