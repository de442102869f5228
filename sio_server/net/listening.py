"""Listening sockets that accept many connections at a time."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

BACKLOG = 4_096
"""TCP connections that the kernel holds for the server. After a restart all consumers connect at
once."""

ACCEPTS = 16
"""Connections of a socket that are accepted in one iteration of the event loop. They must not wait
in the kernel, whose queue knows no turns."""

RETRY_SECONDS = 1.0
"""How long no connection is accepted after the system has refused to accept one."""

Accepted = Callable[[socket.socket, str], object]
"""Called with a new connection, and the address of its peer."""


class Listener:
    """Listening sockets, whose connections are handed over as sockets.

    Args:
        sockets: from ``bind``. The listener owns them.
        accepted: see ``Accepted``.

    Attributes:
        port: the port of the first socket.
    """

    def __init__(self, sockets: Sequence[socket.socket], accepted: Accepted) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._retries: dict[socket.socket, asyncio.TimerHandle] = {}
        for it in sockets:
            it.setblocking(False)
            it.listen(BACKLOG)
            self._begin(it)

    def _begin(self, listening: socket.socket) -> None:
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no more files
                logger.exception("accept_failed")
                self._loop.remove_reader(listening)
                retry = self._loop.call_later(RETRY_SECONDS, self._begin, listening)
                self._retries[listening] = retry
                return
            connection.setblocking(False)
            self._accepted(connection, address[0])

    def close(self) -> None:
        """Accept no more connections."""
        for retry in self._retries.values():
            retry.cancel()
        for it in self._sockets:
            self._loop.remove_reader(it)
            it.close()


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
            bound += [socket.fromfd(it.fileno(), it.family, it.type) for it in server.sockets]
            server.close()
            port = bound[0].getsockname()[1]
    except BaseException as error:
        for it in bound:
            it.close()
        if isinstance(error, OSError) and error.errno is None:
            # Since Python 3.13, asyncio skips the addresses that the machine does not have.
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)) from None
        raise
    return bound
