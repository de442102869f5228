"""A TCP connection outside HTTP: writes that are sent together, and the bound of its buffer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from sio_server.net import transports
from sio_server.net.connection import SPARE_BYTES, TcpConnection
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_reader import FramingError


class Transport:
    """A transport whose kernel takes only the first bytes.

    Attributes:
        writes: the written bytes, call by call.
        takes: the number of bytes that the kernel takes before the transport buffers.
        ended: how the transport was ended.
        half_closes: it can close our side only.
    """

    def __init__(self) -> None:
        self.half_closes = False
        self.writes: list[bytes] = []
        self.takes = 1000
        self.ended = ""
        self._high = 0
        self._connection: Any = None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Store the bound."""
        self._high = high

    def set_protocol(self, protocol: Any) -> None:
        """Store the protocol, which gets ``pause_writing``."""
        self._connection = protocol

    def resume_reading(self) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Record the bytes."""
        within = self.get_write_buffer_size() <= self._high
        self.writes.append(data)
        if within and self.get_write_buffer_size() > self._high:
            self._connection.pause_writing()

    def writelines(self, pieces: list[bytes]) -> None:
        """Record the pieces."""
        for piece in pieces:
            self.write(piece)

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the kernel has not taken."""
        return max(0, sum(map(len, self.writes)) - self.takes)

    def is_closing(self) -> bool:
        """Return whether it was closed or aborted."""
        return self.ended in ("closed", "aborted")

    def get_protocol(self) -> Any:
        """Return the stored protocol."""
        return self._connection

    def can_write_eof(self) -> bool:
        """Return whether it can close our side only; TLS can't."""
        return self.half_closes

    def write_eof(self) -> None:
        """Record the half close."""
        self.ended += "half closed"

    def close(self) -> None:
        """Record the close."""
        self.ended = "closed"

    def abort(self) -> None:
        """Record the abort."""
        self.ended = "aborted"


@pytest.fixture
async def transport() -> Transport:
    """Return a transport."""
    return Transport()


@pytest.fixture
async def connection(transport: Transport) -> TcpConnection:
    """Return a connection with a buffer of 100 bytes and single writes of up to 50 bytes."""
    connection = TcpConnection(max_buffer_bytes=100, max_write_bytes=50)
    connection.attach(transport, b"")  # type: ignore[arg-type]
    return connection


async def test_writes_within_one_write_are_sent_together(
    connection: TcpConnection, transport: Transport
) -> None:
    """They keep their order, and writes before and after are sent separately."""
    connection.write_bytes(b"1")
    with connection.one_write():
        connection.write_bytes(b"2")
        connection.write_bytes(b"3")
        assert transport.writes == [b"1"]
    connection.write_bytes(b"4")
    assert transport.writes == [b"1", b"23", b"4"]


async def test_one_write_has_the_same_bound(connection: TcpConnection) -> None:
    """``write_bytes`` returns False once the collected bytes are over the bound."""
    with connection.one_write():
        assert connection.write_bytes(bytes(100))
        assert not connection.write_bytes(b"1")


async def test_pieces_are_written_without_a_copy(
    connection: TcpConnection, transport: Transport
) -> None:
    """They may wait for many slow clients. Within one write they keep their place."""
    pieces = [b"2", b"3"]
    assert connection.write_pieces(pieces)
    assert [id(piece) for piece in transport.writes] == [id(piece) for piece in pieces]
    with connection.one_write():
        connection.write_bytes(b"1")
        connection.write_pieces(pieces)
        connection.write_bytes(b"4")
    assert transport.writes[2:] == [b"1234"]


async def test_pieces_have_the_bounds_of_a_write(
    connection: TcpConnection, transport: Transport
) -> None:
    """They may fill the buffer, and far over its bound the connection is aborted."""
    transport.takes = 0
    assert connection.write_pieces([b"x" * 50, b"x" * 50])
    assert not connection.write_pieces([b"x" * 25, b"x" * 25])
    assert transport.ended == ""
    assert not connection.write_pieces([b"x", b"x" * SPARE_BYTES])
    assert transport.ended == "aborted"
    connection.write_pieces([b"y"])
    assert b"y" not in transport.writes


async def test_an_empty_one_write_writes_nothing(
    connection: TcpConnection, transport: Transport
) -> None:
    """An empty write would cost a system call."""
    with connection.one_write():
        pass
    assert transport.writes == []


async def test_an_exception_within_one_write_still_sends_its_writes(
    connection: TcpConnection, transport: Transport
) -> None:
    """Later writes are sent, too."""
    with pytest.raises(ValueError, match="between"), connection.one_write():
        connection.write_bytes(b"1")
        raise ValueError("between")
    connection.write_bytes(b"2")
    assert transport.writes == [b"1", b"2"]


async def test_close_after_within_one_write_keeps_the_order(
    connection: TcpConnection, transport: Transport
) -> None:
    """No write follows the last bytes."""
    with connection.one_write():
        connection.write_bytes(b"1")
        connection.close_after(b"2")
        connection.write_bytes(b"3")
    assert b"".join(transport.writes) == b"12"
    assert transport.ended == "closed"


async def test_abort_within_one_write_discards_its_writes(
    connection: TcpConnection, transport: Transport
) -> None:
    """``abort`` also discards the buffer."""
    with connection.one_write():
        connection.write_bytes(b"1")
        connection.abort()
    assert transport.writes == []
    assert transport.ended == "aborted"


async def test_a_write_returns_false_while_the_buffer_is_over_its_bound(
    connection: TcpConnection, transport: Transport
) -> None:
    """A buffer of exactly the bound is not over it."""
    assert connection.write_bytes(b"x" * 1000)
    assert connection.write_bytes(b"x" * 100)
    assert not connection.write_bytes(b"x")
    assert not connection.write_bytes(b"x")
    transport.takes = 2000
    connection.resume_writing()
    assert connection.write_bytes(b"x")


async def test_writes_far_over_the_bound_abort_the_connection(
    connection: TcpConnection, transport: Transport
) -> None:
    """The limit is the bound and one write, which may be a little longer than a message."""
    transport.takes = 0
    for _ in range(150 + SPARE_BYTES):
        connection.write_bytes(b"x")
    assert transport.ended == ""
    connection.write_bytes(b"x")
    assert transport.ended == "aborted"


class Receiver:
    """A receiver that ignores everything."""

    def message_received(self, message: str | bytes) -> None:
        """Ignore a message."""

    def control_received(self) -> bool:
        """Ignore a frame."""
        return True

    def connection_closed(self, error: FramingError | None) -> None:
        """Ignore the end."""


@pytest.mark.parametrize(("half_closes", "ended"), [(False, "closed"), (True, "half closed")])
async def test_the_clients_answer_to_a_close_frame_closes_the_connection(
    transport: Transport, half_closes: bool, ended: str
) -> None:
    """The server closes first, because a client waits for it (RFC 6455, 7.1.1)."""
    transport.half_closes = half_closes
    socket = WebSocket(max_message_bytes=100, max_buffer_bytes=100)
    socket.attach(cast("Any", transport), b"")
    socket.set_receiver(Receiver())
    socket.close_with(4401, "go")
    assert transport.ended == ""
    socket.data_received(b"\x88\x82\0\0\0\0\x11\x31")
    socket.close()
    assert transport.ended == ended
    assert transport.writes == [b"\x88\x04\x11\x31go"]


async def test_a_closing_connection_sends_its_buffer_while_the_client_reads(
    connection: TcpConnection, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is aborted once the client reads nothing any more."""
    monkeypatch.setattr(transports, "CLOSE_SECONDS", 0)
    transport.half_closes = True
    transport.takes = 0
    connection.close_after(b"x" * 90)
    async with asyncio.timeout(5):
        while transport.takes < 80:
            assert transport.ended == "half closed"
            transport.takes += 10
            await asyncio.sleep(0)
        while transport.ended != "aborted":
            await asyncio.sleep(0)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_half_of_the_buffer_can_be_waited_for(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Afterwards the buffer has its whole size again. The end of the connection ends it."""

    async def wait() -> None:
        ours, clients = socket.socketpair()
        clients.setblocking(False)
        _, writer = await asyncio.open_connection(sock=ours)
        connection = TcpConnection(max_buffer_bytes=400_000, max_write_bytes=1)
        connection.attach(cast("asyncio.Transport", writer.transport), b"")
        connection.write_bytes(bytes(150_000))
        assert not connection.is_half_full()
        while connection.buffered_bytes() <= 200_000:
            assert connection.write_bytes(bytes(50_000))
        assert connection.is_half_full()
        waiting = asyncio.ensure_future(connection.drain_half())
        await asyncio.sleep(0)
        assert not waiting.done()
        loop = asyncio.get_running_loop()
        while not waiting.done():
            await loop.sock_recv(clients, 65_536)
        assert not connection.is_half_full()
        missing = 300_000 - connection.buffered_bytes()
        assert connection.write_bytes(bytes(missing))
        while not connection.is_half_full():
            connection.write_bytes(bytes(50_000))
        waiting = asyncio.ensure_future(connection.drain_half())
        await asyncio.sleep(0)
        connection.abort()
        await waiting
        await connection.drain_half()
        clients.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(wait(), 10))
