"""Connecting: events before the response, refusals, and sessions that never connect."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.hostile.clients import BOTH_TRANSPORTS, Client, client
from tests.hostile.stacks import TIMEOUT, Stack, both, until


async def next_packets(polling: Client, number: int) -> list[str | bytes]:
    """Return the next packets."""
    async with asyncio.timeout(TIMEOUT):
        return [await polling.next() for _ in range(number)]


@BOTH_TRANSPORTS
async def test_a_client_gets_no_events_before_it_is_accepted(transport: str) -> None:
    """The stock server sends broadcasts to a client that its connect handler later refuses."""

    async def observe(stack: Stack) -> list[str]:
        decided, asked = asyncio.Event(), asyncio.Event()

        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool:
            asked.set()
            await decided.wait()
            return False

        stack.server.on("connect", connect)
        async with client(stack, transport, join=False) as unconnected:
            connecting = asyncio.ensure_future(unconnected.send("40"))
            await asked.wait()
            await stack.server.emit("secret")
            decided.set()
            await connecting
            first = await unconnected.receive("42", "44")
            return [
                first[:2],
                *([] if first[:2] == "44" else [(await unconnected.receive("4"))[:2]]),
            ]

    assert await both(observe) == (["42", "44"], ["44"])


@BOTH_TRANSPORTS
async def test_the_connect_response_is_the_first_packet(transport: str) -> None:
    """The stock server sends events of the connect handler before it."""

    async def observe(stack: Stack) -> list[str | bytes]:
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            await stack.server.emit("hello", to=sid)
            await stack.server.emit("everybody")

        stack.server.on("connect", connect)
        async with client(stack, transport, join=False) as joining:
            await joining.send("40")
            return [packet[:6] for packet in await next_packets(joining, 3)]

    assert await both(observe) == (
        ['42["he', '42["ev', '40{"si'],
        ['40{"si', '42["he', '42["ev'],
    )


@BOTH_TRANSPORTS
async def test_an_unknown_namespace_is_refused_in_the_protocol_s_form(transport: str) -> None:
    """The stock server sends a string, but clients expect an object with a message."""

    async def observe(stack: Stack) -> Any:
        async with client(stack, transport, join=False) as lost:
            await lost.send("40/nowhere,")
            return json.loads((await lost.receive("44/nowhere,")).partition(",")[2])

    assert await both(observe) == ("Unable to connect", {"message": "Invalid namespace"})


@BOTH_TRANSPORTS
async def test_a_session_without_a_namespace_is_closed(transport: str) -> None:
    """The stock server keeps it as long as it answers pings."""

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

    on_stock, on_ours = await both(
        observe, ping_interval=0.1, ping_timeout=TIMEOUT, ours_options={"connect_timeout": 0.25}
    )
    assert on_stock == 6
    assert on_ours < 4


@BOTH_TRANSPORTS
async def test_a_connect_handler_that_fails_runs_once(transport: str) -> None:
    """The stock server takes its ``TypeError`` for a wrong signature, and calls it again."""

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
    """The stock server calls it again, as it does a connect handler."""

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
async def test_the_environment_has_the_clients_address(transport: str) -> None:
    """The stock server gives every client the address 127.0.0.1."""

    async def observe(stack: Stack) -> tuple[str, bool]:
        environs: list[dict[str, Any]] = []
        stack.server.on("connect", lambda sid, environ, auth: environs.append(environ))
        async with client(stack, transport, address="127.0.0.2"):
            (environ,) = environs
            return environ["REMOTE_ADDR"], environ["REMOTE_PORT"] != "0"

    assert await both(observe) == (("127.0.0.1", False), ("127.0.0.2", True))


@BOTH_TRANSPORTS
@pytest.mark.parametrize(("seconds", "on_stock"), [(0.3, 0), (1.7, 1000), (25, 25_000)])
async def test_the_handshake_has_the_exact_ping_interval(
    transport: str, seconds: float, on_stock: int
) -> None:
    """The stock server sends whole seconds: 0 for 0.3."""

    async def observe(stack: Stack) -> int:
        async with aiohttp.ClientSession() as http:
            opening = Client(http, stack.url)
            interval: int = (await opening.open(transport))["pingInterval"]
            await opening.close()
            return interval

    assert await both(observe, ping_interval=seconds) == (on_stock, round(seconds * 1000))
