"""A connection without HTTP: what is written together, and how far its buffer goes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sio_server.net import connection as connection_module
from sio_server.net.connection import TcpConnection
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_reader import FramingError


class Transport:
    """A socket that takes nothing beyond its first bytes.

    Attributes:
        writes: what was written, call by call.
        takes: how many bytes it takes before it buffers.
        ended: how it was ended.
        half_closes: it can close our side alone.
    """

    def __init__(self) -> None:
        self.half_closes = False
        self.writes: list[bytes] = []
        self.takes = 1000
        self.ended = ""
        self._high = 0
        self._connection: Any = None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Keep the bound."""
        self._high = high

    def set_protocol(self, protocol: Any) -> None:
        """Keep whom to tell of a full buffer."""
        self._connection = protocol

    def resume_reading(self) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Take the bytes."""
        within = self.get_write_buffer_size() <= self._high
        self.writes.append(data)
        if within and self.get_write_buffer_size() > self._high:
            self._connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        """Return how much is beyond what it takes."""
        return max(0, sum(map(len, self.writes)) - self.takes)

    def is_closing(self) -> bool:
        """Return whether it is at an end."""
        return self.ended in ("closed", "aborted")

    def get_protocol(self) -> Any:
        """Return whom it serves."""
        return self._connection

    def can_write_eof(self) -> bool:
        """Return whether it can close our side alone; TLS can't."""
        return self.half_closes

    def write_eof(self) -> None:
        """Note it."""
        self.ended += "half closed"

    def close(self) -> None:
        """Note it."""
        self.ended = "closed"

    def abort(self) -> None:
        """Note it."""
        self.ended = "aborted"


@pytest.fixture
async def transport() -> Transport:
    """Return a socket."""
    return Transport()


@pytest.fixture
async def connection(transport: Transport) -> TcpConnection:
    """Return a connection over it that holds 100 bytes, and 50 in one write."""
    connection = TcpConnection(max_buffer_bytes=100, max_write_bytes=50)
    connection.attach(transport, b"")  # type: ignore[arg-type]
    return connection


async def test_what_is_written_together_is_one_write(
    connection: TcpConnection, transport: Transport
) -> None:
    """In its order; what comes before and after is not of it."""
    connection.write_bytes(b"1")
    with connection.one_write():
        connection.write_bytes(b"2")
        connection.write_bytes(b"3")
        assert transport.writes == [b"1"]
    connection.write_bytes(b"4")
    assert transport.writes == [b"1", b"23", b"4"]


async def test_what_is_written_together_has_the_same_bound(connection: TcpConnection) -> None:
    """Whoever writes much is told where to wait."""
    with connection.one_write():
        assert connection.write_bytes(bytes(100))
        assert not connection.write_bytes(b"1")


async def test_nothing_written_together_is_no_write(
    connection: TcpConnection, transport: Transport
) -> None:
    """An empty write would cost a system call."""
    with connection.one_write():
        pass
    assert transport.writes == []


async def test_an_error_keeps_nothing_back(connection: TcpConnection, transport: Transport) -> None:
    """What was written before it goes out, and what comes after."""
    with pytest.raises(ValueError, match="between"), connection.one_write():
        connection.write_bytes(b"1")
        raise ValueError("between")
    connection.write_bytes(b"2")
    assert transport.writes == [b"1", b"2"]


async def test_a_close_amid_keeps_the_order(
    connection: TcpConnection, transport: Transport
) -> None:
    """The last bytes are the last, and nothing follows them."""
    with connection.one_write():
        connection.write_bytes(b"1")
        connection.close_after(b"2")
        connection.write_bytes(b"3")
    assert b"".join(transport.writes) == b"12"
    assert transport.ended == "closed"


async def test_an_abort_amid_loses_the_rest(
    connection: TcpConnection, transport: Transport
) -> None:
    """As it does with what is buffered."""
    with connection.one_write():
        connection.write_bytes(b"1")
        connection.abort()
    assert transport.writes == []
    assert transport.ended == "aborted"


async def test_a_full_buffer_is_told_until_it_has_shrunk(
    connection: TcpConnection, transport: Transport
) -> None:
    """The bound itself is within."""
    assert connection.write_bytes(b"x" * 1000)
    assert connection.write_bytes(b"x" * 100)
    assert not connection.write_bytes(b"x")
    assert not connection.write_bytes(b"x")
    transport.takes = 2000
    connection.resume_writing()
    assert connection.write_bytes(b"x")


async def test_who_writes_on_into_a_full_buffer_loses_the_connection(
    connection: TcpConnection, transport: Transport
) -> None:
    """At twice the bound and one write."""
    transport.takes = 0
    for _ in range(250):
        connection.write_bytes(b"x")
    assert transport.ended == ""
    connection.write_bytes(b"x")
    assert transport.ended == "aborted"


class Receiver:
    """Who gets what a WebSocket receives: nobody here."""

    def message_received(self, message: str | bytes) -> None:
        """Take a message."""

    def connection_closed(self, error: FramingError | None) -> None:
        """Know that it is gone."""


@pytest.mark.parametrize(("half_closes", "ended"), [(False, "closed"), (True, "half closed")])
async def test_the_answer_to_a_close_frame_closes(
    transport: Transport, half_closes: bool, ended: str
) -> None:
    """RFC 6455, 7.1.1: the server is the first to close; a client would wait for it."""
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


async def test_what_is_buffered_is_sent_while_it_is_taken(
    connection: TcpConnection, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing gives up on a client that takes nothing any more."""
    monkeypatch.setattr(connection_module, "CLOSE_SECONDS", 0)
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
