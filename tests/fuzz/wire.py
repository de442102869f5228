"""The valid messages of clients, as bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence

HOST, PATH = "127.0.0.1", "/socket.io/"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"

Packet = str | bytes


def request(
    target: str, method: str = "GET", headers: str = "", body: bytes | None = None
) -> bytes:
    """Return an HTTP request."""
    if body is not None:
        headers += f"Content-Length: {len(body)}\r\n"
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode() + (body or b"")


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def mask(payload: bytes, key: bytes = MASK) -> bytes:
    """Mask or unmask a payload."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(first: int, payload: bytes) -> bytes:
    """Return a client's WebSocket frame: masked, with its length in the shortest form."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + MASK + mask(payload)


def payload(packets: Sequence[Packet]) -> bytes:
    """Return a polling body of Engine.IO packets."""
    return b"\x1e".join(
        packet.encode() if isinstance(packet, str) else b"b" + base64.b64encode(packet)
        for packet in packets
    )
