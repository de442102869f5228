"""A WebSocket: its beginning, the order of its messages, and its end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from sio_server.net.frames import Frame
from sio_server.net.incoming import Incoming
from sio_server.net.turns import MIN_PIECE_BYTES, TURN_BYTES
from sio_server.net.websocket import MIN_FRAGMENT_BYTES, WebSocket
from sio_server.net.websocket_handshake import BadHandshake
from sio_server.net.websocket_reader import FramingError
from tests.unit.net.upgrade import upgrade_request

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def frame(first_byte: int, payload: bytes) -> bytes:
    """Encode a client's frame; its mask of zeros keeps the payload readable."""
    return bytes((first_byte, 0x80 | len(payload))) + bytes(4) + payload


class Transport:
    """A transport that records writes.

    Attributes:
        written: the written bytes.
        reading: reading is not paused.
        ended: it was closed or aborted.
    """

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.ended = False

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Ignore the bound."""

    def set_protocol(self, protocol: Any) -> None:
        """Ignore the protocol."""

    def get_protocol(self) -> None:
        """Return no protocol."""

    def get_write_buffer_size(self) -> int:
        """Return 0: the kernel takes everything."""
        return 0

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
        return self.ended

    def can_write_eof(self) -> bool:
        """Return False, as TLS does."""
        return False

    def close(self) -> None:
        """Record the close."""
        self.ended = True

    abort = close


class Receiver:
    """A receiver that records everything.

    Attributes:
        received: the messages, and in the end the error of ``connection_closed``.
        wait: if set, each message is handled once this future is done.
        controls: the number of frames that brought no message.
        answers: whether these may be answered.
    """

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.controls = 0
        self.answers = True
        self.wait: asyncio.Future[None] | None = None

    def message_received(self, message: str | bytes) -> Awaitable[None] | None:
        """Record a message."""
        self.received.append(message)
        return self.wait

    def control_received(self) -> bool:
        """Count a frame."""
        self.controls += 1
        return self.answers

    def connection_closed(self, error: FramingError | None) -> None:
        """Record the end."""
        self.received.append(error)


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn ends because the machine does something else."""
    monkeypatch.setattr("sio_server.net.turns.TURN_SECONDS", 60)


@pytest.fixture
async def transport() -> Transport:
    """Return a transport."""
    return Transport()


@pytest.fixture
async def socket(transport: Transport) -> WebSocket:
    """Return an open WebSocket without a receiver."""
    socket = WebSocket(max_message_bytes=100, max_buffer_bytes=100)
    socket.attach(cast("Any", transport), b"")
    return socket


async def turns() -> None:
    """Let the event loop run everything that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_opening_sends_the_response_and_the_first_frame_together(
    transport: Transport,
) -> None:
    """The connection is no longer HTTP's."""
    request = upgrade_request(lambda it: it.attach(cast("Any", transport), b""))
    WebSocket(100, 100).open(request, Frame("first"))
    head, _, frames = transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames == b"\x81\x05first"
    with pytest.raises(ConnectionResetError):
        request.is_open()


async def test_the_connection_of_a_refused_handshake_stays_https(transport: Transport) -> None:
    """Nothing is written: HTTP answers."""
    request = upgrade_request(
        lambda it: it.attach(cast("Any", transport), b""), Sec_WebSocket_Version="8"
    )
    with pytest.raises(BadHandshake):
        WebSocket(100, 100).open(request)
    assert transport.written == b""
    assert request.is_open()


async def test_messages_wait_for_the_receiver(socket: WebSocket) -> None:
    """Text is a string, and binary data are bytes."""
    receiver = Receiver()
    socket.data_received(frame(TEXT, b"one"))
    assert receiver.received == []
    socket.set_receiver(receiver)
    socket.data_received(frame(BINARY, b"two"))
    assert receiver.received == ["one", b"two"]


async def test_a_message_waits_until_the_previous_one_was_handled(
    socket: WebSocket, transport: Transport
) -> None:
    """The client is not read while it sends too much; the end is reported after all messages."""
    receiver = Receiver()
    receiver.wait = asyncio.get_running_loop().create_future()
    socket.set_receiver(receiver)
    socket.data_received(frame(TEXT, b"one") + frame(TEXT, b"two"))
    await turns()
    assert receiver.received == ["one"]
    socket.data_received(frame(TEXT, b"x" * 100) * (TURN_BYTES // 100))
    assert not transport.reading
    socket.connection_lost(None)
    receiver.wait.set_result(None)
    async with asyncio.timeout(10):
        while receiver.received[-1] is not None:
            await asyncio.sleep(0)
    assert receiver.received[:3] == ["one", "two", "x" * 100]


async def test_many_messages_of_one_client_leave_a_turn_to_the_others(socket: WebSocket) -> None:
    """The rest is handled in a later turn of the event loop."""
    receiver = Receiver()
    socket.set_receiver(receiver)
    pieces = TURN_BYTES // MIN_PIECE_BYTES
    socket.data_received(frame(TEXT, b"x") * (pieces + 1))
    assert len(receiver.received) <= pieces
    await turns()
    assert len(receiver.received) == pieces + 1


async def test_a_receiver_can_hand_over_to_another(socket: WebSocket) -> None:
    """The next message of the same segment goes to the new receiver."""
    later = Receiver()

    class First(Receiver):
        def message_received(self, message: str | bytes) -> None:
            super().message_received(message)
            socket.set_receiver(later)

    first = First()
    socket.set_receiver(first)
    socket.data_received(frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert (first.received, later.received) == (["one"], ["two"])


async def test_a_ping_gets_a_pong_unless_the_client_reads_nothing(
    socket: WebSocket, transport: Transport
) -> None:
    """Pongs must not fill the buffer, and a receiver may refuse them."""
    receiver = Receiver()
    socket.set_receiver(receiver)
    socket.data_received(frame(PING, b"?"))
    assert transport.written == b"\x8a\x01?"
    receiver.answers = False  # it has sent too many
    socket.data_received(frame(PING, b"?"))
    assert transport.written == b"\x8a\x01?"
    receiver.answers = True
    socket.pause_writing()
    socket.data_received(frame(PING, b"?"))
    assert transport.written == b"\x8a\x01?"


async def test_a_pong_calls_on_pong(transport: Transport) -> None:
    """The heartbeat of a plain endpoint uses it. A pong that answers no ping is counted."""
    expected = [True, False]
    socket = WebSocket(100, 100, on_pong=lambda: expected.pop(0))
    socket.attach(cast("Any", transport), b"")
    receiver = Receiver()
    socket.set_receiver(receiver)
    socket.data_received(frame(PONG, b""))
    assert receiver.controls == 0
    socket.data_received(frame(PONG, b""))
    assert receiver.controls == 1


@pytest.mark.parametrize(("size", "counts"), [(0, 1), (MIN_FRAGMENT_BYTES - 1, 1), (125, 1)])
async def test_small_fragments_are_counted(socket: WebSocket, size: int, counts: int) -> None:
    """They are more work than data."""
    receiver = Receiver()
    socket = WebSocket(1000, 1000)
    socket.attach(cast("Any", Transport()), b"")
    socket.set_receiver(receiver)
    socket.data_received(long_frame(TEXT & 0x7F, bytes(size)))
    assert receiver.controls == counts
    socket.data_received(long_frame(0, bytes(MIN_FRAGMENT_BYTES)))
    assert receiver.controls == counts


def long_frame(first_byte: int, payload: bytes) -> bytes:
    """Encode a client's frame of more than 125 bytes."""
    kind, size = (126, 2) if len(payload) < 65_536 else (127, 8)
    header = bytes((first_byte, 0x80 | kind)) + len(payload).to_bytes(size, "big")
    return header + bytes(4) + payload


async def test_a_message_waits_until_the_client_has_read_the_answers(
    socket: WebSocket, transport: Transport
) -> None:
    """Control frames before it are still processed."""
    receiver = Receiver()
    socket.set_receiver(receiver)
    socket.pause_writing()
    socket.data_received(frame(PONG, b"") + frame(TEXT, b"one") + frame(TEXT, b"two"))
    await turns()
    assert (receiver.controls, receiver.received) == (1, [])
    socket.data_received(frame(TEXT, b"three"))
    assert not transport.reading
    socket.resume_writing()
    await turns()
    assert receiver.received == ["one", "two", "three"]
    assert transport.reading


async def test_unfinished_messages_are_bounded_over_all_connections() -> None:
    """One that exceeds the bound is not read until there is room."""
    incoming = Incoming(max_bytes=50_000)
    transports = [Transport(), Transport()]
    sockets = [WebSocket(65_536, 65_536) for _ in transports]
    receivers = [Receiver(), Receiver()]
    for each, its_transport, its_receiver in zip(sockets, transports, receivers, strict=True):
        each.attach(cast("Any", its_transport), b"", incoming=incoming)
        each.set_receiver(its_receiver)
    whole = long_frame(TEXT, b"x" * 30_000)
    for each in sockets:
        each.data_received(whole[:-1])
    assert [each.reading for each in transports] == [True, False]
    sockets[0].data_received(whole[-1:])
    async with asyncio.timeout(10):
        while not transports[1].reading:
            await asyncio.sleep(0)
    assert transports[0].reading
    sockets[1].connection_lost(None)
    assert incoming.total == 0


async def test_a_framing_error_closes_with_its_code(
    socket: WebSocket, transport: Transport
) -> None:
    """The receiver gets the error once, and no later message."""
    receiver = Receiver()
    socket.set_receiver(receiver)
    socket.data_received(frame(TEXT, b"\xff") + frame(TEXT, b"later"))
    socket.data_received(frame(TEXT, b"later"))
    socket.connection_lost(None)
    (error,) = receiver.received
    assert isinstance(error, FramingError)
    assert transport.written[2:4] == (1007).to_bytes(2, "big")
    assert transport.ended


async def test_after_close_with_only_the_clients_close_frame_counts(
    socket: WebSocket, transport: Transport
) -> None:
    """Messages are ignored, and nothing is written after a close frame (RFC 6455, 5.5.1)."""
    receiver = Receiver()
    socket.set_receiver(receiver)
    socket.close_with(4401, "go")
    socket.write(Frame("too late"))
    socket.data_received(frame(TEXT, b"ignored") + frame(PING, b""))
    assert (receiver.received, transport.ended) == ([], False)
    socket.data_received(frame(CLOSE, b""))
    assert (receiver.received, transport.ended) == ([None], True)
    assert transport.written == b"\x88\x04\x11\x31go"


async def test_close_with_aborts_a_client_that_reads_nothing(
    socket: WebSocket, transport: Transport
) -> None:
    """It would not read the close frame either."""
    socket.set_receiver(Receiver())
    socket.pause_writing()
    socket.close_with(4401)
    assert (transport.written, transport.ended) == (b"", True)


@pytest.mark.parametrize(
    "end", [WebSocket.close, WebSocket.abort, lambda socket: socket.close_with(1013)]
)
@pytest.mark.parametrize("lost", [False, True])
async def test_after_the_end_no_message_is_read(
    socket: WebSocket, end: Callable[[WebSocket], None], lost: bool
) -> None:
    """Not even those that have arrived: a client cannot make the server work for nothing."""
    receiver = Receiver()
    receiver.wait = asyncio.get_running_loop().create_future()
    socket.set_receiver(receiver)
    socket.data_received(frame(TEXT, b"x" * 100) * (2 * MIN_PIECE_BYTES // 100))
    if lost:
        socket.connection_lost(None)
    end(socket)
    receiver.wait.set_result(None)
    await turns()
    socket.connection_lost(None)
    assert receiver.received == ["x" * 100, None]


async def test_large_messages_wait_for_their_turns() -> None:
    """However many clients send theirs at the same time, they are handled one after another."""
    receivers = [Receiver() for _ in range(20)]
    sockets = [WebSocket(65_536, 65_536) for _ in receivers]
    for each, its_receiver in zip(sockets, receivers, strict=True):
        each.attach(cast("Any", Transport()), b"")
        each.set_receiver(its_receiver)
        each.data_received(long_frame(TEXT, b"x" * 65_536))
    handled = [0]
    async with asyncio.timeout(10):
        while handled[-1] < len(receivers):
            handled.append(sum(len(each.received) for each in receivers))
            await asyncio.sleep(0)
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(handled))


async def test_a_message_that_fails_in_its_turn_does_not_hold_the_connection() -> None:
    """Its receiver is told of the end, so that the connection is no longer counted."""
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    error = ValueError("a bug")

    class Failing(Receiver):
        def message_received(self, message: str | bytes) -> None:
            raise error

    socket, receiver = WebSocket(65_536, 65_536), Failing()
    socket.attach(cast("Any", Transport()), b"")
    socket.set_receiver(receiver)
    socket.data_received(long_frame(TEXT, b"x" * 65_535))
    socket.connection_lost(None)
    assert not receiver.received  # it waits for its turn
    async with asyncio.timeout(10):
        while not failures:
            await asyncio.sleep(0)
    assert failures == [error]
    assert receiver.received == [None]


async def test_a_handled_message_is_no_longer_counted() -> None:
    """Also if it came in pieces, and its connection had used its turn."""
    incoming = Incoming(max_bytes=1_000_000)
    socket, receiver, transport = WebSocket(65_536, 65_536), Receiver(), Transport()
    socket.attach(cast("Any", transport), b"", incoming=incoming)
    socket.set_receiver(receiver)
    socket.data_received(frame(TEXT, b"first"))
    whole = long_frame(TEXT, b"x" * 65_535)
    for start in range(0, len(whole), 16_384):
        socket.data_received(whole[start : start + 16_384])
    async with asyncio.timeout(10):
        while len(receiver.received) < 2 or socket._is_busy():
            await asyncio.sleep(0)
    assert incoming.total == 0


async def test_bytes_before_the_receiver_do_not_stop_the_reading() -> None:
    """Those of an incomplete message, which arrived with the handshake."""
    socket, transport = WebSocket(100_000, 65_536), Transport()
    socket.attach(cast("Any", transport), long_frame(TEXT, b"x" * 80_000)[:-1])
    assert not transport.reading
    socket.set_receiver(Receiver())
    assert transport.reading
