"""Hostile input: it neither stops the server nor blocks other clients, and it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.raw import Closed, RawSocketIO, plain, raw_socketio
from tests.support.server import TIMEOUT, Server

GOOD = load_vectors("events.json")[0]["publish"]

Start = Callable[..., Server]


async def talk(server: Server, request: bytes) -> bytes:
    """Send raw HTTP, and return the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(TIMEOUT):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


@pytest.mark.parametrize(
    "packets", ["41\x1e40", '41\x1e40{"rooms":1}', "40/x,", "3", "431[]", '42["nothing"]']
)
async def test_a_body_of_small_packets_does_not_block_other_clients(
    start_server: Start, packets: str
) -> None:
    """A healthy client is answered while the server handles a body of the largest size."""
    server = start_server(rate_limit=100, ping_interval=1, ping_timeout=2)
    body = "\x1e".join([packets] * (1_000_000 // (len(packets) + 1)))
    async with raw_socketio(server.url, "polling") as hostile, plain(server.url) as healthy:
        flood = asyncio.ensure_future(hostile.send(body))
        for _ in range(20):
            await healthy.send({"type": "ping"})
            await healthy.receive_type("pong")
        with contextlib.suppress(Closed, aiohttp.ClientConnectionError):
            await flood
    assert sum(len(line) for line in server.raw) < 300_000


async def test_a_lone_surrogate_in_an_event_name_is_answered(server: Server) -> None:
    """The error is ``invalid_json``, and an event that was queued before is still delivered."""
    async with raw_socketio(server.url, "polling") as client:
        async with plain(server.url) as producer:
            await producer.send({**GOOD, "ref": 1})
            await producer.receive_type("ack")
        await client.send('42["\\ud800"]')
        assert json.loads((await client.receive('42["furniture_'))[2:])[1]["type"] == GOOD["type"]
        _, error = json.loads((await client.receive('42["error"'))[2:])
        assert error["code"] == "invalid_json"


async def test_guessing_credentials_on_one_connection_is_limited(start_server: Start) -> None:
    """Guesses over the rate limit are refused. Ten times the limit closes the connection."""
    server = start_server(producer_keys="the-right-key-of-them", rate_limit=5)
    async with aiohttp.ClientSession() as http:
        client = RawSocketIO(http, server.url)
        await client.open("websocket")
        codes = []
        with pytest.raises(Closed):
            for number in range(100):
                await client.send(f'40{{"token":"guess {number}"}}')
                codes.append(json.loads((await client.receive("44"))[2:])["data"]["code"])
        assert codes[:5] == ["unauthorized"] * 5
        assert set(codes[5:]) == {"rate_limited"}
        assert len(codes) <= 50


async def test_an_http_1_0_client_gets_a_stream_without_chunks(server: Server) -> None:
    """HTTP/1.0, which some proxies speak, has no chunks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /api/stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        assert b"chunked" not in head.lower()
        assert (await reader.readline()).startswith(b"retry: ")
        assert await reader.readline() == b"event: ready\n"
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_cannot_be_decompressed_is_refused(server: Server, encoding: str) -> None:
    """The answer is 400, as for any body that is not JSON."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/events", data=b"garbage", compress=None) as response,
    ):
        assert response.status == 400


@pytest.mark.parametrize(
    "body",
    [
        '{"events":[],"d":[NaN garbage x]}',
        '{"events":[zzz],"events":[]}',
        '{"events":[],"d":[' + "[" * 70 + "]" * 70 + "]}",
    ],
)
async def test_the_other_keys_of_a_batch_must_be_json(server: Server, body: str) -> None:
    """Otherwise the text is not JSON, and the whole batch is refused."""
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http,
        http.post(f"{server.url}/api/events/batch", data=body) as response,
    ):
        assert response.status == 400
        assert (await response.json(content_type=None))["code"] == "invalid_json"


async def test_a_read_without_since_has_no_gap_while_the_log_is_trimmed(
    start_server: Start,
) -> None:
    """The reader named no offset, so it has missed nothing."""
    server = start_server(retention_events=20, event_log="sqlite:///events.db")
    batch = {"events": [GOOD] * 15}
    async with aiohttp.ClientSession() as http:

        async def publish() -> None:
            for _ in range(40):
                async with http.post(f"{server.url}/api/events/batch", json=batch) as response:
                    assert response.status == 200

        publishing = asyncio.ensure_future(publish())
        while not publishing.done():
            async with http.get(f"{server.url}/api/events?limit=5") as response:
                assert (await response.json())["gap"] is False
        await publishing


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=polling&j=0",
        "/socket.io/?EIO=4&transport=polling&sid=a%0Ab",
    ],
)
async def test_engine_io_errors_have_the_form_of_the_protocol(server: Server, path: str) -> None:
    """They are 400 with a code and a message, like those of the protocol's own server."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
        assert response.status == 400
        assert (await response.json()).keys() == {"code", "message"}


async def test_a_head_request_with_an_upgrade_gets_the_page(server: Server) -> None:
    """Only a GET can open a WebSocket (RFC 6455, 4.1)."""
    answer = await talk(
        server,
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    assert b" 200 " in answer.splitlines()[0]


async def test_an_aborted_poll_loses_no_event(server: Server) -> None:
    """The next GET receives the event that came after the abort, five times in a row."""
    async with raw_socketio(server.url, "polling") as client, aiohttp.ClientSession() as http:
        query = f"/socket.io/?EIO=4&transport=polling&sid={client.eio_sid}"
        for number in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await writer.drain()
            assert (await talk(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))[
                9:12
            ] == b"200"
            writer.transport.abort()
            event = {**GOOD, "id": f"aborted {number} {server.port}"}
            await talk(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with http.post(f"{server.url}/api/events", json=event) as response:
                assert response.status == 201
            _, received, _ = json.loads((await client.receive('42["furniture_'))[2:])
            assert received["id"] == event["id"]
