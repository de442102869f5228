"""Connecting: what comes before the answer, what is refused, what is never finished."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.hostile.clients import BOTH_TRANSPORTS, Client, client
from tests.hostile.stacks import TIMEOUT, Stack, both, until


async def answers(polling: Client, number: int) -> list[str | bytes]:
    """Return the next packets."""
    async with asyncio.timeout(TIMEOUT):
        return [await polling.next() for _ in range(number)]


@BOTH_TRANSPORTS
async def test_who_is_not_accepted_hears_nothing(transport: str) -> None:
    """Stock sends broadcasts to a client whose connect handler is at work, and will refuse it."""

    async def observe(stack: Stack) -> list[str]:
        decided, asked = asyncio.Event(), asyncio.Event()

        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool:
            asked.set()
            await decided.wait()
            return False

        stack.server.on("connect", connect)
        async with client(stack, transport, join=False) as stranger:
            connecting = asyncio.ensure_future(stranger.send("40"))
            await asked.wait()
            await stack.server.emit("secret")
            decided.set()
            await connecting
            first = await stranger.receive("42", "44")
            return [first[:2], *([] if first[:2] == "44" else [(await stranger.receive("4"))[:2]])]

    assert await both(observe) == (["42", "44"], ["44"])


@BOTH_TRANSPORTS
async def test_connect_is_answered_before_all_else(transport: str) -> None:
    """Stock sends what is emitted meanwhile before the answer that makes it meaningful."""

    async def observe(stack: Stack) -> list[str | bytes]:
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            await stack.server.emit("hello", to=sid)
            await stack.server.emit("everybody")

        stack.server.on("connect", connect)
        async with client(stack, transport, join=False) as joining:
            await joining.send("40")
            return [packet[:6] for packet in await answers(joining, 3)]

    assert await both(observe) == (
        ['42["he', '42["ev', '40{"si'],
        ['40{"si', '42["he', '42["ev'],
    )


@BOTH_TRANSPORTS
async def test_an_unknown_namespace_is_refused_in_the_protocol_s_form(transport: str) -> None:
    """Stock answers a string where clients look for an object with a message."""

    async def observe(stack: Stack) -> Any:
        async with client(stack, transport, join=False) as lost:
            await lost.send("40/nowhere,")
            return json.loads((await lost.receive("44/nowhere,")).partition(",")[2])

    assert await both(observe) == ("Unable to connect", {"message": "Invalid namespace"})


@BOTH_TRANSPORTS
async def test_a_session_that_joins_nothing_is_closed(transport: str) -> None:
    """Stock keeps it for as long as it answers pings."""

    async def observe(stack: Stack) -> int:
        async with client(stack, transport, join=False) as idle:
            for pings in range(6):
                try:
                    async with asyncio.timeout(TIMEOUT):
                        assert await idle.next() == "2"
                    await idle.send("3")
                except Exception:
                    assert stack.sockets == {}
                    return pings
            assert idle.sid in stack.sockets
            return 6

    stocks, our = await both(
        observe, ping_interval=0.1, ping_timeout=TIMEOUT, ours_options={"connect_timeout": 0.25}
    )
    assert stocks == 6
    assert our < 4


@BOTH_TRANSPORTS
async def test_a_connect_handler_that_fails_runs_once(transport: str) -> None:
    """Stock takes a TypeError raised in it for a wrong number of arguments, and calls again."""

    async def observe(stack: Stack) -> int:
        calls = []

        async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
            calls.append(sid)
            raise TypeError("of its own")

        stack.server.on("connect", connect)
        async with client(stack, transport, join=False) as joining:
            await joining.send("40")
            await until(lambda: calls)
            await asyncio.sleep(0.05)
            return len(calls)

    assert await both(observe) == (2, 1)


@BOTH_TRANSPORTS
async def test_a_disconnect_handler_that_fails_runs_once(transport: str) -> None:
    """Stock does the same with it."""

    async def observe(stack: Stack) -> int:
        calls = []

        async def disconnect(sid: str, reason: Any = None) -> None:
            calls.append(sid)
            raise TypeError("of its own")

        stack.server.on("disconnect", disconnect)
        async with client(stack, transport) as leaving:
            await leaving.send("41")
            await until(lambda: calls)
            await asyncio.sleep(0.05)
            return len(calls)

    assert await both(observe) == (2, 1)


@BOTH_TRANSPORTS
async def test_the_client_s_address_is_its_own(transport: str) -> None:
    """Stock says 127.0.0.1 of everybody."""

    async def observe(stack: Stack) -> tuple[str, bool]:
        environs: list[dict[str, Any]] = []
        stack.server.on("connect", lambda sid, environ, auth: environs.append(environ))
        async with client(stack, transport, address="127.0.0.2"):
            (environ,) = environs
            return environ["REMOTE_ADDR"], environ["REMOTE_PORT"] != "0"

    assert await both(observe) == (("127.0.0.1", False), ("127.0.0.2", True))


@BOTH_TRANSPORTS
@pytest.mark.parametrize(("seconds", "stocks"), [(0.3, 0), (1.7, 1000), (25, 25_000)])
async def test_the_ping_interval_is_told_exactly(
    transport: str, seconds: float, stocks: int
) -> None:
    """Stock tells whole seconds: 0 for 0.3."""

    async def observe(stack: Stack) -> int:
        async with aiohttp.ClientSession() as http:
            opening = Client(http, stack.url)
            interval: int = (await opening.open(transport))["pingInterval"]
            await opening.close()
            return interval

    assert await both(observe, ping_interval=seconds) == (stocks, round(seconds * 1000))
