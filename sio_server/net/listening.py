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
    """Listening sockets.

    Args:
        servers: each accepts connections.
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


async def bind(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Bind a socket to each address of these hosts, on one port.

    Args:
        hosts: names or addresses. A socket for IPv6 does not take connections over IPv4.
        port: the port; 0: any free one, the same for all.

    Raises:
        OSError: an address cannot be used.
    """
    loop = asyncio.get_running_loop()
    bound: list[socket.socket] = []
    try:
        for host in hosts:
            server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
            bound += [_copy(it) for it in server.sockets]
            server.close()
            port = bound[0].getsockname()[1]
    except BaseException:
        for it in bound:
            it.close()
        raise
    return bound


async def listen(
    protocols: Callable[[], asyncio.BaseProtocol], sockets: Sequence[socket.socket]
) -> Listener:
    """Listen on bound sockets.

    uvloop accepts one connection of a descriptor in each iteration of the event loop. If iterations
    are long, and many clients connect at once, the others would wait for seconds in the kernel. So
    each socket has several descriptors. asyncio's own loop accepts many connections of one.

    Args:
        protocols: makes the protocol of each connection.
        sockets: from ``bind``. The listener owns them.
    """
    loop = asyncio.get_running_loop()
    copies = 0 if isinstance(loop, asyncio.BaseEventLoop) else ACCEPTS - 1
    all_sockets = [*sockets, *(_copy(it) for it in sockets for _ in range(copies))]
    servers = [await loop.create_server(protocols, sock=it, backlog=BACKLOG) for it in all_sockets]
    return Listener(servers, _port(sockets))


def listen_raw(accepted: Accepted, sockets: Sequence[socket.socket]) -> Listener:
    """Listen on bound sockets, and hand over each connection as a socket.

    Args:
        accepted: see ``Accepted``.
        sockets: from ``bind``. The listener owns them.
    """
    return Listener([_Accepting(it, accepted) for it in sockets], _port(sockets))


def _copy(bound: socket.socket) -> socket.socket:
    return socket.fromfd(bound.fileno(), bound.family, bound.type)


def _port(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port
