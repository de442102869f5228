"""Engine.IO: text and binary messages in both directions, on every transport."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.clients import (
    SEPARATOR,
    TIMEOUT,
    Packet,
    connected,
    polling,
    wait_until_handled,
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
async def test_a_message_arrives_unchanged(eio_url: str, transport: str, message: Packet) -> None:
    """It may be text or bytes."""
    async with connected(eio_url, transport) as client:
        await client.send(message)
        assert await client.receive() == message


async def test_messages_keep_their_order(eio_url: str, transport: str) -> None:
    """Text and binary messages are mixed."""
    sent: list[Packet] = [
        f"4{number}" if number % 3 else number.to_bytes(4, "big") for number in range(300)
    ]
    async with connected(eio_url, transport) as client:
        await client.send(*sent)
        assert [await client.receive() for _ in sent] == sent


async def test_each_session_gets_only_its_own_messages(eio_url: str) -> None:
    """Three sessions send at the same time."""
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


async def test_a_payload_of_the_announced_size_is_accepted(eio_url: str, transport: str) -> None:
    """The handshake announces ``maxPayload`` bytes."""
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
async def test_a_body_may_have_several_packets(eio_url: str, body: str) -> None:
    """A POST and the response to a GET have the same form, with bytes as base64."""
    async with polling(eio_url) as client:
        assert await client.post(body) == (200, "ok")
        assert await client.get() == (200, body)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "text/plain; charset=UTF-8", "text/plain;charset=utf-8",
     "application/octet-stream"],
)  # fmt: skip
async def test_a_body_is_text_with_any_content_type(eio_url: str, content_type: str | None) -> None:
    """A missing content type, or one for binary data, changes nothing."""
    options = (
        {"skip_auto_headers": ["Content-Type"]}
        if content_type is None
        else {"headers": {"Content-Type": content_type}}
    )
    body = f"4é{SEPARATOR}bAQID"
    async with polling(eio_url) as client:
        assert await client.request("POST", data=body.encode(), **options) == (200, "ok")
        assert await client.get() == (200, body)


async def test_a_body_may_be_chunked(eio_url: str) -> None:
    """A chunk may end within a character."""

    async def pieces() -> object:
        for byte in "4é🪑\x1e4end".encode():
            yield bytes([byte])
            await asyncio.sleep(0)

    async with polling(eio_url) as client:
        assert await client.request("POST", data=pieces()) == (200, "ok")
        assert await client.get() == (200, "4é🪑\x1e4end")


async def test_a_poll_waits_for_a_packet(eio_url: str) -> None:
    """It ends with the first packet."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        assert not poll.done()
        await client.send("4now")
        assert await poll == (200, "4now")


async def test_each_packet_is_polled_once(eio_url: str) -> None:
    """No packet is lost between two polls."""
    async with polling(eio_url) as client:
        for number in range(10):
            await client.send(f"4{number}a", f"4{number}b")
            assert await client.get() == (200, f"4{number}a\x1e4{number}b")


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the first byte and the payload of a WebSocket frame without a mask."""
    first, length = await reader.readexactly(2)
    assert length < 126
    return first, await reader.readexactly(length)


def masked(first: int, payload: bytes) -> bytes:
    """Encode a client's WebSocket frame; its mask of zeros keeps the payload readable."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


async def test_each_packet_is_one_websocket_frame(eio_url: str) -> None:
    """Frames are whole and not masked, and the server answers a WebSocket ping."""
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
