"""Socket.IO clients over HTTP long-polling, each with one persistent connection."""

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
    """One client. It polls again as soon as it has an answer."""

    __slots__ = ("_get", "_incomplete", "_post", "_posted", "socket")

    def __init__(self, port: int, greeting: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incomplete = b""
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

    def receive(self, data: bytes) -> int:
        """Read received data and send the next request; return the number of events in the data."""
        if not data:
            raise ConnectionError("the server closed the connection")
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
                raise ConnectionError("the server closed the connection")
            body = self._body(data)
            if body is not None:
                return body

    def _body(self, data: bytes) -> bytes | None:
        """Add received data; return the body if the response is complete, else None."""
        self._incomplete += data
        body = body_of(self._incomplete)
        if body is not None:
            self._incomplete = b""
        return body


class PollingCrowd:
    """Many polling clients, and one client over WebSocket that publishes.

    Args:
        port: the server's port.
        greeting: the beginning of the last message that a client gets while it connects.
        count: the number of polling clients.
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
        """Publish one event and wait until every client has it; return the latencies in seconds."""
        latencies: list[float] = []
        published = time.perf_counter()
        self._publisher.publish(furniture)
        while len(latencies) < len(self._clients):
            ready = self._poll.poll(TIMEOUT)
            if not ready:
                raise TimeoutError(f"no data for {TIMEOUT} s")
            for descriptor, _ in ready:
                client = self._clients[descriptor]
                count = client.receive(client.socket.recv(65_536))
                latencies += [time.perf_counter() - published] * count
        return latencies
