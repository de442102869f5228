"""HTTP as far as the load needs it: requests made beforehand, one after another on a connection."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Self

TIMEOUT = 60
"""Seconds after which something that should come has not."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def body_of(response: bytes) -> bytes | None:
    """Return the body of a response, once it is whole.

    Raises:
        ConnectionError: it is a refusal.
    """
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return None
    length = _LENGTH.search(head)
    if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")) or length is None:
        raise ConnectionError(f"no good answer: {response[:300]!r}")
    return body if len(body) >= int(length[1]) else None


def post(target: str, message: object) -> bytes:
    """Return a request with a message as JSON."""
    body = json.dumps(message).encode()
    return (
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Requester:
    """One connection, which is kept alive."""

    __slots__ = ("_rest", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def take(self, data: bytes) -> bytes | None:
        """Take what has come; return the body that it completes."""
        if not data:
            raise ConnectionError("the server hung up")
        self._rest += data
        body = body_of(self._rest)
        if body is not None:
            self._rest = b""
        return body

    def get(self, target: str) -> Any:
        """Ask and wait; return the decoded answer."""
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while (body := self.take(self.socket.recv(65_536))) is None:
            pass
        return json.loads(body)


class Publishers:
    """Connections that publish: each again as soon as it has an answer.

    Args:
        port: the server's.
        count: how many there are.
        request: what each sends.
    """

    def __init__(self, port: int, count: int, request: bytes) -> None:
        self._request = request
        self._poll = select.epoll()
        self._requesters: dict[int, Requester] = {}
        for requester in (Requester(port) for _ in range(count)):
            self._requesters[requester.socket.fileno()] = requester
            self._poll.register(requester.socket, select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for requester in self._requesters.values():
            requester.socket.close()
        self._poll.close()

    def publish(self, enough: Callable[[int], bool]) -> list[float]:
        """Publish until there is enough of so many answers; return after which seconds each came.

        Raises:
            ConnectionError: something was refused.
            TimeoutError: no answer came.
        """
        clock, requesters, poll = time.perf_counter, self._requesters, self._poll.poll
        latencies: list[float] = []
        sent: dict[int, float] = {}

        def send(descriptor: int) -> None:
            sent[descriptor] = clock()
            requesters[descriptor].socket.sendall(self._request)

        for descriptor in requesters:
            send(descriptor)
        while sent:
            ready = poll(TIMEOUT)
            if not ready:
                raise TimeoutError(f"nothing came for {TIMEOUT} s")
            for descriptor, _ in ready:
                requester = requesters[descriptor]
                body = requester.take(requester.socket.recv(65_536))
                if body is None:
                    continue
                latencies.append(clock() - sent.pop(descriptor))
                if b'"ok":false' in body:
                    raise ConnectionError(f"a refusal: {body[:300]!r}")
                if not enough(len(latencies)):
                    send(descriptor)
        return latencies


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Return what says that it is enough when so much time has passed."""
    end = time.perf_counter() + seconds
    return lambda count: time.perf_counter() >= end
