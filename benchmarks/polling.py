"""Socket.IO clients over HTTP long-polling: one connection each, for one request after another."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Self

from benchmarks.http import body_of
from benchmarks.load import EVENT, TIMEOUT, Client

_SEPARATOR = b"\x1e"


class Poller:
    """One client, which polls again as soon as it has got something."""

    __slots__ = ("_get", "_post", "_posted", "_rest", "socket")

    def __init__(self, port: int, greeting: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        target = "/socket.io/?EIO=4&transport=polling"
        end = f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        opened = self._exchange(f"GET {target} {end}\r\n".encode())
        target = f"{target}&sid={json.loads(opened[1:])['sid']}"
        self._get = f"GET {target} {end}\r\n".encode()
        self._post = (
            f"POST {target} {end}Content-Type: text/plain;charset=UTF-8\r\nContent-Length: "
        ).encode()
        self._posted = False
        self._exchange(self._with_body(b"40"))
        while not any(packet.startswith(greeting) for packet in self._packets()):
            pass
        self.socket.sendall(self._get)
        self.socket.setblocking(False)

    def take(self, data: bytes) -> int:
        """Take what has come and ask again; return how many events were in it."""
        if not data:
            raise ConnectionError("the server hung up")
        body = self._body(data)
        if body is None:
            return 0
        packets = () if self._posted else body.split(_SEPARATOR)
        self._posted = b"2" in packets
        self.socket.send(self._with_body(b"3") if self._posted else self._get)
        return sum(packet.startswith(EVENT) for packet in packets)

    def _with_body(self, body: bytes) -> bytes:
        return b"%s%d\r\n\r\n%s" % (self._post, len(body), body)

    def _packets(self) -> list[bytes]:
        return self._exchange(self._get).split(_SEPARATOR)

    def _exchange(self, request: bytes) -> bytes:
        self.socket.sendall(request)
        while True:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("the server hung up")
            body = self._body(data)
            if body is not None:
                return body

    def _body(self, data: bytes) -> bytes | None:
        """Return the body of the response that these bytes complete, if they do."""
        self._rest += data
        body = body_of(self._rest)
        if body is not None:
            self._rest = b""
        return body


class PollingCrowd:
    """Many polling clients, and one over WebSocket that publishes.

    Args:
        greeting: how the last message starts that a client gets when it connects.
    """

    def __init__(self, port: int, greeting: bytes, count: int) -> None:
        self._publisher = Client(port)
        self._publisher.wait_for(greeting)
        self._publisher.socket.setblocking(False)
        self._poll = select.epoll()
        self._clients: dict[int, Client | Poller] = {
            client.socket.fileno(): client
            for client in (self._publisher, *(Poller(port, greeting) for _ in range(count)))
        }
        for descriptor in self._clients:
            self._poll.register(descriptor, select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._poll.close()

    def deliver(self, furniture: dict[str, object]) -> list[float]:
        """Publish one event and wait until each client has got it; return after which seconds."""
        latencies: list[float] = []
        published = time.perf_counter()
        self._publisher.publish(furniture)
        while len(latencies) < len(self._clients):
            ready = self._poll.poll(TIMEOUT)
            if not ready:
                raise TimeoutError(f"nothing came for {TIMEOUT} s")
            for descriptor, _ in ready:
                client = self._clients[descriptor]
                count = client.take(client.socket.recv(65_536))
                latencies += [time.perf_counter() - published] * count
        return latencies
