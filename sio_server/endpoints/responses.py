"""The forms of an HTTP response: JSON, JSON with a long list, and a problem (RFC 9457)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from sio_server.contract import strictjson
from sio_server.contract.errors import (
    ContractError,
    Flooding,
    Unauthorized,
    UnknownWebSocketVersion,
)
from sio_server.net.response import HttpResponse, phrase
from sio_server.net.websocket_handshake import VERSION

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The headers of a page, and of the files that it loads."""


def json_response(value: Any, status: int = 200) -> web.Response:
    """Return a response with JSON."""
    return web.Response(
        text=strictjson.dumps(value), status=status, content_type="application/json"
    )


PIECE_BYTES = 16_384
"""A long list is written in pieces of at least this size."""


class _Pieces(Payload):
    """A body in pieces. The next one is written once the client's machine has taken the last one.

    A whole body would be in memory three times as long as the client does not read it. A piece is
    forgotten when it is written.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = deque(pieces)
        super().__init__(None, content_type="application/json; charset=utf-8")
        self._size = sum(map(len, self._pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the pieces that are not written yet."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the pieces."""
        while self._pieces:
            await writer.write(self._pieces.popleft())
            await writer.drain()


def list_response(name: str, items: Iterable[bytes], rest: dict[str, Any]) -> web.Response:
    """Return a response with a JSON object that has a long list.

    Args:
        name: the name of the list, which comes first.
        items: its items, as JSON.
        rest: the other members.
    """
    pieces, piece = [], bytearray(f'{{"{name}":['.encode())
    separator = b""
    for item in items:
        piece += separator + item
        separator = b","
        if len(piece) >= PIECE_BYTES:
            pieces.append(bytes(piece))
            piece.clear()
    end = strictjson.dumps(rest)[1:].encode()
    pieces.append(bytes(piece) + (b"]," if rest else b"]") + end)
    return web.Response(body=_Pieces(pieces))


def problem_response(error: ContractError) -> HttpResponse:
    """Return the response for an error of the contract."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnknownWebSocketVersion):
        headers["Sec-WebSocket-Version"] = VERSION
    if isinstance(error, Flooding):
        headers["Connection"] = "close"
    shape = {
        "type": "about:blank",
        "title": phrase(error.status),
        "status": error.status,
        **error.as_dict(),
    }
    body = strictjson.dumps(shape).encode()
    return HttpResponse(error.status, body, "application/problem+json; charset=utf-8", headers)


def refused_stream(error: ContractError) -> web.Response:
    """Return the response for a temporary error to a browser's ``EventSource``.

    After another status than 200 it would never connect again.
    """
    seconds = (error.retry_after or 1) * random.uniform(1, 1.5)  # noqa: S311 - not all at once
    body = (
        f"retry: {seconds * 1000:.0f}\nevent: error\ndata: {strictjson.dumps(error.as_dict())}\n\n"
    )
    return web.Response(text=body, content_type="text/event-stream")


def problem(error: ContractError) -> web.Response:
    """Return the response for an error of the contract, for aiohttp."""
    return problem_response(error).to_aiohttp()
