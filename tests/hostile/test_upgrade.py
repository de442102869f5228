"""The upgrade from polling to WebSocket: it fails, stops half-way, or happens twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.hostile.clients import Client, client
from tests.hostile.stacks import WATCH_SECONDS, Stack, both, until

CONNECT_TIMEOUT = 0.2
"""Seconds that an upgrade may take on our server, in these tests."""


@asynccontextmanager
async def probing(stack: Stack, polling: Client) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket for a polling session."""
    query = {**polling.query, "transport": "websocket"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stack.endpoint, params=query, autoclose=False) as socket,
    ):
        yield socket


async def is_closed(
    socket: aiohttp.ClientWebSocketResponse, seconds: float = WATCH_SECONDS
) -> bool:
    """Return whether the server closes the WebSocket within this time."""
    try:
        message = await socket.receive(seconds)
    except TimeoutError:
        return False
    return message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_polling_continues_after_a_failed_upgrade() -> None:
    """The stock server then answers every poll with a NOOP, and delivers nothing."""

    async def observe(stack: Stack) -> bool:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling):
                pass
            await until(lambda: stack.connections == 0, "the WebSocket has been closed")
            await stack.server.emit("news")
            _, polled = await polling.poll()
            if polled == ["6"]:
                polled += [packet for _ in range(20) for packet in (await polling.poll())[1]]
            return '42["news"]' in polled

    assert await both(observe) == (False, True)


async def test_polling_continues_after_an_upgrade_that_ended_at_the_probe() -> None:
    """Both servers recover from it."""

    async def observe(stack: Stack) -> bool:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling) as socket:
                await socket.send_str("2probe")
                assert await socket.receive_str() == "3probe"
            await until(lambda: stack.connections == 0, "the WebSocket has been closed")
            await stack.server.emit("news")
            return await polling.receive("42") == '42["news"]'

    assert await both(observe) == (True, True)


async def test_an_upgrade_that_does_not_complete_is_closed() -> None:
    """The stock server waits without a bound, before and after the probe."""

    async def observe(stack: Stack, probe: bool) -> tuple[bool, bool]:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling) as socket:
                if probe:
                    await socket.send_str("2probe")
                    assert await socket.receive_str() == "3probe"
                closed = await is_closed(socket, CONNECT_TIMEOUT + WATCH_SECONDS)
                return closed, polling.sid in stack.sockets

    for probe in (False, True):
        answer = await both(observe, probe, ours_options={"connect_timeout": CONNECT_TIMEOUT})
        assert answer == ((False, True), (True, True))


async def test_only_one_of_two_upgrades_takes_effect() -> None:
    """The stock server accepts both, and sends messages to the two WebSockets in turn."""

    async def observe(stack: Stack) -> list[list[str]]:
        async with client(stack, "polling") as polling, AsyncExitStack() as exits:
            sockets = [await exits.enter_async_context(probing(stack, polling)) for _ in range(2)]
            for packet in ("2probe", "5"):
                for socket in sockets:
                    with contextlib.suppress(ConnectionError):  # ours has closed the second
                        await socket.send_str(packet)
                    await asyncio.sleep(0.05)
            for number in range(4):
                await stack.server.emit(f"{number}")
                await asyncio.sleep(0.02)  # so that each message goes to one WebSocket
            return [
                [
                    message.data
                    for message in await _received(socket)
                    if message.type is aiohttp.WSMsgType.TEXT and message.data.startswith("42")
                ]
                for socket in sockets
            ]

    on_stock, on_ours = await both(observe)
    assert on_stock == [['42["0"]', '42["2"]'], ['42["1"]', '42["3"]']]
    assert on_ours == [['42["0"]', '42["1"]', '42["2"]', '42["3"]'], []]


async def _received(socket: aiohttp.ClientWebSocketResponse) -> list[aiohttp.WSMessage]:
    messages = []
    try:
        while not messages or messages[-1].type is aiohttp.WSMsgType.TEXT:
            messages.append(await socket.receive(WATCH_SECONDS / 2))
    except TimeoutError:
        pass
    return messages


async def test_a_second_websocket_does_not_end_the_first() -> None:
    """Both servers refuse the second; the original server closes the first."""

    async def observe(stack: Stack) -> tuple[bool, str]:
        async with client(stack, "websocket") as first:
            try:
                async with probing(stack, first) as second:
                    refused = await is_closed(second)
            except aiohttp.WSServerHandshakeError:
                refused = True
            await stack.server.emit("news")
            return refused, await first.receive("42")

    assert await both(observe) == ((True, '42["news"]'), (True, '42["news"]'))
