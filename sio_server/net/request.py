"""An HTTP request as the engine sees it, whichever door it came through, and its answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from sio_server.net.body import read_body
from sio_server.net.connection import TcpConnection

TEXT, HTML, JSON = "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"

UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, BAD_VERSION = range(6)
"""Engine.IO's error codes."""


def parse_query(query: str) -> dict[str, str]:
    """Return the parameters, each with its first value."""
    if "%" in query or "+" in query:
        return dict(reversed(parse_qsl(query, keep_blank_values=True)))
    parts = [part.partition("=") for part in query.split("&") if part]
    return {name: value for name, _, value in reversed(parts)}


class HttpRequest:
    """A request's head.

    Args:
        method: in capitals.
        target: the path and the query, as they came.
        headers: looked up without regard to case.
        peer: the address and the port of the TCP peer.
        scheme: ``http`` or ``https``, as the peer reached this server.
        give: gives the connection itself away.
        is_open: tells whether the client is still there.
        read: reads the whole body, within bounds of bytes and seconds; see ``read_body``.

    Attributes:
        peer: the address alone.
        query: one value a name.
        kept: what the application keeps with the request, and later with its session.
    """

    __slots__ = (
        "aiohttp",
        "detach",
        "headers",
        "is_open",
        "method",
        "peer",
        "port",
        "query",
        "read",
        "scheme",
        "state",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        headers: CIMultiDict[str] | CIMultiDictProxy[str],
        peer: Any,
        scheme: str,
        detach: Callable[[TcpConnection], None],
        is_open: Callable[[], bool],
        read: Callable[[int, float], Awaitable[bytes]],
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.peer, self.port = peer[:2] if isinstance(peer, tuple) else ("", 0)
        self.scheme = scheme
        self.detach = detach
        self.is_open = is_open
        self.read = read
        self.query = parse_query(target.partition("?")[2])
        self.state: dict[Any, Any] = {}
        self.aiohttp: web.BaseRequest | None = None

    def forget_connection(self) -> None:
        """Keep what was asked alone: the connection is HTTP's no more."""
        self.detach = self.is_open = self.read = _gone

    @classmethod
    def of(cls, request: web.BaseRequest) -> HttpRequest:
        """Return aiohttp's request as the engine's."""

        def is_open() -> bool:
            return request.transport is not None and not request.transport.is_closing()

        peer = request.transport.get_extra_info("peername") if request.transport else None
        made = cls(
            request.method,
            request.raw_path,
            request.headers,
            peer,
            request.scheme,
            lambda connection: connection.detach_from_aiohttp(request),
            is_open,
            lambda max_bytes, seconds: read_body(request, max_bytes, seconds),
        )
        made.aiohttp = request
        return made

    def environ(self) -> dict[str, Any]:
        """Return the request as python-engineio describes it: a WSGI environment."""
        path, _, query = self.target.partition("?")
        environ: dict[str, Any] = {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.async": True,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.url_scheme": self.scheme,
            "SERVER_SOFTWARE": "aiohttp",
            "SERVER_NAME": "aiohttp",
            "SERVER_PORT": "0",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": self.method,
            "RAW_URI": self.target,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.peer,
            "REMOTE_PORT": str(self.port),
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if self.aiohttp is not None:
            environ["aiohttp.request"] = self.aiohttp
        return environ


def _gone(*arguments: Any) -> Any:
    raise ConnectionResetError("the connection is not HTTP's any more")


class HttpResponse:
    """A response, whole.

    Args:
        body: its bytes, or JSON to be.
        headers: beside those for the body; ``Connection: close`` ends the connection.
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
        """Whether the connection is to end with it."""
        return self.headers.get("Connection") == "close"

    def to_aiohttp(self) -> web.Response:
        """Return it as aiohttp's."""
        headers = {"Content-Type": self.content_type, **self.headers}
        response = web.Response(status=self.status, body=self.body, headers=headers)
        if self.closes:
            response.force_close()
        return response


def bad_request(message: str, code: int = BAD_REQUEST) -> HttpResponse:
    """Answer 400 in Engine.IO's form."""
    return HttpResponse(400, {"code": code, "message": message})


Guard = Callable[[HttpRequest], HttpResponse | Mapping[str, str]]
"""Looks at each request first: returns headers for its answer, or an answer that refuses it."""

Admit = Callable[[HttpRequest], HttpResponse | Callable[[], None]]
"""Decides whether a handshake may open a session: returns what is called at the session's end, or
an answer that refuses it."""


def guard_nothing(request: HttpRequest) -> Mapping[str, str]:
    """Let every request pass."""
    return {}


def admit_all(request: HttpRequest) -> Callable[[], None]:
    """Open a session for every handshake."""
    return lambda: None
