"""Encode a message once for all its recipients, in the form of each transport. Pure."""

from __future__ import annotations

import base64

_TEXT, _BINARY = 0x81, 0x82  # RFC 6455, 5.2: FIN and the opcode
_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A


def encode_websocket(first_byte: int, payload: bytes) -> bytes:
    """Encode a payload as a server's WebSocket frame: whole and without a mask (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((first_byte, length)) + payload
    if length < 1 << 16:
        return bytes((first_byte, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + length.to_bytes(8, "big") + payload


def pong(payload: bytes) -> bytes:
    """Return a WebSocket pong, with the payload of the ping (RFC 6455, 5.5.3)."""
    return encode_websocket(_PONG, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a WebSocket close frame (RFC 6455, 5.5.1)."""
    return encode_websocket(_CLOSE, code.to_bytes(2, "big") + reason.encode())


PING = encode_websocket(_PING, b"")
"""A WebSocket ping without a payload."""


class Frame:
    """A message for any number of clients, in its WebSocket form and its polling form.

    Args:
        packet: a text message (for Engine.IO it begins with the packet type), or bytes.

    Attributes:
        websocket: the message as a WebSocket frame, header included. The frame holds nothing else.
    """

    __slots__ = ("websocket",)

    def __init__(self, packet: str | bytes) -> None:
        self.websocket = (
            encode_websocket(_TEXT, packet.encode())
            if isinstance(packet, str)
            else encode_websocket(_BINARY, packet)
        )

    @property
    def packet(self) -> str | bytes:
        """The message."""
        payload = self._payload()
        return payload.decode() if self.websocket[0] == _TEXT else payload

    @property
    def polling(self) -> bytes:
        """The message as a packet of a polling payload (Engine.IO protocol, "Payload encoding")."""
        payload = self._payload()
        return payload if self.websocket[0] == _TEXT else b"b" + base64.b64encode(payload)

    def _payload(self) -> bytes:
        header = {126: 4, 127: 10}.get(self.websocket[1], 2)
        return self.websocket[header:]

    def __len__(self) -> int:
        """Return the length of the WebSocket form in bytes."""
        return len(self.websocket)
