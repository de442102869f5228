"""From polling to WebSocket: upgrades that fail, that stop half-way, that come twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.hostile.clients import Client, client
from tests.hostile.stacks import WHILE, Stack, both, until

BOUND = 0.2
"""Our bound for an upgrade, in these tests."""


@asynccontextmanager
async def probing(stack: Stack, polling: Client) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket for a polling session."""
    query = {**polling.query, "transport": "websocket"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(stack.endpoint, params=query, autoclose=False) as socket,
    ):
        yield socket


async def is_closed(socket: aiohttp.ClientWebSocketResponse, seconds: float = WHILE) -> bool:
    """Tell whether the server closes the socket."""
    try:
        message = await socket.receive(seconds)
    except TimeoutError:
        return False
    return message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_polling_goes_on_after_a_failed_upgrade() -> None:
    """Stock answers each poll with a NOOP for ever, and delivers nothing."""

    async def observe(stack: Stack) -> bool:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling):
                pass
            await until(lambda: stack.connections == 0, "the WebSocket is gone")
            await stack.server.emit("news")
            _, polled = await polling.poll()
            if polled == ["6"]:
                polled += [packet for _ in range(20) for packet in (await polling.poll())[1]]
            return '42["news"]' in polled

    assert await both(observe) == (False, True)


async def test_polling_goes_on_after_an_upgrade_that_was_probed() -> None:
    """Stock recovers from one that ends after the probe; so do we."""

    async def observe(stack: Stack) -> bool:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling) as socket:
                await socket.send_str("2probe")
                assert await socket.receive_str() == "3probe"
            await until(lambda: stack.connections == 0, "the WebSocket is gone")
            await stack.server.emit("news")
            return await polling.receive("42") == '42["news"]'

    assert await both(observe) == (True, True)


async def test_an_upgrade_has_a_time_to_complete_in() -> None:
    """Stock waits without end, for the probe and after it."""

    async def observe(stack: Stack, probe: bool) -> tuple[bool, bool]:
        async with client(stack, "polling") as polling:
            async with probing(stack, polling) as socket:
                if probe:
                    await socket.send_str("2probe")
                    assert await socket.receive_str() == "3probe"
                closed = await is_closed(socket, BOUND + WHILE)
                return closed, polling.sid in stack.sockets

    for probe in (False, True):
        answer = await both(observe, probe, ours_options={"connect_timeout": BOUND})
        assert answer == ((False, True), (True, True))


async def test_one_of_two_upgrades_takes_effect() -> None:
    """Stock lets both: the messages then alternate between the two sockets."""

    async def observe(stack: Stack) -> list[list[str]]:
        async with client(stack, "polling") as polling, AsyncExitStack() as exits:
            sockets = [await exits.enter_async_context(probing(stack, polling)) for _ in range(2)]
            for packet in ("2probe", "5"):
                for socket in sockets:
                    with contextlib.suppress(ConnectionError):  # the second one has been closed
                        await socket.send_str(packet)
                    await asyncio.sleep(0.05)
            for number in range(4):
                await stack.server.emit(f"{number}")
                await asyncio.sleep(0.02)  # for the one whose turn it is
            return [
                [
                    message.data
                    for message in await _received(socket)
                    if message.type is aiohttp.WSMsgType.TEXT and message.data.startswith("42")
                ]
                for socket in sockets
            ]

    stocks, our = await both(observe)
    assert stocks == [['42["0"]', '42["2"]'], ['42["1"]', '42["3"]']]
    assert our == [['42["0"]', '42["1"]', '42["2"]', '42["3"]'], []]


async def _received(socket: aiohttp.ClientWebSocketResponse) -> list[aiohttp.WSMessage]:
    messages = []
    try:
        while not messages or messages[-1].type is aiohttp.WSMsgType.TEXT:
            messages.append(await socket.receive(WHILE / 2))
    except TimeoutError:
        pass
    return messages


async def test_a_second_websocket_does_not_end_the_first() -> None:
    """Neither stock nor ours lets it; it is the original server that does."""

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
