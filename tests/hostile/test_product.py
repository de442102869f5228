"""Hostile clients of the whole server, around the engine."""

from __future__ import annotations

import asyncio
import json
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import socketio.async_redis_manager

from tests.conftest import load_vectors
from tests.hostile.clients import BOTH_TRANSPORTS
from tests.hostile.stacks import STOCK_LOG, TIMEOUT, WATCH_SECONDS, Stack, ours, stock
from tests.support.history import read_history
from tests.support.raw import plain, raw_socketio
from tests.support.server import Server

Start = Callable[..., Server]

GOOD = load_vectors("events.json")[0]["publish"]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@asynccontextmanager
async def handshake(
    http: aiohttp.ClientSession, url: str, transport: str, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send an Engine.IO handshake; yield the response while it is open."""
    query = {"EIO": "4", "transport": transport}
    headers |= UPGRADE if transport == "websocket" else {}
    async with http.get(f"{url}/socket.io/", params=query, headers=headers) as response:
        yield response


OPENED = {"polling": 200, "websocket": 101}


@BOTH_TRANSPORTS
async def test_the_number_of_sessions_is_bounded(start_server: Start, transport: str) -> None:
    """The stock server opens a session for every handshake. Ours closes idle sessions, too."""

    async def open_sessions(url: str, number: int) -> list[int]:
        statuses = []
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            everybody = asyncio.Event()

            async def open_one() -> None:
                async with handshake(http, url, transport) as response:
                    statuses.append(response.status)
                    await everybody.wait()

            for _ in range(number):
                group.create_task(open_one())
            while len(statuses) < number:
                await asyncio.sleep(0.01)
            everybody.set()
        return sorted(statuses)

    opened = OPENED[transport]
    async with asyncio.timeout(2 * TIMEOUT):
        async with stock() as stack:
            assert await open_sessions(stack.url, 60) == [opened] * 60
        server = start_server(max_connections=50, connect_timeout=1)
        assert await open_sessions(server.url, 55) == [opened] * 50 + [503] * 5
        while (await open_sessions(server.url, 1))[0] == 503:
            await asyncio.sleep(0.05)


async def test_an_idle_session_has_no_task() -> None:
    """The stock server has a task and a timer for each session; ours has one clock for all."""

    async def idle_tasks(url: str) -> int:
        before = len(asyncio.all_tasks())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            for _ in range(50):
                async with handshake(http, url, "polling") as response:
                    assert response.status == 200
        return len(asyncio.all_tasks()) - before

    async with stock() as stack:
        assert await idle_tasks(stack.url) >= 50
    async with ours() as stack:
        assert await idle_tasks(stack.url) < 5


@BOTH_TRANSPORTS
async def test_forwarding_headers_do_not_allow_a_foreign_origin(
    start_server: Start, transport: str
) -> None:
    """The stock server believes forged headers about its own origin, and sends no ``Vary``."""
    forged = {
        "Origin": "https://evil.test",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
    }

    async def ask(url: str) -> tuple[int, str | None, str | None]:
        async with (
            aiohttp.ClientSession() as http,
            handshake(http, url, transport, **forged) as response,
        ):
            allowed = response.headers.get("Access-Control-Allow-Origin")
            return response.status, allowed, response.headers.get("Vary")

    async with stock() as stack:
        status, allowed, vary = await ask(stack.url)
        assert (status, vary) == (OPENED[transport], None)
        assert transport == "websocket" or allowed == "https://evil.test"
    assert await ask(start_server().url) == (403, None, "Origin")


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_a_connection_without_a_complete_request_is_closed(
    start_server: Start, start: bytes
) -> None:
    """The stock server leaves it to aiohttp, which waits for an hour."""

    async def is_closed(port: int, seconds: float, stack: Stack | None = None) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        end = asyncio.ensure_future(reader.read())
        await asyncio.wait([end], timeout=seconds)
        if stack is not None:
            assert stack.runner.server is not None
            (connection,) = stack.runner.server.connections
            assert connection.keepalive_timeout > 3600
        writer.close()
        return not end.cancel()

    async with stock() as stack:
        assert not await is_closed(stack.runner.addresses[0][1], WATCH_SECONDS, stack)
    assert await is_closed(start_server(connect_timeout=WATCH_SECONDS).port, TIMEOUT)


async def test_a_publisher_is_told_if_its_event_cannot_be_stored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, start_server: Start
) -> None:
    """The stock manager for several servers logs the loss, and returns as if it had succeeded."""
    attempts = []

    class Gone:
        def pubsub(self, **options: Any) -> None:
            """Return nothing that is used here."""

        async def publish(self, channel: str, data: str) -> None:
            attempts.append(data)
            raise ConnectionError("no broker")

    driver = types.SimpleNamespace(
        Redis=types.SimpleNamespace(from_url=lambda url, **options: Gone())
    )
    monkeypatch.setattr(socketio.async_redis_manager, "aioredis", driver)
    monkeypatch.setattr(socketio.async_redis_manager, "RedisError", ConnectionError)
    manager = socketio.AsyncRedisManager("redis://127.0.0.1:1", write_only=True, logger=STOCK_LOG)
    await manager.emit("x", {}, namespace="/")
    assert len(attempts) == 2
    assert "giving up" in caplog.text

    big = {**GOOD, "furniture": {**GOOD["furniture"], "descripcion": "x" * 9000}}
    server = start_server(event_log="sqlite:///events.db", max_file_bytes=400_000)
    statuses: list[int] = []
    async with aiohttp.ClientSession() as http, asyncio.timeout(4 * TIMEOUT):
        while 503 not in statuses:
            async with http.post(f"{server.url}/api/events", json=big) as response:
                statuses.append(response.status)
                assert response.status in (201, 503), await response.text()
    assert len(await read_history(server.url)) == len(statuses) - 1
    async with plain(server.url) as producer:
        await producer.send(big)
        assert (await producer.receive())["code"] == "log_unavailable"
    for transport in ("websocket", "polling"):
        async with raw_socketio(server.url, transport, {"rooms": []}) as client:
            answer = await client.call("furniture_created", json.dumps(big))
            assert answer["error"]["code"] == "log_unavailable"


@BOTH_TRANSPORTS
@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999"])
async def test_numbers_that_are_not_json_get_the_error_invalid_json(
    server: Server, transport: str, number: str
) -> None:
    """The stock server would deliver them."""
    async with raw_socketio(server.url, transport) as client:
        answer = await client.call("furniture_created", f'{{"price":{number}}}')
        assert answer["error"]["code"] == "invalid_json"


async def test_bad_requests_and_packets_leave_the_log_readable(start_server: Start) -> None:
    """The log has no traceback for a bad request, and no line that a client has written."""
    server = start_server(log_level="debug")
    async with aiohttp.ClientSession() as http:
        for path in (
            "/socket.io/?EIO=4&transport=polling&sid=a%0Aforged",
            "/a%0Aforged",
            "/api/events/%0D%0Aforged?since=%0Aforged",
        ):
            async with http.get(f"{server.url}{path}") as response:
                assert 400 <= response.status < 500
    for transport in ("websocket", "polling"):
        async with raw_socketio(server.url, transport) as client:
            await client.call("a\nforged", '{"x":"\\nforged"}')
    for request in (
        b"NO HTTP\nforged\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n broken\x00: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        async with asyncio.timeout(TIMEOUT):
            await reader.read()
        writer.close()
    assert server.stop() == 0
    assert [line for line in server.raw if not line.startswith("{") or len(line) > 2000] == []
    assert [line for line in server.log if "exception" in line] == []
