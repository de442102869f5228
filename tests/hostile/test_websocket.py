"""WebSocket clients that break RFC 6455, or read nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from sio_server.engine import Server
from tests.hostile.clients import BOTH_TRANSPORTS, client, is_bounded, logged_problems
from tests.hostile.stacks import TIMEOUT, Stack, both, until

MEBIBYTE = 1 << 20

CLOSE = 8
"""The opcode of a close frame (RFC 6455, 5.2)."""


async def handshake(
    stack: Stack,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket by hand; return its streams after the OPEN packet."""
    reader, writer = await asyncio.open_connection(*stack.runner.addresses[0])
    writer.write(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(TIMEOUT):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        await read_frame(reader)
    return reader, writer


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read a short frame; return its opcode and its payload."""
    first, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    return first & 0x0F, await reader.readexactly(length)


async def test_an_engine_io_close_packet_closes_the_websocket() -> None:
    """The stock server ends the session, but keeps its WebSocket open."""

    async def observe(stack: Stack) -> bool:
        async with client(stack, "websocket") as leaving:
            await leaving.send("1")
            return await leaving.is_ended()

    assert await both(observe) == (False, True)


@BOTH_TRANSPORTS
async def test_a_client_that_reads_nothing_is_closed(transport: str) -> None:
    """The stock server queues without a bound, and any pong keeps the session alive."""

    async def observe(stack: Stack) -> tuple[bool, bool]:
        async with client(stack, transport) as silent:
            session = stack.sockets[silent.sid]
            for _ in range(40):
                for _ in range(5):
                    await stack.server.emit("x", "x" * 100_000)
                with contextlib.suppress(Exception):
                    await silent.send("3")
                await asyncio.sleep(0.01)  # in total longer than a ping may take
            queue = getattr(session, "queue", None)
            held = queue is not None and queue.qsize() > 50
            return held, silent.sid in stack.sockets

    answer = await both(observe, ping_interval=0.1, ping_timeout=0.2)
    assert answer == ((True, True), (False, False))


async def test_pings_of_a_client_that_reads_nothing_fill_no_buffer() -> None:
    """With the stock server, aiohttp stops reading; the original server buffers the pongs."""

    async def observe(stack: Stack) -> bool:
        _, writer = await handshake(stack)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        largest = 0
        ping = b"\x89\xfd\0\0\0\0" + bytes(125)
        for _ in range(20):
            writer.write(ping * (MEBIBYTE // len(ping)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await writer.drain()
            largest = max([largest, *map(buffered, connections(stack))])
        writer.transport.abort()
        return largest < MEBIBYTE

    assert await both(observe) == (True, True)


def connections(stack: Stack) -> list[Any]:
    """Return the transports of the server's connections, aiohttp's and ours."""
    assert stack.runner.server is not None
    theirs = [each.transport for each in stack.runner.server.connections]
    sessions = stack.sockets.values() if isinstance(stack.server, Server) else ()
    return [each for each in theirs if each] + [each.transport._transport for each in sessions]


def buffered(transport: Any) -> int:
    """Return the number of bytes that the server buffers for a connection."""
    size: int = transport.get_write_buffer_size()
    return size


async def test_a_message_over_the_bound_closes_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stock server also closes the session."""

    async def observe(stack: Stack) -> bool:
        caplog.clear()
        async with client(stack, "websocket") as hostile:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                await hostile.send("4" * 3000)
            return await hostile.is_ended(TIMEOUT)

    assert await both(
        observe,
        stock_options={"max_http_buffer_size": 2000},
        ours_options={"max_message_bytes": 2000},
    ) == (True, True)
    assert all(map(is_bounded, logged_problems(caplog)))


async def closes(stack: Stack, frame: bytes) -> bool:
    """Send a frame by hand; return whether the connection and its session are closed."""
    reader, writer = await handshake(stack)
    writer.write(frame)
    try:
        async with asyncio.timeout(TIMEOUT):
            opcode, _ = await read_frame(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        opcode = CLOSE  # closed without a close frame
    if opcode == CLOSE:
        await until(lambda: not stack.sockets, "the session is closed")
    writer.close()
    return opcode == CLOSE


@pytest.mark.parametrize("frame", [b"\x81\x0240", b"\x89\x0240"])
async def test_a_frame_without_a_mask_closes_the_connection(
    caplog: pytest.LogCaptureFixture, frame: bytes
) -> None:
    """The stock server accepts it, but RFC 6455, 5.1, demands the close."""
    assert await both(closes, frame) == (False, True)
    (record,) = logged_problems(caplog)
    assert is_bounded(record)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x81\xfe\x0b\xb8\0\0\0\0" + b"4" * 3000, id="too large"),
        pytest.param(b"\x83\x81\0\0\0\0a", id="opcode"),
        pytest.param(b"\xc1\x81\0\0\0\0a", id="reserved bit"),
        pytest.param(b"\x81\x81\0\0\0\0\xff", id="not UTF-8"),
    ],
)
async def test_a_frame_that_breaks_rfc_6455_is_logged_and_closes_the_connection(
    caplog: pytest.LogCaptureFixture, frame: bytes
) -> None:
    """The stock server closes the connection without a log line."""

    async def observe(stack: Stack) -> tuple[bool, int]:
        caplog.clear()
        return await closes(stack, frame), len(logged_problems(caplog))

    assert await both(
        observe,
        stock_options={"max_http_buffer_size": 2000},
        ours_options={"max_message_bytes": 2000},
    ) == ((True, 0), (True, 1))
    (record,) = logged_problems(caplog)
    assert is_bounded(record)
