"""The door before aiohttp: what it answers itself, what it hands over, and how much it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from sio_server.net.front import MAX_HEAD_BYTES, HttpFront
from sio_server.net.request import TEXT, HttpRequest, HttpResponse

POLL = b"GET /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(body: bytes, headers: str = "") -> bytes:
    """Return a POST of the engine's."""
    head = f"POST /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Transport:
    """A socket that keeps what is written to it.

    Attributes:
        reading: it is not paused.
        protocol: what serves it, once that has changed.
    """

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closing = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def pause_reading(self) -> None:
        """Take nothing."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take something again."""
        self.reading = True

    def is_closing(self) -> bool:
        """Tell whether it has been closed."""
        return self.closing

    def can_write_eof(self) -> bool:
        """Close both sides at once, as TLS does."""
        return False

    def close(self) -> None:
        """Close."""
        self.closing = True

    abort = close

    def set_protocol(self, protocol: Any) -> None:
        """Serve it by another protocol."""
        self.protocol = protocol

    def get_protocol(self) -> Any:
        """Return what serves it."""
        return self.protocol

    def get_extra_info(self, name: str) -> Any:
        """Return the peer, and nothing on TLS."""
        return ("127.0.0.1", 5) if name == "peername" else None


class Handler(asyncio.Protocol):
    """Stands for aiohttp's protocol, which keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.data += data


class Engine:
    """Answers a GET with its number, or when it is told to, and a POST with its body's length."""

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
        self.engine = Engine()
        self.transport = Transport()
        self.connection: Any = HttpFront(self.engine, "/engine/", Handler)()
        self.connection.connection_made(self.transport)

    async def send(self, *segments: bytes) -> None:
        """Let segments arrive as they do in one turn of the loop; a paused socket takes none."""
        for segment in segments:
            assert self.transport.reading
            self.connection.data_received(segment)
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def answers(self) -> list[bytes]:
        """The bodies of what was answered."""
        return [part.split(b"HTTP/1.1")[0] for part in self.transport.written.split(b"\r\n\r\n")][
            1:
        ]

    @property
    def handed_over(self) -> bytes | None:
        """What aiohttp was given, or None if it was given nothing."""
        handler = self.transport.protocol
        return None if handler is None else handler.data


@pytest.fixture
async def scene() -> Scene:
    """Return a connection."""
    return Scene()


async def test_requests_of_one_segment_are_answered_in_order(scene: Scene) -> None:
    """And those that come in pieces, once they are whole."""
    await scene.send(POLL + POLL, POLL[:30])
    assert scene.answers == [b"1", b"2"]
    await scene.send(POLL[30:])
    assert scene.answers == [b"1", b"2", b"3"]


async def test_what_comes_behind_a_waiting_poll_waits(scene: Scene) -> None:
    """Its answer goes first."""
    scene.engine.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL + POLL)
    assert len(scene.engine.requests) == 1
    poll, scene.engine.poll = scene.engine.poll, None
    poll.set_result(HttpResponse(200, b"first", TEXT))
    await scene.send()
    assert scene.answers == [b"first", b"2"]


async def test_a_large_body_is_read_however_it_comes(scene: Scene) -> None:
    """Also where two parts of it come before anybody has looked at the first."""
    body = bytes(range(256)) * 3000
    whole = post(body)
    await scene.send(whole[:300_000], whole[300_000:500_000], whole[500_000:600_000])
    await scene.send(whole[600_000:])
    assert scene.engine.bodies == [body]
    assert scene.answers == [b"taken"]


async def test_a_body_that_nobody_asked_for_is_passed_over(scene: Scene) -> None:
    """The next request begins behind it."""
    await scene.send(post(b"x" * 50, "X-Unread: 1\r\n")[:-20])
    assert scene.answers == [b"1"]
    await scene.send(b"x" * 20 + POLL)
    assert scene.answers == [b"1", b"2"]


async def test_what_a_waiting_poll_s_client_sends_is_bounded(scene: Scene) -> None:
    """The socket is not read beyond a head's bound, until the answer has gone."""
    scene.engine.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL, b"x" * (MAX_HEAD_BYTES + 1))
    assert not scene.transport.reading
    scene.engine.poll.set_result(HttpResponse(200, b"", TEXT))
    for _ in range(5):
        await asyncio.sleep(0)
    assert scene.transport.reading


async def test_an_answer_may_close_the_connection(scene: Scene) -> None:
    """Nothing that comes behind it is answered."""
    scene.engine.headers = {"Connection": "close"}
    await scene.send(POLL + POLL)
    assert scene.answers == [b"1"]
    assert scene.transport.closing


async def test_a_poll_whose_client_is_gone_is_given_up_and_a_body_is_not(scene: Scene) -> None:
    """What has come whole is still worked on."""
    scene.engine.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL)
    scene.transport.closing = True
    scene.connection.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.engine.poll.cancelled()
    other = Scene()
    other.connection.data_received(post(b"4hello"))
    other.transport.closing = True
    other.connection.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert other.engine.bodies == [b"4hello"]
    assert other.transport.written == b""


@pytest.mark.parametrize(
    "request_",
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
async def test_what_is_not_plain_is_handed_over_whole(request_: bytes, scene: Scene) -> None:
    """With all that has come, at the first request as at a later one."""
    await scene.send(POLL, request_[:10], request_[10:])
    assert scene.handed_over == request_
    assert scene.answers == [b"1"]
    assert len(scene.engine.requests) == 1
