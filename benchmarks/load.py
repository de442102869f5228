"""Socket.IO clients over WebSocket that cost almost nothing: sockets, epoll and a counter.

They implement only the parts of the protocols that a server requires.
"""

from __future__ import annotations

import json
import select
import socket
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Self

EVENT = b'42["furniture'
TIMEOUT = 60
"""Seconds after which missing data is an error."""

MAX_CONNECTING = 32
"""Clients that connect at the same time: fewer than the shortest backlog of the servers."""

_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
_BROWSER = (
    "Pragma: no-cache\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36\r\n"
    "Origin: http://127.0.0.1:{port}\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)
_PING = b"\x81\x012"


def masked(text: str) -> bytes:
    """Frame a text message as a client does, with a mask of zeros, which leaves it readable."""
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
    """One connection, which counts its events and pings.

    Args:
        port: the server's port.
        browser: send a browser's headers, which offer compression.
        auth: the payload of CONNECT, as JSON.
        waits: wait until the TCP connection is open. If not, call ``greet`` when it may be.

    Attributes:
        auth: see above.
        events: the number of received events.
        pings: the number of received pings.
        last: the last received event.
        messages: other received messages, if ``receive`` was told to keep them.
    """

    __slots__ = (
        "_greeting",
        "_incomplete",
        "_inflate",
        "_open",
        "auth",
        "events",
        "last",
        "messages",
        "pings",
        "socket",
    )

    def __init__(
        self, port: int, *, browser: bool = False, auth: str = "", waits: bool = True
    ) -> None:
        self.auth = auth
        self.last = b""
        self._incomplete = b""
        self._open = False
        self._inflate: zlib._Decompress | None = None
        self.events = self.pings = 0
        self.messages: list[bytes] = []
        headers = _UPGRADE + _BROWSER.format(port=port) * browser
        self._greeting = (
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"{headers}\r\n".encode()
        )
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT if waits else 0)
        try:
            self.socket.connect(("127.0.0.1", port))
        except BlockingIOError:
            return
        except OSError:
            self.socket.close()
            raise
        if waits:
            self.greet()

    def greet(self) -> bool:
        """Send the handshake, once; tell whether this call did.

        Raises:
            OSError: the TCP connection could not be opened.
        """
        greeting, self._greeting = self._greeting, b""
        self.socket.sendall(greeting)
        return bool(greeting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def wait_for(self, prefix: bytes) -> bytes:
        """Wait for the next message that starts with ``prefix``; drop the messages before it."""
        while True:
            while self.messages:
                message = self.messages.pop(0)
                if message.startswith(prefix):
                    return message
            self.receive(self.socket.recv(65_536), keep=True)

    def has(self, prefix: bytes) -> bool:
        """Return whether a kept message starts with ``prefix``."""
        return any(message.startswith(prefix) for message in self.messages)

    def receive(self, data: bytes, *, keep: bool = False) -> int:
        """Read received data; return the number of events in it.

        Args:
            data: bytes from the socket.
            keep: add messages other than events and pings to ``messages``.
        """
        if not data:
            raise ConnectionError("the server closed the connection")
        data = self._incomplete + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            self._incomplete = b"" if end else head
            if not end:
                return 0
            if b" 101 " not in head:
                raise ConnectionError(f"no WebSocket handshake: {head[:200]!r}")
            self._open = True
            self.socket.sendall(masked("40" + self.auth))
        at, before = 0, self.events
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + length > len(data):
                break
            message = data[start : start + length]
            if data[at] & 0x40:
                message = self._inflated(message)
            self._handle(message, keep=keep)
            at = start + length
        self._incomplete = data[at:]
        return self.events - before

    def _handle(self, message: bytes, *, keep: bool) -> None:
        if message.startswith(EVENT):
            self.events += 1
            self.last = message
        elif message == b"2":
            self.pong()
        elif keep:
            self.messages.append(message)

    def pong(self) -> None:
        """Answer a ping."""
        self.pings += 1
        self.socket.send(_PONG)

    def publish(self, furniture: dict[str, object], events: int = 1) -> None:
        """Publish events at once. Every client gets them, this one included."""
        event = json.dumps({"furniture": furniture})
        message = masked(f'421["furniture_created",{event}]')
        timeout = self.socket.gettimeout()
        self.socket.settimeout(TIMEOUT)
        self.socket.sendall(message * events)
        self.socket.settimeout(timeout)

    def _inflated(self, message: bytes) -> bytes:
        if self._inflate is None:
            self._inflate = zlib.decompressobj(-15)
        return self._inflate.decompress(message + b"\0\0\xff\xff")


def receive_until(clients: Iterable[Client], until: Callable[[Client], bool]) -> None:
    """Let all clients receive until ``until`` is True for each of them."""
    waiting = {client.socket.fileno(): client for client in clients if not until(client)}
    with select.epoll() as poll:
        for descriptor in waiting:
            poll.register(descriptor, select.EPOLLIN)
        while waiting:
            for descriptor, _ in poll.poll(TIMEOUT) or timed_out():
                client = waiting[descriptor]
                client.receive(client.socket.recv(65_536), keep=True)
                if until(client):
                    del waiting[descriptor]
                    poll.unregister(descriptor)


class Crowd:
    """Many clients. The first one publishes.

    Args:
        port: the server's port.
        greeting: the beginning of the last message that a client gets while it connects.
        browser: see ``Client``.
    """

    def __init__(self, port: int, greeting: bytes, *, browser: bool = False) -> None:
        self._port = port
        self._greeting = greeting
        self._browser = browser
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._poll.close()

    def connect(self, count: int) -> None:
        """Connect ``count`` more clients, a few at a time, and wait for each one's greeting."""
        for start in range(0, count, MAX_CONNECTING):
            batch = [self._open() for _ in range(min(MAX_CONNECTING, count - start))]
            receive_until(batch, lambda client: client.has(self._greeting))
            for client in batch:
                client.messages.clear()
                client.socket.setblocking(False)
                self._clients[client.socket.fileno()] = client
                self._poll.register(client.socket, select.EPOLLIN)
            self._answer_pings_once(0)  # the first clients may have pings by now

    def _open(self) -> Client:
        return Client(self._port, browser=self._browser)

    def deliver(self, furniture: dict[str, object], events: int = 1) -> list[float]:
        """Publish events at once, and wait until every client has them.

        Returns:
            The latency of each delivery in seconds.
        """
        latencies: list[float] = []
        frame = None  # the event's frame: most clients receive exactly these bytes
        clients, clock = self._clients, time.perf_counter
        published = clock()
        next(iter(clients.values())).publish(furniture, events)
        while len(latencies) < events * len(clients):
            for descriptor, _ in self._poll.poll(TIMEOUT) or timed_out():
                client = clients[descriptor]
                data = client.socket.recv(4096)
                if data == frame:
                    latencies.append(clock() - published)
                    continue
                latencies += [clock() - published] * client.receive(data)
                if _is_one_event(data):
                    frame = data
        return latencies

    def answer_pings(self, seconds: float) -> int:
        """Answer the pings that arrive within this time; return their number."""
        before = sum(client.pings for client in self._clients.values())
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._answer_pings_once(left)
        return sum(client.pings for client in self._clients.values()) - before

    def _answer_pings_once(self, timeout: float) -> None:
        for descriptor, _ in self._poll.poll(timeout):
            client = self._clients[descriptor]
            data = client.socket.recv(4096)
            if data == _PING:
                client.pong()
            else:
                client.receive(data)


def timed_out() -> list[tuple[int, int]]:
    """Raise an error in place of a poll's result.

    Raises:
        TimeoutError: always.
    """
    raise TimeoutError(f"no data for {TIMEOUT} s")


def _is_one_event(data: bytes) -> bool:
    return data.startswith(EVENT, 4) and len(data) == 4 + int.from_bytes(data[2:4], "big")
