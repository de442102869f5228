"""A minimal HTTP client for the load: prepared requests, one after another on a connection."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Self

TIMEOUT = 60
"""Seconds after which a missing answer is an error."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def body_of(response: bytes) -> bytes | None:
    """Return the body of a response, or None if the response is not complete.

    Raises:
        ConnectionError: the status is not 200 or 201.
    """
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return None
    length = _LENGTH.search(head)
    if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")) or length is None:
        raise ConnectionError(f"unexpected answer: {response[:300]!r}")
    return body if len(body) >= int(length[1]) else None


def post(target: str, message: object) -> bytes:
    """Return a POST request with a message as JSON."""
    body = json.dumps(message).encode()
    return (
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Requester:
    """One persistent connection."""

    __slots__ = ("_incomplete", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incomplete = b""

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def receive(self, data: bytes) -> bytes | None:
        """Add received data; return the body if the response is complete, else None."""
        if not data:
            raise ConnectionError("the server closed the connection")
        self._incomplete += data
        body = body_of(self._incomplete)
        if body is not None:
            self._incomplete = b""
        return body

    def get(self, target: str) -> Any:
        """Send a GET request and wait; return the decoded answer."""
        return self.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def send(self, request: bytes) -> Any:
        """Send a request and wait; return the decoded answer."""
        self.socket.sendall(request)
        while (body := self.receive(self.socket.recv(65_536))) is None:
            pass
        return json.loads(body)


class Publishers:
    """Connections that publish. Each sends the next request as soon as it has an answer.

    Args:
        port: the server's port.
        count: the number of connections.
        request: the request that each sends.
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
        """Publish until ``enough`` says so; return the latency of each answer in seconds.

        Args:
            enough: returns whether the number of answers suffices.

        Raises:
            ConnectionError: the server refused an event.
            TimeoutError: no answer arrived.
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
                raise TimeoutError(f"no answer for {TIMEOUT} s")
            for descriptor, _ in ready:
                requester = requesters[descriptor]
                body = requester.receive(requester.socket.recv(65_536))
                if body is None:
                    continue
                latencies.append(clock() - sent.pop(descriptor))
                if b'"ok":false' in body:
                    raise ConnectionError(f"refused: {body[:300]!r}")
                if not enough(len(latencies)):
                    send(descriptor)
        return latencies


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Return an ``enough`` for ``Publishers.publish`` that is True after this time."""
    end = time.perf_counter() + seconds
    return lambda count: time.perf_counter() >= end
