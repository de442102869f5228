"""Engine.IO: the ends of a session, and protocol errors that cause one."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import yarl

from tests.conformance import engineio
from tests.conformance.clients import (
    POLLING,
    SEPARATOR,
    TIMEOUT,
    TRANSPORTS,
    WEBSOCKET,
    Packet,
    connected,
    polling,
    read_to_end,
    wait_until_handled,
)
from tests.conformance.serve import served

ON_WEBSOCKET = [name for name in TRANSPORTS if name != POLLING]


NOTHING = ([], ["6"])
"""The packets after a client's CLOSE: none, or a NOOP for a poll that arrived after it."""


@pytest.fixture
def ends(eio: Any) -> list[tuple[str, str]]:
    """Return the list of ended sessions, each with its reason."""
    ended: list[tuple[str, str]] = []

    async def record(sid: str, reason: str) -> None:
        ended.append((sid, reason))

    eio.on("disconnect", record)
    return ended


async def test_a_client_may_close(eio_url: str, eio: Any, ends: list[Any], transport: str) -> None:
    """A CLOSE packet ends the session, and the disconnect handler runs once."""
    async with connected(eio_url, transport) as client:
        await client.send("1")
        assert await read_to_end(client) in NOTHING
        assert ends == [(client.handshake["sid"], "transport close")]
        assert not eio.sockets
    assert len(ends) == 1


async def test_a_close_packet_ends_the_waiting_poll(eio_url: str) -> None:
    """The poll ends with a NOOP if its client closes by a POST."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        assert await client.post("1") == (200, "ok")
        assert await poll == (200, "6")
        assert (await client.get())[0] == 400
        assert (await client.post("4hello"))[0] == 400


async def test_packets_after_a_close_packet_are_ignored(
    eio_url: str, eio: Any, transport: str
) -> None:
    """The packets before it are handled."""
    handled: list[Any] = []

    async def message(sid: str, data: Any) -> None:
        handled.append(data)

    eio.on("message", message)
    async with connected(eio_url, transport) as client:
        await client.send("4before", "1", "4after")
        assert await read_to_end(client) in NOTHING
    assert handled == ["before"]


async def test_the_server_may_close(
    eio_url: str, eio: Any, ends: list[Any], transport: str
) -> None:
    """The server sends the queued packets, and then a CLOSE packet."""
    async with connected(eio_url, transport) as client:
        await client.send("4ready")
        assert await client.receive() == "4ready"
        await eio.send(client.handshake["sid"], "last")
        await eio.disconnect(client.handshake["sid"])
        if transport == POLLING:  # queued packets may be lost with the session
            assert await read_to_end(client) in ([], ["4last", "1"])
        else:
            assert await read_to_end(client) == ["4last", "1"]
            assert client.socket.close_code == 1000
        assert ends == [(client.handshake["sid"], "server disconnect")]


async def test_a_waiting_poll_gets_the_servers_close_packet(eio_url: str, eio: Any) -> None:
    """The session is unknown afterwards."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        await eio.disconnect(client.query["sid"])
        assert await poll == (200, "1")
        assert (await client.get())[0] == 400


@pytest.mark.parametrize("transport", ON_WEBSOCKET)
async def test_a_closed_websocket_ends_its_session(
    eio_url: str, eio: Any, ends: list[Any], transport: str
) -> None:
    """The server answers the close frame."""
    async with connected(eio_url, transport) as client:
        sid = client.handshake["sid"]
        await client.socket.close(code=1000)
        assert client.socket.close_code == 1000
        async with asyncio.timeout(TIMEOUT):
            while not ends:
                await wait_until_handled(eio_url)
        assert ends == [(sid, "transport close")]
        assert sid not in eio.sockets


BROKEN = ["abc", "7", "9hello", "-", " 4hello", "é", "\u0664hello", "\x00", "hello", "{}"]


@pytest.mark.parametrize("packet", BROKEN, ids=ascii)
async def test_a_packet_of_an_unknown_type_ends_the_session(
    eio_url: str, eio: Any, ends: list[Any], transport: str, packet: str
) -> None:
    """A POST with such a packet gets 400."""
    async with connected(eio_url, transport) as client:
        if transport == POLLING:
            assert (await client.post(packet))[0] == 400
        else:
            await client.send(packet)
        assert await read_to_end(client) in ([], ["1"])
        assert len(ends) == 1
        assert not eio.sockets


@pytest.mark.parametrize("packet", ["0", "0{}", "2", "2probe"])
async def test_a_packet_that_only_a_server_sends_ends_the_session(
    eio_url: str, eio: Any, ends: list[Any], transport: str, packet: str
) -> None:
    """A client may not send OPEN, nor PING as in version 3 of the protocol."""
    async with connected(eio_url, transport) as client:
        await client.send(packet)
        assert await read_to_end(client) in ([], ["1"])
        assert len(ends) == 1
        assert not eio.sockets


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"4one\x1e",
        b"\x1e4one",
        b"4one\x1e\x1e4two",
        b"4one\x1eabc",
        b"b!!!!",
        b"bAQI",
        b"bAQIDBA==x",
        b"4\xff\xfe",
        b"\xc3\x284",
    ],
    ids=repr,
)
async def test_an_invalid_body_ends_the_session(eio_url: str, eio: Any, body: bytes) -> None:
    """It has an empty packet, bad base64 or bad UTF-8. No packet after the bad one is handled."""
    handled: list[Any] = []

    async def message(sid: str, data: Any) -> None:
        handled.append(data)

    eio.on("message", message)
    async with polling(eio_url) as client:
        assert (await client.post(body))[0] == 400
        assert (await client.get())[0] == 400
    assert handled == (["one"] if body.startswith(b"4one\x1e") else [])
    assert not eio.sockets


@pytest.mark.parametrize("transport", ON_WEBSOCKET)
async def test_an_empty_message_ends_the_session(eio_url: str, transport: str) -> None:
    """A text message needs a packet type."""
    async with connected(eio_url, transport) as client:
        await client.send("")
        assert await read_to_end(client) == []


async def test_text_that_is_not_utf8_ends_the_session(eio_url: str, eio: Any) -> None:
    """The WebSocket closes with 1007 (RFC 6455, 8.1)."""
    async with connected(eio_url, WEBSOCKET) as client:
        await client.socket._writer.send_frame(b"4\xff\xfe", aiohttp.WSMsgType.TEXT)
        assert await read_to_end(client) == []
        assert client.socket.close_code == 1007
    assert not eio.sockets


async def test_a_bad_post_ends_the_waiting_poll(eio_url: str) -> None:
    """The poll ends with a CLOSE packet."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        assert (await client.post("abc"))[0] == 400
        assert await poll == (200, "1")
        assert (await client.get())[0] == 400


async def test_a_noop_packet_is_ignored(eio_url: str, transport: str) -> None:
    """The packets around it are handled."""
    async with connected(eio_url, transport) as client:
        await client.send("6", "4hello", "6")
        assert await client.receive() == "4hello"


@pytest.mark.parametrize("message", ["4" + "x" * 1000, b"x" * 1001], ids=["text", "bytes"])
@pytest.mark.parametrize("transport", ON_WEBSOCKET)
async def test_a_message_over_the_bound_closes_the_websocket(
    transport: str, message: Packet
) -> None:
    """The close code is 1009, and a message of exactly the bound is handled."""
    server = engineio.make_server(max_message_bytes=1000, ping_interval=25)
    async with served(server, engineio.PATH) as url, connected(url, transport) as client:
        await client.send(message[:1000])
        assert await client.receive() == message[:1000]
        await client.send(message)
        assert await read_to_end(client) == []
        assert client.socket.close_code == 1009


async def test_a_protocol_error_of_one_client_disturbs_no_other(
    eio_url: str, transport: str
) -> None:
    """The other client's message is echoed."""
    async with connected(eio_url, transport) as good, polling(eio_url) as bad:
        assert (await bad.post(f"4one{SEPARATOR}abc"))[0] == 400
        await good.send("4hello")
        assert await good.receive() == "4hello"


async def test_a_poll_that_arrives_after_a_close_gets_a_noop(eio_url: str) -> None:
    """A polling client always has one poll on its way; a second poll gets 400."""
    async with polling(eio_url) as client:
        assert await client.post("1") == (200, "ok")
        assert await client.get() == (200, "6")
        assert (await client.get())[0] == 400


async def test_a_client_that_is_still_sending_gets_the_close_frame(eio_url: str) -> None:
    """Bytes that are on their way to the closed session cause no TCP reset."""
    url = yarl.URL(eio_url)
    received, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"GET {url.path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {url.host}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    await received.readuntil(b"\r\n\r\n")
    writer.write(
        b"\xf1\x80\0\0\0\0" + bytes(8_000_000)
    )  # a frame with reserved bits, and more bytes
    async with asyncio.timeout(TIMEOUT):
        assert b"\x03\xea" in await received.read()  # 1002
        writer.close()
        await writer.wait_closed()
    await wait_until_handled(eio_url)
