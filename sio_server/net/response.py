"""A complete HTTP response, in the same form for the front and for aiohttp."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from aiohttp import web

TEXT, HTML, JSON = "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"
JSON_UTF8 = "application/json; charset=utf-8"

_NEW_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}

UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, BAD_VERSION = range(6)
"""Engine.IO's error codes, as ``engine.io/lib/server.ts`` numbers them."""


class HttpResponse:
    """A complete response.

    Args:
        status: the HTTP status.
        body: bytes, or a value to encode as JSON.
        content_type: the media type of the body.
        headers: all other headers. ``Connection: close`` closes the connection.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes | Mapping[str, Any] | str,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.content_type = content_type
        self.headers: dict[str, str] = dict(headers or {})

    @property
    def closes(self) -> bool:
        """Whether the connection closes after this response."""
        return self.headers.get("Connection") == "close"

    def to_aiohttp(self) -> web.Response:
        """Convert to a response of aiohttp."""
        headers = {"Content-Type": self.content_type, **self.headers}
        response = web.Response(status=self.status, body=self.body, headers=headers)
        if self.closes:
            response.force_close()
        return response


def bad_request(message: str, code: int = BAD_REQUEST) -> HttpResponse:
    """Return a 400 response in Engine.IO's JSON form."""
    return HttpResponse(400, {"code": code, "message": message})


_cached_date = (0, "")


def _http_date() -> str:
    """Return the current time as HTTP writes it (RFC 9110, 5.6.7), formatted once a second."""
    global _cached_date  # noqa: PLW0603
    second = int(time.time())
    if _cached_date[0] != second:
        _cached_date = (second, email.utils.formatdate(second, usegmt=True))
    return _cached_date[1]


def phrase(status: int) -> str:
    """Return the name of a status, as RFC 9110 has it. Python before 3.13 has older names."""
    return _NEW_PHRASES.get(status) or HTTPStatus(status).phrase


@cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {phrase(status)}"


def encode(response: HttpResponse, more_fields: str) -> bytes:
    """Return a response as it is sent.

    Args:
        response: the response.
        more_fields: further header fields, each with its line end.
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
    head = (
        f"{_status_line(response.status)}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nDate: {_http_date()}\r\n{fields}{more_fields}\r\n"
    )
    return head.encode() + response.body
