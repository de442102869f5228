"""A server whose Valkey fails over: the sentinels name another primary."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from furniture_events import AsyncProducer

from tests.conftest import load_vectors
from tests.support.node import node_client
from tests.support.sentinels import Watched
from tests.support.server import Server, wait_until

GOOD: dict[str, Any] = load_vectors("events.json")[0]["publish"]
FURNITURE = GOOD["furniture"]

Start = Callable[..., Server]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Start a primary, a replica and their sentinels."""
    running = Watched(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def silent() -> Iterator[str]:
    """Return a place that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_a_failover_loses_no_event(
    watched: Watched, start_server: Start, silent: str
) -> None:
    """The producer's retries reach the new primary; consumers of two nodes are told no gap.

    One of the sentinels is silent. The server's user has only the documented rights.
    """
    first = start_server(event_log=watched.url(silent))
    second = start_server(event_log=watched.url())
    async with (
        AsyncProducer(first.url, deadline=60) as producer,
        node_client(first.url, transports=["websocket"]) as one,
        node_client(second.url, transports=["polling"]) as other,
    ):
        for client in (one, other):
            await client.wait_for("ready")
        published = [(await producer.furniture_created(FURNITURE)).offset for _ in range(5)]
        await asyncio.to_thread(watched.fail_over)
        published += [(await producer.furniture_updated(FURNITURE)).offset for _ in range(5)]
        for client in (one, other):
            await client.wait_until(lambda it=client: len(it.events) >= len(published))
            assert client.events == published
            assert not client.all("ready", gap=True)
    assert first.wait_for_log("event_log_reached")


async def test_without_sentinels_the_server_starts_and_waits(
    tmp_path: Path, start_server: Start
) -> None:
    """The log line has the reason of each sentinel, and no password."""
    places = "127.0.0.1:1,127.0.0.1:2"
    url = f"redis+sentinel://ana:hunter22@{places}/furniture/0?sentinel_password=hunter23"
    server = start_server(event_log=url)
    server.wait_until_ready(503)
    wait_until(lambda: "no sentinel answers (127.0.0.1:1: " in "".join(server.raw), "the reason")
    assert "; 127.0.0.1:2: " in "".join(server.raw)
    assert "hunter" not in "".join(server.raw)
