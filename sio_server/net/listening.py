"""Listening sockets that accept many connections at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

BACKLOG = 4_096
"""TCP connections that the kernel holds for the server. After a restart all consumers connect at
once."""

ACCEPTS = 4
"""Connections that are accepted in one iteration of the event loop."""


class Listener:
    """The listening sockets of one address.

    Args:
        servers: each accepts connections. All of them have the same sockets.
    """

    def __init__(self, servers: list[asyncio.Server]) -> None:
        self._servers = servers

    @property
    def port(self) -> int:
        """The port of the first socket."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()


async def listen(protocols: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Listener:
    """Listen on an address.

    uvloop accepts one connection of a descriptor in each iteration of the event loop. If iterations
    are long, and many clients connect at once, the others would wait for seconds in the kernel. So
    each socket has several descriptors. asyncio's own loop accepts many connections of one.

    Args:
        protocols: makes the protocol of each connection.
        host: the address.
        port: the port; 0: any free one.

    Raises:
        OSError: the address cannot be used.
    """
    loop = asyncio.get_running_loop()
    first = await loop.create_server(protocols, host, port, backlog=BACKLOG)
    servers = [first]
    copies = 0 if isinstance(loop, asyncio.BaseEventLoop) else ACCEPTS - 1
    for listening in first.sockets:
        for _ in range(copies):
            copy = socket.fromfd(listening.fileno(), listening.family, listening.type)
            servers.append(await loop.create_server(protocols, sock=copy, backlog=BACKLOG))
    return Listener(servers)
