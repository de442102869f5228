"""Engine.IO: messages of text and bytes, there and back, on every transport."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.clients import (
    SEPARATOR,
    TIMEOUT,
    Packet,
    connected,
    polling,
    settle,
    websocket,
)

MESSAGES: list[Packet] = [
    "4hello",
    "4",
    "42",
    "4probe",
    "4b64",
    '4{"a": [1, null]}',
    "4 spaces and\nlines\r\n\t",
    "4é € 日本語 🪑",
    "4\u2028\x00\x7f",
    b"\x01\x02\x03\x04",
    b"",
    b"4text",
    b"\x1e",
    bytes(range(256)),
    "4" + "x" * 125,
    "4" + "x" * 70_000,
    b"\xff" * 70_000,
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: repr(message[:12]))
async def test_a_message_arrives_as_it_was_sent(
    eio_url: str, transport: str, message: Packet
) -> None:
    """Change no message, be it of text or of bytes."""
    async with connected(eio_url, transport) as client:
        await client.send(message)
        assert await client.receive() == message


async def test_messages_keep_their_order(eio_url: str, transport: str) -> None:
    """Hand messages on in the order in which they were sent, text and bytes mixed."""
    sent: list[Packet] = [
        f"4{number}" if number % 3 else number.to_bytes(4, "big") for number in range(300)
    ]
    async with connected(eio_url, transport) as client:
        await client.send(*sent)
        assert [await client.receive() for _ in sent] == sent


async def test_sessions_do_not_hear_one_another(eio_url: str) -> None:
    """Bring each session its own messages only."""
    async with (
        polling(eio_url) as first,
        polling(eio_url) as second,
        websocket(eio_url) as third,
    ):
        clients = (first, second, third)
        for number, client in enumerate(clients):
            await client.send(f"4for {number}")
        for number, client in enumerate(clients):
            assert await client.receive() == f"4for {number}"


async def test_the_largest_payload_that_was_announced_is_taken(
    eio_url: str, transport: str
) -> None:
    """Take a message of as many bytes as the handshake allows."""
    async with connected(eio_url, transport) as client:
        message = "4" + "y" * (client.handshake["maxPayload"] - 1)
        await client.send(message)
        assert await client.receive() == message


@pytest.mark.parametrize(
    "body",
    [
        "4one",
        SEPARATOR.join(["4one", "4two", "4three"]),
        SEPARATOR.join(["4text", "bAQIDBA=="]),
        SEPARATOR.join(["bAQ==", "4é", "b", "bAAECAw=="]),
    ],
    ids=repr,
)
async def test_a_body_is_packets_between_separators(eio_url: str, body: str) -> None:
    """Take several packets in one body, and bring what is queued in one, bytes as base64."""
    async with polling(eio_url) as client:
        assert await client.post(body) == (200, "ok")
        assert await client.get() == (200, body)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "text/plain; charset=UTF-8", "text/plain;charset=utf-8",
     "application/octet-stream"],
)  # fmt: skip
async def test_a_body_is_text_whatever_its_label(eio_url: str, content_type: str | None) -> None:
    """Read a body without a type as text; read one that says it has binary data as well."""
    options = (
        {"skip_auto_headers": ["Content-Type"]}
        if content_type is None
        else {"headers": {"Content-Type": content_type}}
    )
    body = f"4é{SEPARATOR}bAQID"
    async with polling(eio_url) as client:
        assert await client.request("POST", data=body.encode(), **options) == (200, "ok")
        assert await client.get() == (200, body)


async def test_a_body_may_come_in_pieces(eio_url: str) -> None:
    """Take a body without a length, cut anywhere, even within a character."""

    async def pieces() -> object:
        for byte in "4é🪑\x1e4end".encode():
            yield bytes([byte])
            await asyncio.sleep(0)

    async with polling(eio_url) as client:
        assert await client.request("POST", data=pieces()) == (200, "ok")
        assert await client.get() == (200, "4é🪑\x1e4end")


async def test_a_poll_waits_for_something_to_take(eio_url: str) -> None:
    """Let a GET that finds nothing wait; end it with the first packet that comes."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await settle(eio_url)
        assert not poll.done()
        await client.send("4now")
        assert await poll == (200, "4now")


async def test_a_poll_takes_each_packet_once(eio_url: str) -> None:
    """Bring no packet twice, and lose none between two polls."""
    async with polling(eio_url) as client:
        for number in range(10):
            await client.send(f"4{number}a", f"4{number}b")
            assert await client.get() == (200, f"4{number}a\x1e4{number}b")


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return a WebSocket frame's first byte and its payload; it must not be masked."""
    first, length = await reader.readexactly(2)
    assert length < 126
    return first, await reader.readexactly(length)


def masked(first: int, payload: bytes) -> bytes:
    """Make a client's WebSocket frame; with a mask of zeros the payload stays readable."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


async def test_each_packet_is_a_frame_of_its_own(eio_url: str) -> None:
    """Send one whole unmasked frame a packet, bytes as they are; answer WebSocket's own ping."""
    host, port = eio_url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(TIMEOUT):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        first, length = await reader.readexactly(2)
        size = int.from_bytes(await reader.readexactly(2), "big") if length == 126 else length
        assert first == 0x81
        assert (await reader.readexactly(size))[:2] == b"0{"
        writer.write(masked(0x81, b"4one") + masked(0x82, b"\x00\x01") + masked(0x81, b"4two"))
        writer.write(masked(0x01, b"4in ") + masked(0x00, b"two ") + masked(0x80, b"parts"))
        assert await read_frame(reader) == (0x81, b"4one")
        assert await read_frame(reader) == (0x82, b"\x00\x01")
        assert await read_frame(reader) == (0x81, b"4two")
        assert await read_frame(reader) == (0x81, b"4in two parts")
        writer.write(masked(0x89, b"there?"))
        assert await read_frame(reader) == (0x8A, b"there?")
    writer.close()
    await writer.wait_closed()
