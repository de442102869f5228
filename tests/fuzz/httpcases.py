"""Polling bodies and HTTP requests to the engine's path that no client library sends."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.strategies import cases as packets
from tests.fuzz.target import MAX_MESSAGE, MAX_PAYLOAD
from tests.fuzz.wire import HOST, PATH, payload

SEPARATOR = b"\x1e"
ENCODE = {
    None: bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


@dataclass(frozen=True)
class Body:
    """A POST's body.

    Attributes:
        data: Engine.IO packets, perhaps damaged.
        headers: headers without the content coding.
        encoding: the content coding, or None.
        broken: the number of bytes missing at the end of the encoded body.
        chunks: the sizes of chunks, used in turns; empty: a Content-Length instead.
        cuts: the places between the request's segments.
    """

    data: bytes
    headers: str
    encoding: str | None
    broken: int
    chunks: tuple[int, ...]
    cuts: tuple[int, ...]

    def request(self, target: str, fence: str) -> bytes:
        """Return the request, with the fence as its last packet."""
        encoded = ENCODE[self.encoding](self.whole(fence))
        encoded = encoded[: len(encoded) - self.broken]  # less than gzip's trailer
        headers = self.headers
        if self.encoding is not None:
            headers += f"Content-Encoding: {self.encoding}\r\n"
        if self.chunks:
            headers += "Transfer-Encoding: chunked\r\n"
            encoded = chunked(encoded, self.chunks)
        else:
            headers += f"Content-Length: {len(encoded)}\r\n"
        return f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode() + encoded

    def whole(self, fence: str) -> bytes:
        """Return the body that the server reads, if nothing is missing."""
        return self.data + SEPARATOR + fence.encode()


def chunked(data: bytes, sizes: Sequence[int]) -> bytes:
    """Return a body in chunks (RFC 9112, 7.1)."""
    chunks = []
    position = number = 0
    while position < len(data):
        chunk = data[position : position + sizes[number % len(sizes)]]
        if len(chunks) > 8:
            chunk = data[position:]
        chunks.append(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        position += len(chunk)
        number += 1
    return b"".join(chunks) + b"0\r\n\r\n"


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """Draw a body with changed bytes."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, 60)) % (len(data) + 1)
        how = draw(st.integers(0, 2))
        if how == 0:
            data[at:at] = draw(st.sampled_from(ODD_BYTES))
        elif how == 1:
            del data[at : at + draw(st.integers(1, 5))]
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


ODD_BYTES = (b"\xff", b"\xed\xa0\x80", b"\xe2\x82", b"\x00", b"\x1e", b"\x1e\x1e", b"=", b"b", b"4")
whole = st.lists(packets, max_size=3).map(
    lambda batch: payload([packet for case in batch for packet in case])
)
large = st.sampled_from(
    (
        b'42["' + b"x" * (MAX_MESSAGE - 6) + b'"]',
        b'42["' + b"x" * (MAX_MESSAGE - 5) + b'"]',
        SEPARATOR.join([b"3" * 60_000] * 4),
        b"3" * MAX_PAYLOAD,
        SEPARATOR.join([b"3"] * 500),
    )
)
pieces = st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple)
bodies = st.builds(
    Body,
    st.one_of(
        whole, whole, whole.flatmap(damaged), st.binary(max_size=20), st.one_of(whole, large)
    ),
    st.sampled_from(
        (
            "",
            "",
            "Content-Type: text/plain;charset=UTF-8\r\n",
            "Content-Type: application/octet-stream\r\n",
            "Content-Type: text/plain; charset=utf-16\r\n",
            "Content-Type: multipart/form-data; boundary=\r\n",
            "Content-Type: \xff/;;;=\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
        )
    ),
    st.sampled_from((None, None, None, "identity", "gzip", "deflate")),
    st.sampled_from((0, 0, 0, 0, 0, 1, 2, 3, 4)),
    st.one_of(st.just(()), pieces),
    st.one_of(st.just(()), st.lists(st.integers(0, 600), max_size=5).map(tuple)),
)
bodies = bodies.filter(lambda body: not (body.broken and body.chunks))
body_batches = st.lists(bodies, min_size=1, max_size=8)

METHODS = (
    "GET",
    "GET",
    "GET",
    "POST",
    "PUT",
    "OPTIONS",
    "HEAD",
    "DELETE",
    "PATCH",
    "BREW",
    "get",
    "é",
)
PARAMETERS: dict[str, tuple[str, ...]] = {
    "EIO": ("4", "4", "4", "3", "", "٤", "4.0", "%34", "\x00"),
    "transport": ("polling", "polling", "websocket", "", "POLLING", "polling,websocket", "%ff"),
    "sid": ("", "nobody", "%00", "../", "x" * 500, "é"),
    "j": ("0", ""),
    "t": ("abc", "%zz", "=", "&", "#", ";"),
    "b64": ("1",),
}
HEADERS = (
    "Upgrade: websocket",
    "Upgrade: WebSocket",
    "Upgrade: h2c",
    "Connection: Upgrade",
    "Connection: keep-alive, Upgrade",
    "Connection: close",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Key: short",
    "Sec-WebSocket-Key: \xff\xff",
    "Sec-WebSocket-Protocol: a, b",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Origin: null",
    "Cookie: a=b; io=; =; \x7f",
    "Authorization: Bearer \xe9",
    "Content-Length: 0",
    "Content-Length: x",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Content-Encoding: br",
    "Expect: 100-continue",
    "Host: evil.example",
    "X-Forwarded-For: 1.2.3.4, é",
    "Accept-Encoding: *",
    "No colon",
    " folded",
    "X: " + "y" * 9000,
)


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    Attributes:
        method: the method.
        parameters: the parameters of the query.
        headers: header lines, not all of them valid.
        rest: bytes after the head.
        cuts: the places between the request's segments.
    """

    method: str
    parameters: tuple[tuple[str, str], ...]
    headers: tuple[str, ...]
    rest: bytes
    cuts: tuple[int, ...]

    def encoded(self) -> bytes:
        """Return the request's bytes."""
        query = "&".join(f"{name}={value}" for name, value in self.parameters)
        lines = [f"{self.method} {PATH}?{query} HTTP/1.1", f"Host: {HOST}", *self.headers, "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.rest


pairs = st.sampled_from(sorted(PARAMETERS)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(PARAMETERS[name]) | st.text(max_size=5))
)
websocket = tuple(HEADERS[number] for number in (0, 3, 6, 8))
requests = st.builds(
    Request,
    st.sampled_from(METHODS),
    st.one_of(
        st.lists(pairs, max_size=4),
        st.lists(pairs, max_size=2).map(
            lambda more: [("EIO", "4"), ("transport", "polling"), *more]
        ),
        st.lists(pairs, max_size=1).map(
            lambda more: [("EIO", "4"), ("transport", "websocket"), *more]
        ),
    ).map(tuple),
    st.one_of(
        st.lists(st.sampled_from(HEADERS), max_size=4).map(tuple),
        st.lists(st.sampled_from(HEADERS), max_size=1).map(lambda more: (*websocket, *more)),
    ),
    st.one_of(
        st.just(b""), st.just(b""), st.binary(max_size=20), st.just(b"5\r\nhello\r\n0\r\n\r\n")
    ),
    st.lists(st.integers(0, 400), max_size=4).map(tuple),
)
request_batches = st.lists(requests, min_size=1, max_size=5)
