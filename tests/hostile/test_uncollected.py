"""A closed connection leaves nothing behind that only the garbage collector would find.

The collector seldom looks at all objects. A cycle of references would keep each closed connection,
with its buffers, until the server has as many new objects again.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.server import TIMEOUT, Server, wait_until
from tests.support.tokens import SECRET

CLIENTS = 5

HOST = b"Host: localhost\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ENGINE = b"/socket.io/?EIO=4&transport="


def request(
    target: bytes, headers: bytes = b"", body: bytes = b"", method: bytes = b"GET"
) -> bytes:
    """Return a request."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + headers + length + b"\r\n" + body


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a WebSocket frame of a client."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def post(packet: bytes) -> bytes:
    """Return a POST of the session that the answer before has opened, with ``SID`` for its id."""
    return request(ENGINE + b"polling&sid=SID", body=packet, method=b"POST")


JSON = b"Content-Type: application/json\r\n"
BROKEN = b"Content-Type: application/json\r\nContent-Length: 100\r\n"

CONVERSATIONS = {
    "nothing": [],
    "half a head": [b"GET / HTTP/1.1\r\n"],
    "no HTTP": [b"\x16\x03\x01\r\n\r\n"],
    "a large head": [request(b"/", b"X-Large: " + b"a" * 40_000 + b"\r\n")],
    "a page": [request(b"/")],
    "two reads": [request(b"/api/events"), request(b"/api/events")],
    "no such path": [request(b"/nowhere")],
    "a refused publish": [request(b"/api/events", JSON, b"{}", b"POST")],
    "a wrong token": [request(b"/api/events", b"Authorization: Bearer a.b.c\r\n")],
    "half a body": [request(b"/api/events", BROKEN, method=b"POST") + b"{"],
    "a stream": [request(b"/api/stream", b"Accept: text/event-stream\r\n")],
    "a WebSocket": [request(b"/ws", UPGRADE), frame(b'{"type":"ping"}')],
    "a closed WebSocket": [request(b"/ws", UPGRADE), frame(b"", 8)],
    "a refused WebSocket": [request(b"/ws?romo=x", UPGRADE)],
    "a wrong message": [request(b"/ws", UPGRADE), frame(b"{")],
    "a frame without a mask": [request(b"/ws", UPGRADE), b"\x81\x01x"],
    "Engine.IO": [request(ENGINE + b"websocket", UPGRADE)],
    "no transport": [request(b"/socket.io/?EIO=4")],
    "Socket.IO": [request(ENGINE + b"websocket", UPGRADE), frame(b"40"), frame(b'42["ping"]')],
    "a wrong packet": [request(ENGINE + b"websocket", UPGRADE), frame(b"4z")],
    "polling": [request(ENGINE + b"polling"), post(b"40"), request(ENGINE + b"polling&sid=SID")],
    "polling that ends": [request(ENGINE + b"polling"), post(b"40"), post(b"1")],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server without garbage collection."""
    running = Server(
        tmp_path_factory.mktemp("server"),
        program="tests.hostile.uncollected",
        jwt_secret=SECRET,
        ping_interval=0.5,
        ping_timeout=0.5,
    )
    for sent in CONVERSATIONS.values():  # objects that stay are made now
        talk(running, sent)
    yield running
    assert running.stop() == 0


def talk(server: Server, sent: list[bytes]) -> None:
    """Connect, send one thing after another, each after an answer to the one before, and leave."""
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as client:
        sid = b""
        for data in sent:
            client.sendall(data.replace(b"SID", sid))
            if data.endswith((b"\r\n", b"{")) and not data.endswith(b"\r\n\r\n"):
                continue  # no answer comes
            answer = client.recv(65_536)
            if found := re.search(rb'"sid":"([^"]+)"', answer):
                sid = found[1]


def live_objects(server: Server) -> dict[str, Any]:
    """Return the number of live objects by type."""
    seen = len(server.log)
    os.kill(server.process.pid, signal.SIGUSR2)

    def find() -> list[dict[str, Any]]:
        socket.create_connection(("127.0.0.1", server.port)).close()  # wakes the loop
        return [line for line in server.log[seen:] if line["message"] == "live_objects"]

    found: list[dict[str, Any]] = wait_until(find, "the server has counted")
    return found[0]


def hurry(server: Server, sent: list[bytes]) -> None:
    """Send the first thing and leave, before the server sees the client."""
    os.kill(server.process.pid, signal.SIGSTOP)
    for _ in range(CLIENTS):
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as client:
            client.sendall(sent[0] if sent else b"")
    os.kill(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_closed_connection_leaves_at_once(server: Server, name: str) -> None:
    """Nothing of some clients stays, however they have left."""
    before = live_objects(server)
    for _ in range(CLIENTS):
        talk(server, CONVERSATIONS[name])
    hurry(server, CONVERSATIONS[name])

    def has_grown() -> dict[str, int]:
        now = live_objects(server)
        more = {it: now[it] - before.get(it, 0) for it in now if it != "message"}
        grown.append({it: count for it, count in more.items() if count >= CLIENTS})
        return grown[-1]

    grown: list[dict[str, int]] = []
    with suppress(AssertionError):
        wait_until(lambda: not has_grown(), "all clients are gone")
    assert grown[-1] == {}
