"""Connection state recovery with an unmodified socket.io-client: whatever ends the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.node import NodeClient, node_client
from tests.support.proxy import proxied
from tests.support.server import Server

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]
TRANSPORTS = pytest.mark.parametrize(
    "transports",
    [["websocket"], ["polling"], ["polling", "websocket"]],
    ids=["websocket", "polling", "upgraded"],
)
Start = Callable[..., Server]


@asynccontextmanager
async def publisher(url: str) -> AsyncIterator[Callable[..., Any]]:
    """Publish events by HTTP."""
    async with aiohttp.ClientSession() as http:

        async def publish(count: int = 1, **fields: object) -> list[str]:
            event = {"type": "furniture_updated", "furniture": FURNITURE | fields}
            async with http.post(
                f"{url}/api/events/batch", json={"events": [event] * count}
            ) as answer:
                return [result["offset"] for result in (await answer.json())["results"]]

        yield publish


async def all_of(client: NodeClient, offsets: list[str]) -> None:
    """Wait until a client has got as many events; they are these, in order, once."""
    await client.wait_until(lambda: len(client.events) >= len(offsets))
    assert client.events == offsets


@TRANSPORTS
async def test_after_a_cut(start_server: Start, transports: list[str]) -> None:
    """The sid is the same; what was missed comes first, then ``ready``, then what is live."""
    server = start_server()
    async with (
        proxied(server.port) as proxy,
        publisher(server.url) as publish,
        node_client(proxy.url, transports=transports) as client,
    ):
        first = await client.wait_for("connect")
        await client.wait_for("ready")
        offsets = await publish(3)
        await all_of(client, offsets)
        proxy.open = False
        proxy.cut()
        await client.wait_for("disconnect")
        offsets += await publish(5)
        proxy.open = True
        second = await client.wait_for("connect", 2)
        assert (first["recovered"], second["recovered"]) == (False, True)
        assert first["sid"] == second["sid"]
        ready = await client.wait_for("ready", 2)
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (True, False, 5)
        assert [line["on"] for line in client.lines[-6:]] == ["event"] * 5 + ["ready"]
        offsets += await publish(2)
        await all_of(client, offsets)


@TRANSPORTS
async def test_without_an_event_it_goes_on_from_connect(
    start_server: Start, transports: list[str]
) -> None:
    """What was before is not its own."""
    server = start_server()
    async with proxied(server.port) as proxy, publisher(server.url) as publish:
        await publish(2)
        async with node_client(proxy.url, transports=transports) as client:
            await client.wait_for("ready")
            proxy.open = False
            proxy.cut()
            await client.wait_for("disconnect")
            offsets = await publish(3)
            proxy.open = True
            assert (await client.wait_for("connect", 2))["recovered"]
            await all_of(client, offsets)


@TRANSPORTS
async def test_a_link_that_has_gone_silent_loses_to_the_new_one(
    start_server: Start, transports: list[str]
) -> None:
    """The server still thinks that it is alive, and writes to it, when its client comes back."""
    server = start_server(ping_interval=1, ping_timeout=60)
    async with (
        proxied(server.port) as proxy,
        publisher(server.url) as publish,
        node_client(proxy.url, transports=transports) as client,
    ):
        await client.wait_for("ready")
        offsets = await publish(1)
        await all_of(client, offsets)
        proxy.silence()
        offsets += await publish(4)
        await client.do("drop")
        assert (await client.wait_for("connect", 2))["recovered"]
        await all_of(client, offsets)
        assert server.wait_for_log("disconnected", transport="socketio")
        offsets += await publish(1)
        await all_of(client, offsets)


@TRANSPORTS
@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_after_the_server_was_killed_or_drained(
    start_server: Start, transports: list[str], end: str
) -> None:
    """With the durable log it all comes back: sid, rooms as last acknowledged, missed events."""
    settings: dict[str, Any] = {"event_log": "sqlite:///events.db"}
    server = start_server(**settings)
    options: dict[str, Any] = {"transports": transports, "auth": {"rooms": ["material:haya"]}}
    async with node_client(server.url, **options) as client:
        first = await client.wait_for("connect")
        await client.wait_for("ready")
        async with publisher(server.url) as publish:
            await publish(1, material="pino")  # before the room is there
            answer = await client.call("subscribe", "material:pino")
            assert answer["ok"]
            offsets = await publish(1, material="haya")
            await all_of(client, offsets)
            offsets += await publish(1, material="pino")
        await asyncio.to_thread(server.kill if end == "kill" else server.stop)
        await client.wait_for("disconnect")
        server = start_server(**settings, port=server.port)
        async with publisher(server.url) as publish:
            second = await client.wait_for("connect", 2)
            assert second == {"on": "connect", "sid": first["sid"], "recovered": True}
            ready = await client.wait_for("ready", 2)
            assert ready["rooms"] == ["material:haya", "material:pino"]
            await publish(1, furniture_id="another", material="oak")
            offsets += await publish(1, furniture_id="another", material="pino")
            await all_of(client, offsets)


@TRANSPORTS
async def test_who_disconnects_comes_back_as_another(
    start_server: Start, transports: list[str]
) -> None:
    """Its session has ended; it is told whether it may have missed something."""
    server = start_server()
    async with (
        publisher(server.url) as publish,
        node_client(server.url, transports=transports) as client,
    ):
        first = await client.wait_for("connect")
        (offset,) = await publish(1)
        await all_of(client, [offset])
        for number, gap in ((2, False), (3, True)):
            await client.do("disconnect")
            await client.wait_for("disconnect", number - 1)
            if gap:
                await publish(1)
            await client.do("connect")
            again = await client.wait_for("connect", number)
            assert not again["recovered"]
            assert again["sid"] != first["sid"]
            ready = await client.wait_for("ready", number)
            assert (ready["recovered"], ready["gap"], ready["replayed"]) == (False, gap, 0)


@TRANSPORTS
async def test_under_a_stream_of_events(start_server: Start, transports: list[str]) -> None:
    """Cut again and again while 500 events a second come in: no hole, none twice."""
    server = start_server(event_log="sqlite:///events.db")
    async with (
        proxied(server.port) as proxy,
        publisher(server.url) as publish,
        node_client(proxy.url, transports=transports) as client,
    ):
        await client.wait_for("ready")
        offsets: list[str] = []
        for number in range(2, 8):
            for _ in range(5):
                offsets += await publish(20)
                await asyncio.sleep(0.04)
            proxy.cut()
            for _ in range(5):
                offsets += await publish(20)
                await asyncio.sleep(0.04)
            assert (await client.wait_for("connect", number))["recovered"]
        await all_of(client, offsets)
        assert len(client.all("ready", gap=True)) == 0
