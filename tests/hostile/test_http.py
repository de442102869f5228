"""Bad HTTP requests: their responses and their log lines."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.hostile.clients import (
    BOTH_TRANSPORTS,
    assert_closed_with_one_log_line,
    client,
    is_bounded,
    logged_problems,
)
from tests.hostile.stacks import TIMEOUT, Stack, both


async def ask(stack: Stack, method: str, query: str) -> tuple[int, Any]:
    """Send a request; return the status, and the code of the error body if it has one."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{stack.endpoint}?{query}") as response,
    ):
        try:
            answer = json.loads(await response.text())
        except ValueError:
            return response.status, None
        return response.status, answer.get("code") if isinstance(answer, dict) else None


@pytest.mark.parametrize(
    ("method", "query", "on_stock", "on_ours"),
    [
        pytest.param("GET", "EIO=4", (200, None), (400, 0), id="no transport"),
        pytest.param("GET", "EIO=4&transport=x", (400, None), (400, 0), id="unknown transport"),
        pytest.param(
            "GET", "EIO=4&transport=polling&sid=x", (400, None), (400, 1), id="unknown sid"
        ),
        pytest.param("PUT", "EIO=4&transport=polling", (405, None), (400, 2), id="method"),
        pytest.param("POST", "EIO=4&transport=polling", (400, None), (400, 2), id="handshake"),
        pytest.param("GET", "EIO=3&transport=polling", (400, None), (400, 5), id="version"),
    ],
)
async def test_a_refused_request_gets_engine_ios_error_body(
    method: str, query: str, on_stock: tuple[int, Any], on_ours: tuple[int, Any]
) -> None:
    """The stock server sends a bare string, another status, or a handshake."""
    assert await both(ask, method, query) == (on_stock, on_ours)


async def test_jsonp_is_refused() -> None:
    """The stock server escapes only quotes, so a quote after a backslash ends the string."""

    async def observe(stack: Stack) -> str:
        async with client(stack, "polling") as polling, aiohttp.ClientSession() as http:
            await stack.server.emit("x", '");alert(1);("')
            query = {**polling.query, "j": "0"}
            async with http.get(stack.endpoint, params=query) as response:
                answer = await response.text()
        if response.status == 400:
            return "refused"
        literal = answer.removeprefix("___eio[0](").removesuffix(");")
        try:
            json.loads(literal)
        except ValueError:
            return "broken out"
        return "quoted"

    assert await both(observe) == ("broken out", "refused")


async def test_websockets_are_not_compressed() -> None:
    """The stock server accepts permessage-deflate, which costs memory for every browser."""

    async def observe(stack: Stack) -> bool:
        query = "EIO=4&transport=websocket"
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{stack.endpoint}?{query}", compress=15) as socket,
        ):
            return bool(socket.compress)

    assert await both(observe) == (True, False)


async def test_a_newline_in_a_sid_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """The stock server logs the sid as it came."""

    async def observe(stack: Stack) -> list[bool]:
        caplog.clear()
        await ask(stack, "GET", "EIO=4&transport=polling&sid=a%0AERROR%20forged")
        return ["\nERROR forged" in record.getMessage() for record in logged_problems(caplog)]

    assert await both(observe) == ([True], [])


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    "packet",
    [
        "x\nforged",
        "x\x1b[31mred",
        "4\u2028",
        '42["' + "x" * 9000,
        "x" * 9000,
        "42\u202e[",
        "45\n-[]",
    ],
)
async def test_the_log_quotes_packets_escaped_and_bounded(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """It has no line break and no terminal command of a client."""
    await assert_closed_with_one_log_line(caplog, transport, packet)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n broken\x00: y\r\n\r\n",
        b"GET /socket.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /socket.io/ HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_a_bad_request_logs_no_traceback(
    caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    """With the stock server, aiohttp logs a traceback for each."""

    async def observe(stack: Stack) -> tuple[bytes, int]:
        caplog.clear()
        reader, writer = await asyncio.open_connection(*stack.runner.addresses[0])
        writer.write(request_)
        async with asyncio.timeout(TIMEOUT):
            status = await reader.readline()
        writer.close()
        return status.split()[1], sum(not is_bounded(record) for record in logged_problems(caplog))

    assert await both(observe) == ((b"400", 1), (b"400", 0))
