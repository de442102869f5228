"""The memory of one connection of each kind, also of hostile kinds.

``python -m benchmarks.memory`` opens many connections of one kind at a time and divides the growth
of the server's private memory by their number. The kernel's socket buffers do not count.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import time
from collections.abc import Callable

from benchmarks.servers import Running, running

HOST = "Host: localhost\r\n"
UPGRADE = (
    f"{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
ENGINE = "/socket.io/?EIO=4&transport="
ROOMS = [f"author:{number:03}" + "é" * 252 for number in range(100)]
SETTLE_SECONDS = 5
PAGE_EVENTS, EVENT_BYTES = 20, 30_000


class Client:
    """A raw TCP connection with a small receive buffer."""

    def __init__(self, server: Running) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", server.port))

    def send(self, data: str | bytes) -> None:
        """Send bytes, or text in UTF-8."""
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def receive(self, end: bytes) -> bytes:
        """Receive until these bytes have come."""
        received = b""
        while end not in received:
            segment = self.socket.recv(65_536)
            if not segment:
                raise AssertionError(f"closed after {received[-200:]!r}")
            received += segment
        return received


def frame(payload: str | bytes, opcode: int = 1) -> bytes:
    """Encode a client's frame; its mask is zero."""
    data = payload.encode() if isinstance(payload, str) else payload
    length = len(data)
    size = bytes([0x80 | length]) if length < 126 else bytes([0xFE]) + length.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + data


def get(target: str, headers: str = "") -> str:
    """Return a GET request."""
    return f"GET {target} HTTP/1.1\r\n{HOST}{headers}\r\n"


def idle_http(client: Client) -> None:
    """HTTP, idle after a response."""
    client.send(get("/healthz"))
    client.receive(b'"ok"}')


def plain(client: Client, query: str = "") -> None:
    """Plain WebSocket."""
    client.send(f"GET /ws{query} HTTP/1.1\r\n{UPGRADE}\r\n")
    client.receive(b"\r\n\r\n")


def socketio(client: Client, headers: str = "", query: str = "", auth: str = "") -> None:
    """Socket.IO over WebSocket."""
    client.send(f"GET {ENGINE}websocket{query} HTTP/1.1\r\n{UPGRADE}{headers}\r\n")
    client.receive(b'"sid"')
    client.send(frame(f"40{auth}"))
    client.receive(b'"ready"')


def polling(client: Client) -> None:
    """Socket.IO over long-polling, with a waiting poll."""
    client.send(get(f"{ENGINE}polling"))
    found = re.search(rb'"sid":"([^"]+)"', client.receive(b"}"))
    assert found is not None
    target = f"{ENGINE}polling&sid={found[1].decode()}"
    client.send(f"POST {target} HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n40")
    client.receive(b"ok")
    client.send(get(target))
    client.receive(b'"ready"')
    client.send(get(target))


def stream(client: Client) -> None:
    """Server-Sent Events."""
    client.send(get("/api/stream"))
    client.receive(b"data: ")


def many_headers(client: Client) -> None:
    """Socket.IO, with 16 KiB of headers."""
    headers = "".join(f"X-{number:02}: {'y' * 150}\r\n" for number in range(90))
    socketio(client, headers=headers)


def many_names(client: Client) -> None:
    """Socket.IO, with 3,000 names in the query."""
    socketio(client, query="".join(f"&{number}" for number in range(3000)))


def many_rooms(client: Client) -> None:
    """Socket.IO, in 100 rooms with the longest names."""
    socketio(client, auth=json.dumps({"rooms": ROOMS}, ensure_ascii=False))


def attachments(client: Client) -> None:
    """Socket.IO, with an attachment of ten that never comes."""
    socketio(client)
    client.send(frame('4510-["x"]'))
    for _ in range(9):
        client.send(frame(bytes(65_000), opcode=2))


def unread_page(client: Client) -> None:
    """HTTP, with unread pages of the history."""
    client.send(get("/api/events?limit=1000") * 50)


def unread_events(client: Client) -> None:
    """Plain WebSocket that does not read, and asks for all events."""
    plain(client, "?since=" + OLDEST[0])


def unread_stream(client: Client) -> None:
    """Server-Sent Events that are not read, from the first event."""
    client.send(get(f"/api/stream?since={OLDEST[0]}"))


def unread_pongs(client: Client) -> None:
    """Plain WebSocket that does not read, and sends pings."""
    plain(client)
    client.socket.settimeout(0.05)
    try:
        for _ in range(200):
            client.send(frame(b"x" * 125, opcode=9) * 90)
    except OSError:
        pass


def unread_answers(client: Client) -> None:
    """Plain WebSocket that does not read, asks for all events, and for 100 long rooms again."""
    plain(client, "?since=" + OLDEST[0])
    client.socket.settimeout(0.05)
    subscribe = json.dumps({"type": "subscribe", "rooms": ROOMS[:99], "ref": 1}, ensure_ascii=False)
    try:
        for _ in range(50):
            client.send(frame(subscribe))
    except OSError:
        pass


def partial_head(client: Client) -> None:
    """HTTP, with a head that does not end."""
    client.send("GET / HTTP/1.1\r\nX: " + "y" * 16_000)


def partial_message(client: Client) -> None:
    """Plain WebSocket, with an unfinished message of 64 KiB."""
    plain(client)
    client.send(frame(bytes(65_000))[:-1])


def partial_body(client: Client) -> None:
    """HTTP, with an unfinished batch of 1 MiB."""
    client.send(
        f"POST /api/events/batch HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
        "Content-Length: 1048576\r\n\r\n"
    )
    client.send(bytes(1_000_000))


OLDEST: list[str] = []

KINDS: dict[Callable[[Client], None], int] = {
    idle_http: 500,
    plain: 500,
    socketio: 500,
    polling: 500,
    stream: 500,
    many_headers: 200,
    many_names: 200,
    many_rooms: 200,
    attachments: 100,
    unread_page: 50,
    unread_events: 50,
    unread_stream: 50,
    unread_pongs: 50,
    unread_answers: 50,
    partial_head: 500,
    partial_message: 200,
    partial_body: 50,
}
"""Each kind and the number of its connections."""


def publish(server: Running) -> None:
    """Publish a history of large events, and note its oldest offset."""
    furniture = {
        "furniture_id": "1",
        "nombre": "Mesa",
        "descripcion": "",
        "altura": 1,
        "ancho": 1,
        "material": "roble",
        "autor_username": "Juan",
        "relleno": "x" * EVENT_BYTES,
    }
    events = [{"type": "furniture_created", "furniture": furniture}] * PAGE_EVENTS
    body = json.dumps({"events": events})
    for _ in range(5):
        client = Client(server)
        client.send(
            f"POST /api/events/batch HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        client.receive(b'"results"')
        client.socket.close()
    client = Client(server)
    client.send(get("/api/events?limit=0"))
    found = re.search(rb'"oldest":"([^"]+)"', client.receive(b"}"))
    assert found is not None
    OLDEST[:] = [found[1].decode()]
    client.socket.close()


def measure(kind: Callable[[Client], None], count: int) -> float:
    """Return the memory of one connection of a kind, in KiB."""
    with running("ours", SIO_CONNECT_TIMEOUT="60", SIO_RATE_LIMIT="1000000") as server:
        publish(server)
        warm = [Client(server) for _ in range(5)]
        for client in warm:
            kind(client)
        time.sleep(SETTLE_SECONDS)
        before = server.memory_kib()
        clients = [Client(server) for _ in range(count)]
        for client in clients:
            kind(client)
        time.sleep(SETTLE_SECONDS)
        return (server.memory_kib() - before) / count


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.parse_args()
    print("| One connection | KiB |\n| --- | --- |")
    for kind, count in KINDS.items():
        print(f"| {(kind.__doc__ or '').rstrip('.')} | {measure(kind, count):.1f} |", flush=True)


if __name__ == "__main__":
    main()
