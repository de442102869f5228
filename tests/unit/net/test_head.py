"""The head of a request: its end, its fields, and the length of the body."""

from __future__ import annotations

import pytest

from sio_server.net.head import SimpleHeads, body_length, count_fields, find_end, may_begin

START = b"POST /other HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("received", "end"), [(b"", 0), (b"GET / HTTP/1.1\r\n", 0), (b"a\r\n\r\nb\r\n\r\n", 5)]
)
def test_a_head_ends_at_the_first_empty_line(received: bytes, end: int) -> None:
    """Later heads do not count."""
    assert find_end(bytearray(received)) == end


def test_the_request_line_is_no_field() -> None:
    """Neither is the empty line."""
    assert count_fields(START + b"\r\n") == 1


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:12 \r\n", 12),
        (b"CONTENT-LENGTH : 12\r\n", 12),
        (b"X-Content-Length: 12\r\n", 0),
        (b"Content-Length: 12\r\nContent-Length: 12\r\n", None),
        (b"Content-Length: +12\r\n", None),
        (b"Content-Length: 12, 12\r\n", None),
        (b"Content-Length: 1234567890\r\n", None),
        (b"Transfer-Encoding: chunked\r\n", None),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n", None),
    ],
)
def test_only_one_plain_length_measures_a_body(fields: bytes, length: int | None) -> None:
    """In every other case only aiohttp knows the end."""
    assert body_length(START + fields + b"\r\n") == length


@pytest.mark.parametrize(
    ("received", "may"), [(b"", True), (b"G", True), (b"\x16\x03", False), (b"\xff", False)]
)
def test_some_bytes_cannot_begin_a_request(received: bytes, may: bool) -> None:
    """A TLS hello begins with 0x16."""
    assert may_begin(bytearray(received)) is may


def test_a_simple_head_is_read_completely() -> None:
    """Its fields, its target and the length of its body."""
    head = SimpleHeads("/engine/").parse(
        b"POST /engine/?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length:  7 \r\n\r\n"
    )
    assert head is not None
    assert (head.method, head.target, head.body_bytes) == ("POST", "/engine/?a=1", 7)
    assert head.headers["host"] == "localhost"


@pytest.mark.parametrize(
    ("line", "simple"),
    [
        ("POST /posts", True),
        ("GET /posts", False),
        ("POST /posts?a=1", False),
        ("POST /posts/", False),
        ("POST /other", False),
        ("POST /engine/", False),
    ],
)
def test_some_posts_are_simple_too(line: str, simple: bool) -> None:
    """Only with exactly this target."""
    heads = SimpleHeads("/engine/", ["/posts"])
    head = heads.parse(f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n".encode())
    assert (head is not None) is simple


_HOST = "Host: localhost\r\n"


@pytest.mark.parametrize(
    ("line", "fields", "shares"),
    [
        ("GET /engine/?b=2", _HOST, True),
        ("GET /engine/?b=2", "Host: LOCALHOST\r\n", False),
        ("GET /engine/?b=2", _HOST + "Cookie: a=1\r\n", False),
        ("POST /engine/?b=2", _HOST + "Content-Length: 0\r\n", False),
    ],
)
def test_a_head_shares_the_fields_of_the_last_one(line: str, fields: str, shares: bool) -> None:
    """Only if they came in the same way. The result is as if there were no last head."""
    heads = SimpleHeads("/engine/")
    last = heads.parse(f"GET /engine/?a=1 HTTP/1.1\r\n{_HOST}\r\n".encode())
    assert last is not None
    text = f"{line} HTTP/1.1\r\n{fields}\r\n".encode()
    head = heads.parse(text, last)
    assert head == heads.parse(text)
    assert head is not None
    assert (head.headers is last.headers) is shares


@pytest.mark.parametrize("line", ["POST /engine/?b=2", "GET /other/?b=2", "PUT /engine/?b=2"])
def test_a_head_is_refused_despite_the_last_one(line: str) -> None:
    """It has another path, or its method makes it lack something: a POST, the body's length."""
    heads = SimpleHeads("/engine/")
    last = heads.parse(f"GET /engine/?a=1 HTTP/1.1\r\n{_HOST}\r\n".encode())
    assert heads.parse(f"{line} HTTP/1.1\r\n{_HOST}\r\n".encode(), last) is None
