"""The HTTP front: the requests that it answers or gives to aiohttp, and its bounds of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from sio_server.net.front import MAX_HEAD_BYTES, HttpFront
from sio_server.net.request import TEXT, HttpRequest, HttpResponse

POLL = b"GET /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(body: bytes, headers: str = "") -> bytes:
    """Return a POST to the engine's path."""
    head = f"POST /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Transport:
    """A transport that records writes.

    Attributes:
        written: the written bytes.
        reading: reading is not paused.
        closing: it was closed.
        protocol: the protocol that replaced the first one.
    """

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closing = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """Record the bytes."""
        self.written += data

    def pause_reading(self) -> None:
        """Record the pause."""
        self.reading = False

    def resume_reading(self) -> None:
        """Record the end of the pause."""
        self.reading = True

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closing

    def can_write_eof(self) -> bool:
        """Return False, as TLS does."""
        return False

    def close(self) -> None:
        """Record the close."""
        self.closing = True

    abort = close

    def set_protocol(self, protocol: Any) -> None:
        """Record the new protocol."""
        self.protocol = protocol

    def get_protocol(self) -> Any:
        """Return the recorded protocol."""
        return self.protocol

    def get_extra_info(self, name: str) -> Any:
        """Return the peer's address, and no TLS context."""
        return ("127.0.0.1", 5) if name == "peername" else None


class Handler(asyncio.Protocol):
    """A replacement of aiohttp's protocol that records its data."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        """Record the data."""
        self.data += data


class NumberedResponder:
    """Answer a GET with its number, or by a given future, and a POST once its body was read."""

    connect_timeout = 5.0

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.bodies: list[bytes] = []
        self.poll: asyncio.Future[HttpResponse | None] | None = None
        self.headers: dict[str, str] = {}

    def respond(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse | None] | None:
        """Answer a request."""
        self.requests.append(request)
        if request.method == "POST" and "X-Unread" not in request.headers:
            return self._read(request)
        if self.poll is not None:
            return self.poll
        return HttpResponse(200, b"%d" % len(self.requests), TEXT, self.headers)

    async def _read(self, request: HttpRequest) -> HttpResponse:
        self.bodies.append(await request.read(1_000_000, 5))
        return HttpResponse(200, b"taken", TEXT)


class Scene:
    """One connection to a front."""

    def __init__(self) -> None:
        self.responder = NumberedResponder()
        self.transport = Transport()
        self.connection: Any = HttpFront(self.responder, "/engine/", Handler)()
        self.connection.connection_made(self.transport)

    async def send(self, *segments: bytes) -> None:
        """Deliver segments within one turn of the event loop; a paused transport accepts none."""
        for segment in segments:
            assert self.transport.reading
            self.connection.data_received(segment)
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def answers(self) -> list[bytes]:
        """Return the bodies of all responses."""
        return [part.split(b"HTTP/1.1")[0] for part in self.transport.written.split(b"\r\n\r\n")][
            1:
        ]

    @property
    def given_to_aiohttp(self) -> bytes | None:
        """Return the bytes that aiohttp has got, or None."""
        handler = self.transport.protocol
        return None if handler is None else handler.data


@pytest.fixture
async def scene() -> Scene:
    """Return a connection."""
    return Scene()


async def test_requests_in_one_segment_are_answered_in_order(scene: Scene) -> None:
    """A request in several segments is answered once it is complete."""
    await scene.send(POLL + POLL, POLL[:30])
    assert scene.answers == [b"1", b"2"]
    await scene.send(POLL[30:])
    assert scene.answers == [b"1", b"2", b"3"]


async def test_a_request_after_a_waiting_poll_waits_for_its_response(scene: Scene) -> None:
    """The responses keep the order of the requests."""
    scene.responder.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL + POLL)
    assert len(scene.responder.requests) == 1
    poll, scene.responder.poll = scene.responder.poll, None
    poll.set_result(HttpResponse(200, b"first", TEXT))
    await scene.send()
    assert scene.answers == [b"first", b"2"]


async def test_a_large_body_may_arrive_in_any_segments(scene: Scene) -> None:
    """Two segments may arrive before the first one is handled."""
    body = bytes(range(256)) * 3000
    whole = post(body)
    await scene.send(whole[:300_000], whole[300_000:500_000], whole[500_000:600_000])
    await scene.send(whole[600_000:])
    assert scene.responder.bodies == [body]
    assert scene.answers == [b"taken"]


async def test_a_body_that_the_responder_does_not_read_is_skipped(scene: Scene) -> None:
    """The next request starts after it."""
    await scene.send(post(b"x" * 50, "X-Unread: 1\r\n")[:-20])
    assert scene.answers == [b"1"]
    await scene.send(b"x" * 20 + POLL)
    assert scene.answers == [b"1", b"2"]


async def test_received_bytes_are_bounded_while_a_poll_waits(scene: Scene) -> None:
    """Reading stops over the bound of a head, until the response was sent."""
    scene.responder.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL, b"x" * (MAX_HEAD_BYTES + 1))
    assert not scene.transport.reading
    scene.responder.poll.set_result(HttpResponse(200, b"", TEXT))
    for _ in range(5):
        await asyncio.sleep(0)
    assert scene.transport.reading


async def test_a_response_may_close_the_connection(scene: Scene) -> None:
    """Later requests are not answered."""
    scene.responder.headers = {"Connection": "close"}
    await scene.send(POLL + POLL)
    assert scene.answers == [b"1"]
    assert scene.transport.closing


async def test_a_lost_connection_cancels_a_poll_but_not_a_complete_body(scene: Scene) -> None:
    """A POST that arrived completely is still handled."""
    scene.responder.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL)
    scene.transport.closing = True
    scene.connection.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.responder.poll.cancelled()
    other = Scene()
    other.connection.data_received(post(b"4hello"))
    other.transport.closing = True
    other.connection.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert other.responder.bodies == [b"4hello"]
    assert other.transport.written == b""


@pytest.mark.parametrize(
    "raw_request",
    [
        POLL.replace(b"/engine/", b"/other/"),
        POLL.replace(b"/engine/?EIO=4", b"/engine/"),
        POLL.replace(b"HTTP/1.1", b"HTTP/1.0"),
        POLL.replace(b"GET", b"PUT"),
        POLL.replace(b"Host: localhost\r\n", b""),
        POLL.replace(b"\r\n\r\n", b"\r\nHost: b\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\nX: \xc3\xa9\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\nX : y\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\nX: a\nY: b\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        POLL.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
        POLL.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        post(b"a").replace(b"Content-Length: 1\r\n", b""),
        post(b"a").replace(b"Length: 1", b"Length: +1"),
        post(b"a", "Content-Length: 2\r\n"),
        post(b"a", "Transfer-Encoding: chunked\r\n"),
        post(b"a", "Content-Encoding: gzip\r\n"),
        post(b"a", "Expect: 100-continue\r\n"),
        b"\r\n\r\n",
        b"x" * (MAX_HEAD_BYTES + 1),
    ],
)
async def test_a_request_that_is_not_simple_goes_to_aiohttp_completely(
    raw_request: bytes, scene: Scene
) -> None:
    """This holds for the first and for any later request of a connection."""
    await scene.send(POLL, raw_request[:10], raw_request[10:])
    assert scene.given_to_aiohttp == raw_request
    assert scene.answers == [b"1"]
    assert len(scene.responder.requests) == 1
