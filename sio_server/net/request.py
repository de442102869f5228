"""An HTTP request, in the same form from the front and from aiohttp."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from sio_server.net.body import read_body
from sio_server.net.connection import TcpConnection
from sio_server.net.handler import FrontHandler, detach_from_aiohttp


def parse_query(query: str) -> dict[str, str]:
    """Return the parameters of a query string, each with its first value."""
    if "%" in query or "+" in query:
        return dict(reversed(parse_qsl(query, keep_blank_values=True)))
    parts = [part.partition("=") for part in query.split("&") if part]
    return {name: value for name, _, value in reversed(parts)}


def list_members(headers: MultiMapping[str], name: str) -> list[str]:
    """Return the members of a list header, which may come in several lines (RFC 9110, 5.6.1)."""
    members = ",".join(headers.getall(name, ())).split(",")
    return [member for member in map(str.strip, members) if member]


class HttpRequest:
    """The head of a request, and access to its body and its connection.

    Args:
        method: the method in capitals.
        target: the path and the query, as the client sent them.
        headers: the headers, case-insensitive.
        peer: the address and the port of the TCP peer.
        scheme: ``http`` or ``https``, as the peer reached this server.
        detach: gives the connection to a ``TcpConnection``; HTTP no longer serves it.
        is_open: tells whether the client is still connected.
        read: reads the whole body, bounded in bytes and seconds; see ``read_body``.
        network: the client's network; see ``Entered``.

    Attributes:
        peer: the address of the TCP peer, without the port.
        port: the port of the TCP peer.
        query: the parameters of the query; see ``parse_query``.
        state: the application's data for this request, and later for its session.
        aiohttp: aiohttp's request; None if the front has read the request.
    """

    __slots__ = (
        "aiohttp",
        "detach",
        "headers",
        "is_open",
        "method",
        "network",
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
        network: str | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.peer, self.port = peer[:2] if isinstance(peer, tuple) else ("", 0)
        self.scheme = scheme
        self.detach = detach
        self.is_open = is_open
        self.read = read
        self.network = network
        self.query = parse_query(target.partition("?")[2])
        self.state: dict[Any, Any] = {}
        self.aiohttp: web.BaseRequest | None = None

    @property
    def path(self) -> str:
        """The path, as the client sent it."""
        return self.target.partition("?")[0]

    @property
    def is_http_1_1(self) -> bool:
        """Whether this is the version of the request. The front reads no other one itself."""
        return self.aiohttp is None or self.aiohttp.version == HttpVersion11

    def forget_connection(self) -> None:
        """Release the connection after ``detach``. Method, target and headers stay readable."""
        self.detach = self.is_open = self.read = _raise_detached

    @classmethod
    def of(cls, request: web.BaseRequest) -> HttpRequest:
        """Convert a request of aiohttp."""
        handler = request.protocol

        def is_open() -> bool:
            if isinstance(handler, FrontHandler):
                return handler.front.is_open()
            return request.transport is not None and not request.transport.is_closing()

        peer = request.transport.get_extra_info("peername") if request.transport else None
        converted = cls(
            request.method,
            request.raw_path,
            request.headers,
            peer,
            request.scheme,
            lambda connection: detach_from_aiohttp(request, connection),
            is_open,
            lambda max_bytes, seconds: read_body(request, max_bytes, seconds),
            handler.front.network if isinstance(handler, FrontHandler) else None,
        )
        converted.aiohttp = request
        return converted

    def environ(self) -> dict[str, Any]:
        """Return the request as a WSGI environment, as python-engineio's handlers expect it."""
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


def _raise_detached(*arguments: Any) -> Any:
    raise ConnectionResetError("the connection has been detached from HTTP")
