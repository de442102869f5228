"""What a stranger may send: nothing of it stops the server, or is answered by a traceback."""

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
    """Send raw HTTP; return what comes until the server closes or a second has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(TIMEOUT):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


@pytest.mark.parametrize(
    "packets", ["41\x1e40", '41\x1e40{"rooms":1}', "40/x,", "3", "431[]", '42["nothing"]']
)
async def test_a_body_of_small_packets_lets_others_have_their_turn(
    start_server: Start, packets: str
) -> None:
    """Answer a healthy client while a hostile body of the largest size comes in."""
    server = start_server(rate_limit=100)
    body = "\x1e".join([packets] * (1_000_000 // (len(packets) + 1)))
    async with raw_socketio(server.url, "polling") as hostile, plain(server.url) as healthy:
        flood = asyncio.ensure_future(hostile.send(body))
        for _ in range(20):
            await healthy.send({"type": "ping"})
            await healthy.receive_type("pong")
        with contextlib.suppress(Closed, aiohttp.ClientConnectionError):
            await flood
    assert sum(len(line) for line in server.raw) < 300_000


async def test_a_lone_surrogate_as_an_event_s_name_is_answered(server: Server) -> None:
    """Say invalid_json, in the acknowledgement and as the event, and lose nothing queued."""
    async with raw_socketio(server.url, "polling") as client:
        async with plain(server.url) as producer:
            await producer.send({**GOOD, "ref": 1})
            await producer.receive_type("ack")
        await client.send('42["\\ud800"]')
        assert json.loads((await client.receive('42["furniture_'))[2:])[1]["type"] == GOOD["type"]
        _, error = json.loads((await client.receive('42["error"'))[2:])
        assert error["code"] == "invalid_json"


async def test_credentials_can_t_be_guessed_on_one_connection(start_server: Start) -> None:
    """Refuse to go on at the rate limit, and close at ten times it."""
    server = start_server(producer_keys="right", rate_limit=5)
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


async def test_a_stream_over_http_1_0_is_served(server: Server) -> None:
    """Stream without chunks to what can't take them, as some proxies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /api/stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        assert b"chunked" not in head.lower()
        assert await reader.readline() == b"event: ready\n"
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_can_t_be_decoded_is_refused(server: Server, encoding: str) -> None:
    """Answer 400, as for whatever is no JSON."""
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
async def test_what_stands_beside_the_events_must_be_json(server: Server, body: str) -> None:
    """Refuse the batch whole: its text is no JSON."""
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http,
        http.post(f"{server.url}/api/events/batch", data=body) as response,
    ):
        assert response.status == 400
        assert (await response.json(content_type=None))["code"] == "invalid_json"


async def test_the_oldest_kept_is_read_while_the_log_is_trimmed(start_server: Start) -> None:
    """Never say gap to a reader that named no offset."""
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
async def test_engine_io_s_errors_have_its_form(server: Server, path: str) -> None:
    """Answer 400 with a code and a message, as the protocol's own server does."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
        assert response.status == 400
        assert (await response.json()).keys() == {"code", "message"}


async def test_head_with_an_upgrade_is_no_websocket(server: Server) -> None:
    """Answer with the page's headers."""
    answer = await talk(
        server,
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    assert b" 200 " in answer.splitlines()[0]


async def test_an_aborted_poll_takes_nothing_with_it(server: Server) -> None:
    """Give to the next GET what came after a GET was given up, again and again."""
    async with raw_socketio(server.url, "polling") as client, aiohttp.ClientSession() as http:
        query = f"/socket.io/?EIO=4&transport=polling&sid={client._sid}"
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
