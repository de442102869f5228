"""Requests and responses: their parts, and their forms for the libraries."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from sio_server.net.connection import TcpConnection
from sio_server.net.request import HttpRequest, parse_query


async def read(max_bytes: int, seconds: float) -> bytes:
    """Return a body."""
    return b"body"


def make_request(peer: object = ("192.0.2.1", 5)) -> HttpRequest:
    """Return a request with two headers of the same name."""
    headers = CIMultiDict([("Host", "h"), ("X-A", "1"), ("x-a", "2"), ("Content-Type", "t")])
    return HttpRequest(
        "GET", "/p/?a=1&b=", headers, peer, "https", lambda connection: None, lambda: True, read
    )


@pytest.mark.parametrize("query", ["a=1&b=2&a=3", "a=%31&b=2&a=%33"])
def test_the_first_of_two_equal_parameters_counts(query: str) -> None:
    """A browser's ``URLSearchParams`` does the same, also for escaped values."""
    assert parse_query(query) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("", {}),
        ("&&", {}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=b+c%26", {"a": "b c&"}),
    ],
)
def test_a_query_is_split_into_its_parameters(query: str, parameters: dict[str, str]) -> None:
    """A parameter without a value has the empty one."""
    assert parse_query(query) == parameters


def test_a_request_has_the_address_and_the_query() -> None:
    """The peer of a Unix socket has no address."""
    request = make_request()
    assert (request.peer, request.port, request.query) == ("192.0.2.1", 5, {"a": "1", "b": ""})
    assert (make_request("").peer, make_request("").port) == ("", 0)


def test_the_environment_follows_wsgi() -> None:
    """Headers of the same name are joined, and ``Content-Type`` has no prefix."""
    environ = make_request().environ()
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/p/",
        "QUERY_STRING": "a=1&b=",
        "wsgi.url_scheme": "https",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "5",
        "HTTP_X_A": "1,2",
        "CONTENT_TYPE": "t",
    }
    assert {name: environ[name] for name in expected} == expected
    assert "aiohttp.request" not in environ


def test_a_request_without_its_connection_keeps_its_head() -> None:
    """Any use of the connection fails then."""
    request = make_request()
    request.forget_connection()
    assert request.headers["host"] == "h"
    for use in (
        request.is_open,
        lambda: request.read(1, 1),
        lambda: request.detach(TcpConnection(1, 1)),
    ):
        with pytest.raises(ConnectionResetError):
            use()
