"""Clients reconnect and recover their sessions and their missed events: in turns, or at once."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from benchmarks.load import TIMEOUT, Client, receive_until, timed_out
from benchmarks.servers import Running, ServerError

MAX_CONNECTING = 256
"""Clients that connect at the same time: fewer than the shortest backlog of the servers."""


class Storm(NamedTuple):
    """How all clients came back at once.

    Attributes:
        back: the seconds after which each client had its missed events, in order.
        resets: connections that were refused or reset.
    """

    back: list[float]
    resets: int


class LostSessions:
    """Sessions of clients that have lost their connection.

    Args:
        server: the server under measurement.
        count: the number of sessions.
        furniture: the furniture of all events.
    """

    def __init__(self, server: Running, count: int, furniture: dict[str, object]) -> None:
        self._server = server
        self._furniture = furniture
        self._publisher = Client(server.port)
        self._publisher.wait_for(server.greeting)
        self._auth: list[dict[str, Any]] = []
        self._recovered: list[Client] = []
        for start in range(0, count, MAX_CONNECTING):
            self._create(min(MAX_CONNECTING, count - start))

    def _create(self, count: int) -> None:
        with _clients(self._server, [""] * count) as clients:
            receive_until(clients, lambda client: client.has(self._server.greeting))
            pids = [json.loads(client.wait_for(b"40")[2:])["pid"] for client in clients]
            self.publish(1)
            receive_until(clients, lambda client: client.events == 1)
            self._auth += [
                {"pid": pid, "offset": json.loads(client.last[2:])[-1]}
                for pid, client in zip(pids, clients, strict=True)
            ]

    def publish(self, count: int) -> None:
        """Publish events, one after another."""
        for _ in range(count):
            self._publisher.publish(self._furniture)
            self._publisher.wait_for(b"431")

    def recover(self, missed: int) -> None:
        """Recover all sessions, some at a time; each client gets at least ``missed`` events."""
        for start in range(0, len(self._auth), MAX_CONNECTING):
            auths = self._auth[start : start + MAX_CONNECTING]
            with _clients(self._server, [json.dumps(auth) for auth in auths]) as clients:
                receive_until(clients, lambda client: client.events >= missed)
                for client, auth in zip(clients, auths, strict=True):
                    if json.loads(client.wait_for(b"40")[2:])["pid"] != auth["pid"]:
                        raise ServerError("a session was not recovered")
                self._recovered += clients
                clients.clear()

    def storm(self, missed: int) -> Storm:
        """Recover all sessions at once: all clients open their connections at the same time.

        A client whose connection is refused or reset opens another one at once.
        """
        back: list[float] = []
        resets = 0
        clients: dict[int, Client] = {}
        with select.epoll() as poll:

            def connect(auth: str) -> None:
                client = Client(self._server.port, auth=auth, waits=False)
                clients[client.socket.fileno()] = client
                poll.register(client.socket, select.EPOLLOUT)

            began = time.perf_counter()
            for auth in self._auth:
                connect(json.dumps(auth))
            while len(back) < len(self._auth):
                for descriptor, _ in poll.poll(TIMEOUT) or timed_out():
                    client = clients[descriptor]
                    try:
                        if client.greet():
                            poll.modify(descriptor, select.EPOLLIN)
                            continue
                        client.receive(client.socket.recv(65_536), keep=True)
                    except OSError:
                        resets += 1
                        poll.unregister(descriptor)
                        client.socket.close()
                        connect(client.auth)
                        continue
                    if client.events >= missed:
                        back.append(time.perf_counter() - began)
                        poll.unregister(descriptor)
        self._recovered += clients.values()
        return Storm(back, resets)

    def close(self) -> None:
        """Close all connections."""
        for client in (self._publisher, *self._recovered):
            client.socket.close()


@contextmanager
def _clients(server: Running, auths: list[str]) -> Iterator[list[Client]]:
    clients: list[Client] = []
    try:
        for auth in auths:
            clients.append(Client(server.port, auth=auth))  # noqa: PERF401 - closed if one fails
        yield clients
    finally:
        for client in clients:
            client.socket.close()
