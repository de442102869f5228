"""All clients reconnect at once and recover their sessions and their missed events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.load import Client, receive_until
from benchmarks.servers import Running, ServerError

MAX_CONNECTING = 256
"""Clients that connect at the same time: fewer than the shortest backlog of the servers."""


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
        """Recover all sessions, and wait until each client has at least ``missed`` events."""
        for start in range(0, len(self._auth), MAX_CONNECTING):
            auths = self._auth[start : start + MAX_CONNECTING]
            with _clients(self._server, [json.dumps(auth) for auth in auths]) as clients:
                receive_until(clients, lambda client: client.events >= missed)
                for client, auth in zip(clients, auths, strict=True):
                    if json.loads(client.wait_for(b"40")[2:])["pid"] != auth["pid"]:
                        raise ServerError("a session was not recovered")
                self._recovered += clients
                clients.clear()

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
