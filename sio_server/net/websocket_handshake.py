"""The opening handshake of a WebSocket: which requests open one, and the response. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from multidict import MultiMapping

from sio_server.net.request import HttpRequest, list_members

VERSION = "13"
"""The version of the WebSocket protocol (RFC 6455, 4.1)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class BadHandshake(Exception):
    """A request does not open a WebSocket."""


class UnknownVersion(BadHandshake):
    """A request asks for a version of WebSocket that the server does not speak."""


def accept_handshake(request: HttpRequest) -> bytes:
    """Return the HTTP response that accepts a handshake (RFC 6455, 4.2).

    Args:
        request: the upgrade request.

    Raises:
        BadHandshake: the request does not open a WebSocket.
    """
    headers = request.headers
    if (
        request.method != "GET"
        or not asks_for_websocket(headers)
        or "upgrade" not in _lower(list_members(headers, "Connection"))
    ):
        raise BadHandshake("not a WebSocket handshake")
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise UnknownVersion(f"Sec-WebSocket-Version must be {VERSION}")
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise BadHandshake("Sec-WebSocket-Key must be 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())  # noqa: S324 - RFC 6455 requires it
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, _accept_subprotocol(headers))
    )


def _accept_subprotocol(headers: MultiMapping[str]) -> bytes:
    """Return the header that accepts the first subprotocol that the client offers.

    A browser closes a WebSocket whose offers are not answered. Node.js accepts the first one, too.
    """
    offered = list_members(headers, "Sec-WebSocket-Protocol")
    if not all(map(_TOKEN.fullmatch, offered)):
        raise BadHandshake("Sec-WebSocket-Protocol must be a list of tokens")
    return f"Sec-WebSocket-Protocol: {offered[0]}\r\n".encode() if offered else b""


def asks_for_websocket(headers: MultiMapping[str]) -> bool:
    """Tell whether a request names WebSocket as the protocol to change to."""
    return "websocket" in _lower(list_members(headers, "Upgrade"))


def _lower(members: Iterable[str]) -> list[str]:
    return [member.lower() for member in members]
