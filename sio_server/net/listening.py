"""Listening sockets that accept many connections at a time."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

BACKLOG = 4_096
"""TCP connections that the kernel holds for the server. After a restart all consumers connect at
once."""

ACCEPTS = 4
"""Connections that are accepted in one iteration of the event loop."""


RETRY_SECONDS = 1.0
"""How long no connection is accepted after the system has refused to accept one."""

Accepted = Callable[[socket.socket, str], object]
"""Called with a new connection, and the address of its peer."""


class Listener:
    """The listening sockets of one address.

    Args:
        servers: each accepts connections. All of them have the same sockets.
        port: the port of the first socket.
    """

    def __init__(self, servers: Sequence[asyncio.Server | _Accepting], port: int) -> None:
        self._servers = servers
        self.port = port

    def close(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()


class _Accepting:
    """Accepts the connections of one socket, ``ACCEPTS`` in each iteration of the event loop."""

    def __init__(self, listening: socket.socket, accepted: Accepted) -> None:
        self._listening = listening
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._loop.add_reader(listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no more files
                logger.exception("accept_failed")
                self._loop.remove_reader(self._listening)
                self._retry = self._loop.call_later(RETRY_SECONDS, self._begin_again)
                return
            connection.setblocking(False)
            self._accepted(connection, address[0])

    def _begin_again(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more connections."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()


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
    return Listener(servers, _port(first))


async def listen_raw(accepted: Accepted, host: str, port: int) -> Listener:
    """Listen on an address, and hand over each connection as a socket.

    Args:
        accepted: see ``Accepted``.
        host: the address.
        port: the port; 0: any free one.

    Raises:
        OSError: the address cannot be used.
    """
    loop = asyncio.get_running_loop()
    bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    copies = [socket.fromfd(it.fileno(), it.family, it.type) for it in bound.sockets]
    listener = Listener([_Accepting(copy, accepted) for copy in copies], _port(bound))
    bound.close()
    return listener


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
