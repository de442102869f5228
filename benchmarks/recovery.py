"""A storm: every client comes back at once, and has missed events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.load import Client, let
from benchmarks.servers import Running, ServerError

AT_ONCE = 256
"""Clients on their way at the same time: fewer than the shortest backlog of the servers."""


class Sessions:
    """Clients that have had a connection, and what names it.

    Args:
        server: which they were connected to.
        count: how many they are.
        furniture: what is published.
    """

    def __init__(self, server: Running, count: int, furniture: dict[str, object]) -> None:
        self._server = server
        self._furniture = furniture
        self._publisher = Client(server.port)
        self._publisher.wait_for(server.greeting)
        self._auth: list[dict[str, Any]] = []
        self._back: list[Client] = []
        for start in range(0, count, AT_ONCE):
            self._begin(min(AT_ONCE, count - start))

    def _begin(self, count: int) -> None:
        with _clients(self._server, [""] * count) as clients:
            let(clients, lambda client: client.has(self._server.greeting))
            pids = [json.loads(client.wait_for(b"40")[2:])["pid"] for client in clients]
            self.publish(1)
            let(clients, lambda client: client.events == 1)
            self._auth += [
                {"pid": pid, "offset": json.loads(client.last[2:])[-1]}
                for pid, client in zip(pids, clients, strict=True)
            ]

    def publish(self, count: int) -> None:
        """Publish events, one after another."""
        for _ in range(count):
            self._publisher.publish(self._furniture)
            self._publisher.wait_for(b"431")

    def come_back(self, missed: int) -> None:
        """Connect all again, until each has got at least so many events."""
        for start in range(0, len(self._auth), AT_ONCE):
            some = self._auth[start : start + AT_ONCE]
            with _clients(self._server, [json.dumps(auth) for auth in some]) as clients:
                let(clients, lambda client: client.events >= missed)
                for client, auth in zip(clients, some, strict=True):
                    if json.loads(client.wait_for(b"40")[2:])["pid"] != auth["pid"]:
                        raise ServerError("it did not recover a session")
                self._back += clients
                clients.clear()

    def close(self) -> None:
        """End."""
        for client in (self._publisher, *self._back):
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
