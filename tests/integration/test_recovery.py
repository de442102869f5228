"""Connection state recovery of an unmodified socket.io-client, after any end of its connection."""

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
    """Return a function that publishes events over HTTP."""
    async with aiohttp.ClientSession() as http:

        async def publish(count: int = 1, **fields: object) -> list[str]:
            event = {"type": "furniture_updated", "furniture": FURNITURE | fields}
            async with http.post(
                f"{url}/api/events/batch", json={"events": [event] * count}
            ) as answer:
                return [result["offset"] for result in (await answer.json())["results"]]

        yield publish


async def all_of(client: NodeClient, offsets: list[str]) -> None:
    """Wait until a client has got exactly these events, in order, once."""
    await client.wait_until(lambda: len(client.events) >= len(offsets))
    assert client.events == offsets


@TRANSPORTS
async def test_a_session_is_recovered_after_a_cut(
    start_server: Start, transports: list[str]
) -> None:
    """The sid is the same. Missed events come first, then ``ready``, then live events."""
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
async def test_a_session_without_events_is_recovered_from_its_start(
    start_server: Start, transports: list[str]
) -> None:
    """Events from before the session's first connection are not delivered."""
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
async def test_a_new_connection_supersedes_a_silent_one(
    start_server: Start, transports: list[str]
) -> None:
    """At the reconnect, the server still writes to the old connection. No event is lost."""
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
async def test_a_session_is_recovered_after_a_kill_or_a_stop_of_the_server(
    start_server: Start, transports: list[str], end: str
) -> None:
    """With a durable log, its sid, its last acknowledged rooms and its missed events are back."""
    settings: dict[str, Any] = {"event_log": "sqlite:///events.db"}
    server = start_server(**settings)
    options: dict[str, Any] = {"transports": transports, "auth": {"rooms": ["material:haya"]}}
    async with node_client(server.url, **options) as client:
        first = await client.wait_for("connect")
        await client.wait_for("ready")
        async with publisher(server.url) as publish:
            await publish(1, material="pino")  # before the room is added
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
async def test_a_client_that_disconnects_gets_a_new_session(
    start_server: Start, transports: list[str]
) -> None:
    """Its old session has ended. ``gap`` says whether it may have missed events."""
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
async def test_repeated_cuts_under_load_lose_and_repeat_no_event(
    start_server: Start, transports: list[str]
) -> None:
    """The connection is cut six times while 500 events a second are published."""
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
            proxy.open = False  # a client between two polls notices the cut at its next poll
            proxy.cut()
            for _ in range(5):
                offsets += await publish(20)
                await asyncio.sleep(0.04)
            await client.wait_for("disconnect", number - 1)
            proxy.open = True
            assert (await client.wait_for("connect", number))["recovered"]
        await all_of(client, offsets)
        assert len(client.all("ready", gap=True)) == 0
