"""A connection of the front: one request at a time, by its own reader or by aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from sio_server.net.front_connection import FrontConnection
from sio_server.net.front_context import Entered, FrontContext, FrontLimits
from sio_server.net.handler import Front
from sio_server.net.head import MAX_HEAD_BYTES, MAX_HEADER_FIELDS
from sio_server.net.incoming import Incoming
from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse
from sio_server.net.turns import ITERATION_BYTES, REQUEST_BYTES

POLL = b"GET /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENTERED = Entered(None, lambda: None)
OTHER = b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(body: bytes, headers: str = "", path: str = "/engine/?EIO=4") -> bytes:
    """Return a POST, by default to the engine's path."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Transport:
    """A transport that records writes.

    Attributes:
        written: the written bytes.
        unread: bytes that the client has not read.
        reading: reading is not paused.
        closing: it was closed.
        protocol: the protocol that replaced the first one.
    """

    def __init__(self) -> None:
        self.written = b""
        self.unread = 0
        self.reading = True
        self.closing = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """Record the bytes."""
        self.written += data

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Check that any unread byte counts."""
        assert high == low == 0

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the client has not read."""
        return self.unread

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
    """A replacement of aiohttp's protocol that records its data.

    Attributes:
        data: the received bytes, one item for each call.
        lost: the connection is lost.
    """

    def __init__(self, front: Front) -> None:
        self.front = front
        self.data: list[bytes] = []
        self.lost = False

    def data_received(self, data: bytes) -> None:
        """Record the data."""
        self.data.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Record the loss."""
        self.lost = True


class NumberedResponder:
    """Answer a GET with its number, or by a given future, and a POST once its body was read."""

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

    def refuse_head(self) -> HttpResponse:
        """Refuse a head."""
        return HttpResponse(431, b"head", TEXT)

    async def _read(self, request: HttpRequest) -> HttpResponse:
        self.bodies.append(await request.read(1_000_000, 5))
        return HttpResponse(200, b"taken", TEXT)


class Scene:
    """One connection to a front.

    Args:
        entered: its count.
        limits: the front's.
    """

    def __init__(self, entered: Entered = ENTERED, **limits: Any) -> None:
        self.responder = NumberedResponder()
        self.published: list[bytes] = []
        self.transport = Transport()
        self.handlers: list[Handler] = []
        limits = {"connect_timeout": 5, **limits}
        front = FrontContext(
            self.responder,
            "/engine/",
            self._make_handler,
            FrontLimits(**limits),
            {"/posts": self._publish},
        )
        self.connection: Any = FrontConnection(front, entered)
        self.connection.connection_made(self.transport)

    async def _publish(self, request: HttpRequest) -> HttpResponse:
        self.published.append(await request.read(1_000_000, 5))
        return HttpResponse(201, b"published", TEXT)

    def _make_handler(self, front: Front) -> Handler:
        self.handlers.append(Handler(front))
        return self.handlers[-1]

    async def send(self, *segments: bytes) -> None:
        """Deliver segments within one turn of the event loop; a paused transport accepts none."""
        for segment in segments:
            assert self.transport.reading
            self.connection.data_received(segment)
        await turns(5)

    @property
    def answers(self) -> list[bytes]:
        """Return the bodies of all responses."""
        return [part.split(b"HTTP/1.1")[0] for part in self.transport.written.split(b"\r\n\r\n")][
            1:
        ]

    @property
    def passed(self) -> list[bytes]:
        """Return the pieces that aiohttp has got."""
        return [piece for handler in self.handlers for piece in handler.data]


async def turns(count: int) -> None:
    """Let the event loop run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


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
    await scene.send(POLL, POLL * (MAX_HEAD_BYTES // len(POLL) + 1))
    assert not scene.transport.reading
    poll, scene.responder.poll = scene.responder.poll, None
    poll.set_result(HttpResponse(200, b"", TEXT))
    await turns(20)
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
        post(b"").replace(b"Content-Length: 0\r\n", b""),
        post(b"a").replace(b"Length: 1", b"Length: +1"),
        post(b"a", "Content-Length: 2\r\n"),
        post(b"a", "Transfer-Encoding: chunked\r\n"),
        post(b"a", "Content-Encoding: gzip\r\n"),
        post(b"a", "Expect: 100-continue\r\n"),
    ],
)
async def test_a_request_that_is_not_simple_goes_to_aiohttp(
    raw_request: bytes, scene: Scene
) -> None:
    """This holds for the first and for any later request of a connection."""
    await scene.send(POLL, raw_request[:10], raw_request[10:])
    assert b"".join(scene.passed) == raw_request
    assert scene.answers == [b"1"]
    assert len(scene.responder.requests) == 1


async def test_some_posts_are_answered_without_aiohttp(scene: Scene) -> None:
    """In the order of the connection's requests, in any segments."""
    whole = post(b"event", path="/posts")
    await scene.send(POLL + whole[:-2])
    await scene.send(whole[-2:] + POLL)
    assert scene.published == [b"event"]
    assert scene.answers == [b"1", b"published", b"2"]
    assert scene.passed == []


async def test_such_posts_begin_in_their_turns() -> None:
    """Only so many in one iteration of the event loop, from all connections together."""
    scenes = [Scene() for _ in range(3 * ITERATION_BYTES // REQUEST_BYTES)]
    for it in scenes:
        it.connection.data_received(post(b"event", path="/posts"))
    gone = scenes[-1]
    gone.transport.closing = True  # before its turn
    gone.connection.connection_lost(None)
    await turns(1)
    begun = sum(len(it.published) for it in scenes)
    assert 0 < begun <= ITERATION_BYTES // REQUEST_BYTES
    await turns(20)
    assert [it.answers for it in scenes[:-1]] == [[b"published"]] * (len(scenes) - 1)
    assert gone.published == []


async def test_aiohttp_gets_one_request_at_a_time(scene: Scene) -> None:
    """The next one is passed once the response was written, and to the same handler."""
    await scene.send(OTHER + post(b"body", path="/other") + OTHER + POLL)
    assert scene.passed == [OTHER]
    for count in (2, 3):
        scene.handlers[0].front.request_finished()
        await turns(5)
        assert len(scene.passed) == count
    assert scene.passed[1] == post(b"body", path="/other")
    assert scene.answers == []
    scene.handlers[0].front.request_finished()
    await turns(5)
    assert scene.answers == [b"1"]
    assert len(scene.handlers) == 1


async def test_aiohttp_gets_the_rest_of_a_body_after_its_response(scene: Scene) -> None:
    """It reads and ignores it. Otherwise it would take the next request for the body."""
    whole = post(b"x" * 50, path="/other")
    await scene.send(whole[:-20])
    scene.handlers[0].front.request_finished()
    await scene.send(whole[-20:] + POLL)
    assert b"".join(scene.passed) == whole
    assert scene.answers == [b"1"]


async def test_a_body_without_a_plain_length_is_the_last_one(scene: Scene) -> None:
    """Only aiohttp can find its end, so everything that follows is aiohttp's."""
    chunked = post(b"", "Transfer-Encoding: chunked\r\n", "/other")
    await scene.send(chunked + b"1\r\na\r\n", b"0\r\n\r\n" + POLL)
    front = scene.handlers[0].front
    assert front.is_last_request()
    front.request_finished()
    await turns(5)
    assert b"".join(scene.passed) == chunked + b"1\r\na\r\n0\r\n\r\n" + POLL
    assert scene.answers == []


@pytest.mark.parametrize("path", ["/engine/?EIO=4", "/other"])
async def test_a_head_has_a_bounded_number_of_fields(scene: Scene, path: str) -> None:
    """One more is refused, on both doors."""
    start = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    fields = "".join(f"X-{number}: y\r\n" for number in range(MAX_HEADER_FIELDS - 1))
    await scene.send(f"{start}{fields}\r\n".encode())
    assert scene.answers != [b"head"]
    other = Scene()
    await other.send(f"{start}{fields}X: y\r\n\r\n".encode())
    assert other.answers == [b"head"]
    assert other.transport.written.startswith(b"HTTP/1.1 431 ")
    assert other.transport.closing


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("path", [b"/engine/?EIO=4", b"/other"])
async def test_a_head_has_a_bounded_size(scene: Scene, path: bytes, ends: bool) -> None:
    """One byte more is refused, also before the head has ended."""
    start = b"GET %b HTTP/1.1\r\nHost: localhost\r\nX: " % path
    end = b"\r\n\r\n"
    await scene.send(start + b"x" * (MAX_HEAD_BYTES - len(start) - len(end)) + end)
    assert scene.answers != [b"head"]
    other = Scene()
    more = b"x" * (MAX_HEAD_BYTES + 1 - len(start) - (len(end) if ends else 0))
    await other.send(start + more + (end if ends else b""))
    assert other.answers == [b"head"]
    assert other.transport.closing


async def test_many_requests_in_one_segment_are_answered_in_turns(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other connections have their turns in between."""
    monkeypatch.setattr(scene.connection, "_turn", FixedTurn(4))
    scene.connection.data_received(POLL * 10)
    counts = {len(scene.responder.requests)}
    for _ in range(20):
        await asyncio.sleep(0)
        counts.add(len(scene.responder.requests))
    assert counts == {4, 8, 10}


class FixedTurn:
    """A turn of so many pieces of work."""

    def __init__(self, pieces: int) -> None:
        self._pieces = self._left = pieces

    def begin(self) -> None:
        """Begin."""
        self._left = self._pieces

    def is_over(self, size: int) -> bool:
        """Count a piece."""
        self._left -= 1
        return not self._left


@pytest.mark.parametrize("request_bytes", [POLL, OTHER])
async def test_an_unread_response_stops_the_next_request(
    scene: Scene, request_bytes: bytes
) -> None:
    """It is served once the client has read the response."""
    await scene.send(POLL)
    scene.transport.unread = 100
    scene.connection.pause_writing()
    await scene.send(request_bytes * 3)
    assert len(scene.responder.requests) == 1
    assert not scene.passed
    scene.transport.unread = 0
    scene.connection.resume_writing()
    async with asyncio.timeout(10):
        while not (len(scene.responder.requests) == 4 or scene.passed):
            await turns(1)


async def test_received_bytes_are_bounded_while_a_response_is_unread(scene: Scene) -> None:
    """Reading stops."""
    scene.connection.pause_writing()
    await scene.send(POLL, b"x" * MAX_HEAD_BYTES)
    assert not scene.transport.reading


async def test_a_response_without_progress_is_aborted() -> None:
    """A client that reads some of it is given the time again."""
    scene = Scene(slow_seconds=0.05)
    scene.transport.unread = 100
    scene.connection.pause_writing()
    scene.transport.unread = 50
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(5):
        while not scene.transport.closing:
            await asyncio.sleep(0.01)
    assert loop.time() - began >= 0.1  # two times, because it made progress once


async def test_an_idle_connection_is_kept_longer_than_one_that_sends_no_head() -> None:
    """The response says how long."""
    scene = Scene(connect_timeout=0.02, keepalive_seconds=60)
    await scene.send(POLL)
    assert b"\r\nKeep-Alive: timeout=60\r\n" in scene.transport.written
    front = scene.connection.front
    assert scene.connection in front.idle
    assert scene.connection not in front.reading
    scene.connection.data_received(POLL[:5])
    scene.connection.data_received(POLL[5:10])  # it does not get the time again
    async with asyncio.timeout(5):
        while not scene.transport.closing:
            await asyncio.sleep(0.01)


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """Also if it was never busy for long."""
    scene = Scene(keepalive_seconds=0.02)
    await scene.send(POLL)
    async with asyncio.timeout(5):
        while not scene.transport.closing:
            await asyncio.sleep(0.01)


async def test_a_connection_counts_until_it_is_lost() -> None:
    """It is not told twice."""
    left: list[str] = []
    scene = Scene(Entered("network", lambda: left.append("network")))
    assert scene.connection.network == "network"
    scene.connection.connection_lost(None)
    scene.connection.connection_lost(None)
    assert left == ["network"]


async def test_a_client_that_sends_nothing_more_gets_its_responses(scene: Scene) -> None:
    """Then the connection is closed. Before a complete request it is closed at once."""
    await scene.send(OTHER + POLL)
    assert scene.connection.eof_received() is True
    scene.handlers[0].front.request_finished()
    await turns(5)
    assert scene.answers == [b"1"]
    assert scene.transport.closing
    assert Scene().connection.eof_received() is False


async def test_a_waiting_poll_of_a_client_that_sends_nothing_more_is_over(scene: Scene) -> None:
    """The client may be gone: the packets must stay for the next poll."""
    scene.responder.poll = asyncio.get_running_loop().create_future()
    await scene.send(POLL)
    assert scene.responder.requests[0].is_open()
    assert scene.connection.eof_received() is False
    assert not scene.responder.requests[0].is_open()


@pytest.mark.parametrize("path", ["/engine/?EIO=4", "/other"])
async def test_a_client_that_breaks_off_its_body_is_closed(scene: Scene, path: str) -> None:
    """A waiting reader is woken once, though it was cancelled before."""
    await scene.send(post(b"x" * 50, path=path)[:-20])
    assert scene.connection.eof_received() is False
    scene.transport.closing = True
    scene.connection.connection_lost(None)
    scene.connection.connection_lost(None)
    await turns(3)
    assert scene.responder.bodies == []
    assert all(handler.lost for handler in scene.handlers)


async def test_a_lost_body_whose_reader_was_cancelled_raises_nothing(scene: Scene) -> None:
    """The reader's future is cancelled then."""
    scene.connection.data_received(post(b"x" * 50)[:-20])
    await asyncio.sleep(0)
    scene.connection._own._task.cancel()
    await asyncio.sleep(0)
    scene.connection.connection_lost(None)


async def test_the_bytes_of_unfinished_bodies_are_bounded_together() -> None:
    """One that exceeds the bound is not read until there is room."""
    incoming = Incoming(max_bytes=50_000)
    first, second = Scene(incoming=incoming), Scene(incoming=incoming)
    await first.send(post(b"x" * 40_000)[:-1])
    await second.send(post(b"x" * 25_000, path="/other")[:-1])
    assert first.transport.reading
    assert not second.transport.reading
    await first.send(b"x")
    assert first.answers == [b"taken"]
    assert second.transport.reading
    await second.send(b"x")
    assert incoming.total == 0


@pytest.mark.parametrize("start", [b"\x16\x03\x01\x02\x00", b"\x00", b"\x80"])
async def test_bytes_that_cannot_begin_a_request_close_the_connection(
    scene: Scene, start: bytes
) -> None:
    """A TLS hello on the plain port is one case."""
    await scene.send(start)
    assert scene.transport.closing


async def test_an_empty_line_before_a_request_is_ignored(scene: Scene) -> None:
    """RFC 9112, 2.2. More of them end the connection: they would cost time, and no rate."""
    await scene.send(b"\r\n" + POLL)
    assert scene.answers == [b"1"]
    await scene.send(b"\r\n" * 2 + POLL)
    assert scene.transport.closing
    assert scene.answers == [b"1"]


async def test_empty_lines_do_not_restart_the_time_of_an_idle_connection(scene: Scene) -> None:
    """It is over after one time, whatever comes that is no request."""
    await scene.send(POLL)
    front = scene.connection.front
    due = front.idle._due[scene.connection]
    await scene.send(b"\r\n")
    assert front.idle._due[scene.connection] == due


async def test_the_start_of_an_http2_connection_is_closed(scene: Scene) -> None:
    """Aiohttp would wait for the rest of it for ever."""
    await scene.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert scene.transport.closing
    assert not scene.passed


async def test_nothing_follows_a_connect(scene: Scene) -> None:
    """Aiohttp takes its body for the next request, so the front passes nothing more."""
    await scene.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nContent-Length: 4\r\n\r\nbody" + POLL)
    assert scene.handlers[0].front.is_last_request()
    assert scene.answers == []
