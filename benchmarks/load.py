"""Socket.IO clients over WebSocket that cost next to nothing: sockets, epoll, and a count.

They know only as much of the protocols as keeps a server content.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Self

_HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_EVENT = b'42["furniture'
TIMEOUT = 60


def masked(text: str) -> bytes:
    """Frame a text message as a client does; a mask of zeros leaves it readable."""
    payload = text.encode()
    length = len(payload)
    header = (
        bytes((0x81, 0x80 | length))
        if length < 126
        else bytes((0x81, 0x80 | 126)) + length.to_bytes(2, "big")
    )
    return header + b"\0\0\0\0" + payload


_PONG = masked("3")


class Client:
    """One connection, and how many events it has got."""

    __slots__ = ("_rest", "events", "messages", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.sendall(_HANDSHAKE)
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self.socket.recv(65_536)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        assert b" 101 " in head, head
        self.events = 0
        self.messages: list[bytes] = []
        self.socket.sendall(masked("40"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def wait_for(self, prefix: bytes) -> bytes:
        """Return the first message that starts so."""
        while True:
            for message in self.messages:
                if message.startswith(prefix):
                    return message
            self.receive(keep=True)

    def receive(self, *, keep: bool = False) -> int:
        """Take what has come; return how many events were in it."""
        data = self._rest + self.socket.recv(1 << 18)
        at, before = 0, self.events
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + length > len(data):
                break
            if data.startswith(_EVENT, start):
                self.events += 1
            elif data[start : start + length] == b"2":
                self.socket.send(_PONG)
            elif keep:
                self.messages.append(data[start : start + length])
            at = start + length
        self._rest = data[at:]
        return self.events - before


class Crowd:
    """Many clients, and one among them that publishes."""

    def __init__(self, port: int, count: int) -> None:
        self.publisher = Client(port)
        self.publisher.wait_for(b"40")
        self.clients = [Client(port) for _ in range(count)]
        for client in self.clients:
            client.wait_for(b"40")
            client.socket.setblocking(False)
        self.publisher.socket.setblocking(False)
        self._poll = select.epoll()
        self._by_fd = {client.socket.fileno(): client for client in self.clients}
        self._by_fd[self.publisher.socket.fileno()] = self.publisher
        for descriptor in self._by_fd:
            self._poll.register(descriptor, select.EPOLLIN)

    def publish(self, furniture: dict[str, object]) -> None:
        """Publish one event; the publisher gets it too."""
        event = json.dumps({"furniture": furniture})
        self.publisher.socket.send(masked(f'421["furniture_created",{event}]'))

    def wait_for(self, events: int) -> list[float]:
        """Wait until each client has got so many events; return when each delivery came."""
        arrived: list[float] = []
        expected = events * len(self._by_fd) - sum(client.events for client in self._by_fd.values())
        deadline = time.perf_counter() + TIMEOUT
        while len(arrived) < expected:
            ready = self._poll.poll(1)
            for descriptor, _ in ready:
                count = self._by_fd[descriptor].receive()
                arrived += [time.perf_counter()] * count
            if time.perf_counter() > deadline:
                raise SystemExit(f"only {len(arrived)} of {expected} deliveries in {TIMEOUT} s")
        return arrived

    def close(self) -> None:
        """Hang up."""
        for client in self._by_fd.values():
            client.socket.close()
        self._poll.close()
