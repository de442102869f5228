"""Every limit of the contract: at its bound, and one past it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.metrics import scrape
from tests.support.raw import Closed, RawSocketIO, plain, raw_socketio
from tests.support.server import TIMEOUT, Server

GOOD = load_vectors("events.json")[0]["publish"]
MAX_MESSAGE = 65_536
MAX_BATCH = 1_048_576
JSON = {"Content-Type": "application/json"}

Start = Callable[..., Server]


def event_of(size: int, around: str = "{}") -> str:
    """Return an event as JSON text that makes ``around`` exactly this many bytes long."""
    furniture = {**GOOD["furniture"], "relleno": ""}
    empty = json.dumps({**GOOD, "furniture": furniture})
    missing = size - len(around.replace("{}", empty, 1).encode())
    furniture["relleno"] = "x" * missing
    return json.dumps({**GOOD, "furniture": furniture})


async def post(url: str, path: str, body: str) -> tuple[int, dict[str, Any]]:
    """Post JSON text; return the status and the answer."""
    async with (
        aiohttp.ClientSession(headers=JSON) as http,
        http.post(url + path, data=io.BytesIO(body.encode())) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_a_plain_message_is_bounded_in_bytes(server: Server) -> None:
    """64 KiB are accepted. One byte more closes with 1009."""
    async with plain(server.url) as client:
        await client.send(event_of(MAX_MESSAGE))
        assert (await client.receive())["type"] == "furniture_created"
        await client.send(event_of(MAX_MESSAGE + 1))
        with pytest.raises(Closed) as closed:
            await client.receive()
    assert closed.value.code == 1009


async def test_a_published_body_is_bounded_in_bytes(server: Server) -> None:
    """64 KiB are accepted. One byte more is answered with 413."""
    assert (await post(server.url, "/api/events", event_of(MAX_MESSAGE)))[0] == 201
    status, problem = await post(server.url, "/api/events", event_of(MAX_MESSAGE + 1))
    assert (status, problem["code"]) == (413, "too_large")


async def test_a_chunked_body_is_bounded_in_bytes(server: Server) -> None:
    """It announces no length, so the received bytes count."""

    async def chunks() -> Any:
        for _ in range(MAX_MESSAGE // 1024 + 1):
            yield b" " * 1024

    async with (
        aiohttp.ClientSession(headers=JSON) as http,
        http.post(f"{server.url}/api/events", data=chunks()) as response,
    ):
        assert response.status == 413


async def test_an_event_of_a_batch_is_bounded_in_bytes(server: Server) -> None:
    """Only the event that is too large is refused."""
    events = [event_of(size) for size in (MAX_MESSAGE, MAX_MESSAGE + 1, MAX_MESSAGE)]
    status, answer = await post(
        server.url, "/api/events/batch", f'{{"events":[{",".join(events)}]}}'
    )
    assert status == 200
    assert [result["ok"] for result in answer["results"]] == [True, False, True]
    assert answer["results"][1]["error"]["code"] == "too_large"


async def test_a_batch_is_bounded_in_bytes(server: Server) -> None:
    """1 MiB is accepted. One byte more is answered with 413."""
    body = '{"events":[]}'
    full = body + " " * (MAX_BATCH - len(body))
    assert await post(server.url, "/api/events/batch", full) == (200, {"results": []})
    status, problem = await post(server.url, "/api/events/batch", full + " ")
    assert (status, problem["code"]) == (413, "too_large")


async def test_a_batch_is_bounded_in_events(server: Server) -> None:
    """1,000 are accepted. 1,001 are answered with 413."""
    status, answer = await post(
        server.url, "/api/events/batch", json.dumps({"events": [GOOD] * 1000})
    )
    assert (status, len(answer["results"])) == (200, 1000)
    assert all(result["ok"] for result in answer["results"])
    status, problem = await post(
        server.url, "/api/events/batch", json.dumps({"events": [GOOD] * 1001})
    )
    assert (status, problem["code"]) == (413, "too_many_events")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_socketio_packet_is_bounded_in_bytes(server: Server, transport: str) -> None:
    """64 KiB are accepted. One byte more closes the connection."""
    around = '427["furniture_created",{}]'
    async with raw_socketio(server.url, transport, {"rooms": []}) as client:
        answer = await client.call("furniture_created", event_of(MAX_MESSAGE, around))
        assert answer["ok"] is True
        with pytest.raises(Closed) as closed:
            await client.call("furniture_created", event_of(MAX_MESSAGE + 1, around))
    assert closed.value.code == (1009 if transport == "websocket" else 400)


async def test_a_polling_body_is_bounded_in_bytes_not_in_packets(server: Server) -> None:
    """A hundred packets in one body are answered. A body over 1 MiB closes the session."""
    async with raw_socketio(server.url, "polling", {"rooms": []}) as client:
        await client.send("\x1e".join(f'42{number}["subscribe",[]]' for number in range(100)))
        for number in range(100):
            await client.receive(f"43{number}[")
        packet = '42["subscribe",[]]'
        body = "\x1e".join([packet] * (MAX_BATCH // (len(packet) + 1) + 1))
        assert len(body) > MAX_BATCH
        with pytest.raises(Closed) as closed:
            await client.send(body)
        assert closed.value.code == 413
        with pytest.raises(Closed):
            await client.receive("4")


def nested(levels: int) -> str:
    """Return an event with this many levels. The event itself is the first level."""
    event = {**GOOD, "furniture": {**GOOD["furniture"], "extra": "@"}}
    return json.dumps(event).replace('"@"', "[" * (levels - 2) + "]" * (levels - 2))


async def test_the_depth_of_json_is_bounded_on_every_transport(server: Server) -> None:
    """An event may have 64 levels. Arguments and a batch around it do not count."""
    deep, deeper = nested(64), nested(65)
    assert (await post(server.url, "/api/events", deep))[0] == 201
    assert (await post(server.url, "/api/events", deeper))[1]["code"] == "invalid_json"
    _, answer = await post(server.url, "/api/events/batch", f'{{"events":[{deep},{deeper}]}}')
    assert answer["results"][0]["ok"] is True
    assert answer["results"][1]["error"]["code"] == "invalid_json"
    async with plain(f"{server.url}/?room=type:furniture_deleted") as client:
        await client.send(deep[:-1] + ',"ref":1}')
        assert (await client.receive())["ok"] is True
        await client.send(deeper)
        assert (await client.receive())["code"] == "invalid_json"
    async with raw_socketio(server.url, "websocket", {"rooms": []}) as socketio:
        for name, wrap in (("furniture_created", str), ("message", str), ("message", json.dumps)):
            assert (await socketio.call(name, wrap(deep)))["ok"] is True
            answer = await socketio.call(name, wrap(deeper))
            assert answer["error"]["code"] == "invalid_json"


async def test_the_commands_of_a_connection_are_rate_limited(start_server: Start) -> None:
    """Ten times the limit closes the connection. Successful publishing does not count."""
    server = start_server(rate_limit=5)
    async with plain(f"{server.url}/ws?room=type:furniture_deleted") as client:
        for _ in range(20):
            await client.send({**GOOD, "ref": 1})
            assert (await client.receive())["type"] == "ack"
        for number in range(50):
            await client.send({"type": "ping"})
            answer = await client.receive()
            assert answer["type"] == ("pong" if number < 5 else "error")
        assert answer["code"] == "rate_limited"
        with pytest.raises(Closed) as closed:
            await client.receive()
    assert closed.value.code == 1013
    # From another address: coming back does not reset the rate.
    address = "127.0.0.2"
    async with raw_socketio(server.url, "websocket", {"rooms": []}, address=address) as socketio:
        for number in range(6):
            answer = await socketio.call("subscribe", '"nowhere"')
            assert answer["error"]["code"] == ("unknown_room" if number < 5 else "rate_limited")


async def test_the_http_requests_of_an_address_are_rate_limited(start_server: Start) -> None:
    """The answer is 429 with ``Retry-After``. Successful publishing does not count."""
    server = start_server(rate_limit=5)
    async with aiohttp.ClientSession() as http:
        for number in range(6):
            async with http.get(f"{server.url}/api/events") as response:
                assert response.status == (200 if number < 5 else 429)
                answer = await response.json(content_type=None)
        assert int(response.headers["Retry-After"]) > 0
        assert answer["code"] == "rate_limited"
        async with http.post(f"{server.url}/api/events", json=GOOD) as response:
            assert response.status == 201
        async with http.post(f"{server.url}/api/events", json={}) as response:
            assert response.status == 429


async def test_the_rooms_of_a_connection_are_bounded(start_server: Start) -> None:
    """One room more is refused on each transport."""
    server = start_server(max_rooms=3)
    rooms = [f"material:{number}" for number in range(4)]
    async with raw_socketio(server.url, "websocket", {"rooms": rooms[:2]}) as client:
        assert (await client.call("subscribe", json.dumps(rooms[:3])))["ok"] is True
        answer = await client.call("subscribe", json.dumps(rooms))
        assert answer["error"]["code"] == "rate_limited"
        assert (await client.call("unsubscribe", "[]"))["rooms"] == rooms[:3]
    with pytest.raises(ConnectionRefusedError):
        async with raw_socketio(server.url, "websocket", {"rooms": rooms}):
            pass
    query = "&".join(f"room={room}" for room in rooms)
    async with plain(f"{server.url}/ws?{query}") as client:
        assert (await client.receive())["code"] == "rate_limited"
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/api/stream?{query}") as response,
    ):
        assert response.status == 429


@pytest.mark.parametrize(
    ("settings", "status"),
    [({"max_connections": 2}, 503), ({"max_connections_per_address": 2}, 429)],
)
async def test_the_number_of_connections_is_bounded(
    start_server: Start, settings: dict[str, int], status: int
) -> None:
    """One more is refused on each transport, until another connection ends."""
    server = start_server(**settings, connect_rate=0)

    async def try_each() -> list[Any]:
        async with aiohttp.ClientSession() as http:
            outcomes: list[Any] = []
            for transport in ("websocket", "polling"):
                query = {"EIO": "4", "transport": transport}
                upgrade = {
                    "Connection": "Upgrade",
                    "Upgrade": "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                }
                headers = upgrade if transport == "websocket" else {}
                async with http.get(
                    f"{server.url}/socket.io/", params=query, headers=headers
                ) as response:
                    outcomes.append(response.status)
            async with http.get(f"{server.url}/api/stream") as response:
                outcomes.append(response.status)
            async with http.ws_connect(server.ws_url) as socket:
                await socket.send_json({"type": "ping"})
                await socket.receive(TIMEOUT)
                outcomes.append(socket.close_code)
            return outcomes

    async with plain(server.url) as first:
        async with raw_socketio(server.url, "polling"):
            assert await try_each() == [status, status, status, 1013]
            figures = await asyncio.to_thread(scrape, server.url)
            assert figures.of("sio_connections_refused_total", *settings) == 4
            assert figures.total("sio_connections_refused_total") == 4
            async with aiohttp.ClientSession() as http:
                async with http.post(f"{server.url}/api/events", json=GOOD) as response:
                    assert response.status == 201
        await first.send({"type": "ping"})
        await first.receive_type("pong")
    server.wait_for_log("disconnected", transport="websocket")
    async with plain(server.url) as again:
        await again.send({"type": "ping"})
        assert (await again.receive())["type"] == "pong"


async def test_headers_must_arrive_in_time(start_server: Start) -> None:
    """A connection is closed if its headers do not end, or if it sends nothing."""
    server = start_server(connect_timeout=0.3)
    for start in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(start)
        async with asyncio.timeout(TIMEOUT):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("path", ["/api/events", "/api/events/batch"])
async def test_a_body_must_arrive_in_time(start_server: Start, path: str) -> None:
    """A connection is closed if its announced body does not arrive."""
    server = start_server(connect_timeout=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: 100\r\n\r\n{{".encode()
    )
    async with asyncio.timeout(TIMEOUT):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_session_must_connect_to_a_namespace_in_time(
    start_server: Start, transport: str
) -> None:
    """An Engine.IO session is closed if it sends no Socket.IO CONNECT."""
    server = start_server(connect_timeout=0.3)
    async with aiohttp.ClientSession() as http:
        client = RawSocketIO(http, server.url)
        await client.open(transport)
        with pytest.raises(Closed):
            while True:
                await client.receive("4")
        await client.close()


async def test_an_upgrade_must_complete_in_time(start_server: Start) -> None:
    """The WebSocket of an unfinished upgrade is closed, and polling continues."""
    server = start_server(connect_timeout=0.3)
    async with raw_socketio(server.url, "polling") as client, aiohttp.ClientSession() as http:
        query = {"EIO": "4", "transport": "websocket", "sid": client.eio_sid}
        async with http.ws_connect(f"{server.url}/socket.io/", params=query) as socket:
            await socket.send_str("2probe")
            assert (await socket.receive(TIMEOUT)).data == "3probe"
            assert (await socket.receive(TIMEOUT)).type is not aiohttp.WSMsgType.TEXT
        assert (await client.call("subscribe", "[]"))["ok"] is True


async def test_attachments_are_bounded(start_server: Start) -> None:
    """A packet with the allowed number is answered. One more closes the connection."""
    server = start_server(max_attachments=2)
    async with raw_socketio(server.url, "websocket", {"rooms": []}) as client:
        assert client._socket is not None
        await client.send(
            '452-7["furniture_created",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        )
        await client._socket.send_bytes(b"a")
        await client._socket.send_bytes(b"b")
        (answer,) = json.loads((await client.receive("437["))[3:])
        assert answer["error"]["code"] == "invalid_message"
        await client.send('453-7["furniture_created",{"_placeholder":true,"num":0}]')
        with pytest.raises(Closed):
            await client.receive("4")


async def test_a_client_that_never_reads_is_closed_as_too_slow(start_server: Start) -> None:
    """It is parked past its buffer, and makes no progress for ``slow_seconds``."""
    server = start_server(max_buffer_bytes=8192, slow_seconds=0.5, ping_interval=60)
    stuck = socket.create_connection(("127.0.0.1", server.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    server.wait_for_log("connected", transport="websocket")
    big = json.dumps({"events": [json.loads(event_of(60_000))] * 17})
    for _ in range(10):
        assert (await post(server.url, "/api/events/batch", big))[0] == 200
    await asyncio.to_thread(server.wait_for_log, "disconnected", reason="too slow")
    stuck.close()
