"""The behaviour of the original broker of 100 lines, driven by wscat on port 8765."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from furniture_events import AnswerTimeout, Producer

from tests.conftest import load_vectors
from tests.support.raw import Plain, plain
from tests.support.server import TIMEOUT, Server
from tests.support.wscat import wscat

EVENTS = [vector["publish"] for vector in load_vectors("events.json")[:3]]
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_all_wscat_clients_get_the_messages_of_one(server: Server) -> None:
    """Three messages are pasted into one wscat, and every connected client gets each of them."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(wscat("-c", server.ws_url)) for _ in range(3)]
        for event in EVENTS:
            sessions[0].type(json.dumps(event))
            for session in sessions:
                seen = await session.receive()
                assert seen["type"] == event["type"]
                assert seen["furniture"] == event["furniture"]
                assert TIMESTAMP.fullmatch(seen["timestamp"])
        sessions[1].type('{"type": "ping"}')
        pong = await sessions[1].receive()
        assert pong == {"type": "pong", "timestamp": pong["timestamp"]}
        assert TIMESTAMP.fullmatch(pong["timestamp"])


async def test_it_listens_on_every_address_on_port_8765(tmp_path: Path) -> None:
    """Those are the defaults of host and port."""
    if _in_use(8765):
        pytest.fail("port 8765 is in use: stop the program that listens there")
    server = Server(tmp_path, host="0.0.0.0", port=8765)
    try:
        line = server.wait_for_log("listening")
        assert (line["addresses"], line["port"]) == ("0.0.0.0", 8765)
        async with plain("ws://127.0.0.2:8765") as client:
            await client.send({"type": "ping"})
            assert (await client.receive())["type"] == "pong"
    finally:
        assert server.stop() == 0


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_clients_are_registered_and_removed(start_server: Callable[..., Server]) -> None:
    """The log counts each client from its connection to its end."""
    server = start_server()
    async with plain(server.ws_url):
        async with plain(server.ws_url):
            await asyncio.to_thread(server.wait_for_log, "connected", clients=2)
        await asyncio.to_thread(server.wait_for_log, "disconnected", clients=1)
    await asyncio.to_thread(server.wait_for_log, "disconnected", clients=0)


async def keep_alive_until(client: Plain, condition: Callable[[], bool]) -> None:
    """Read until the condition is true. Reading also answers the server's pings."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await client.send({"type": "ping"})
            await client.receive_type("pong")


def open_dead_connection(server: Server) -> socket.socket:
    """Open a WebSocket that never answers pings."""
    dead = socket.create_connection(("127.0.0.1", server.port))
    dead.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    return dead


async def test_a_dead_connection_is_cleaned_up(start_server: Callable[..., Server]) -> None:
    """A client that does not answer pings is removed, although its connection is open."""
    server = start_server(ping_interval=0.2, ping_timeout=0.2)
    with open_dead_connection(server):
        async with plain(server.ws_url) as alive:
            await keep_alive_until(
                alive,
                lambda: any(line["message"] == "dead_connection_removed" for line in server.log),
            )
            removed = server.wait_for_log("dead_connection_removed")
            assert (removed["reason"], removed["clients"]) == ("ping timeout", 1)
            await alive.send(EVENTS[0])
            assert (await alive.receive())["type"] == "furniture_created"


def test_each_client_has_its_own_timeout() -> None:
    """A client's timeout does not depend on the timeout of an earlier client."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for seconds in (0.05, 0.2):
            with Producer(url, timeout=seconds, attempts=1) as producer:
                with pytest.raises(AnswerTimeout):
                    producer.publish(EVENTS[0])


async def test_the_console_log_marks_the_five_kinds_of_line(
    start_server: Callable[..., Server],
) -> None:
    """The marks are for connected, disconnected, received, delivered and dead connections."""
    server = start_server(ping_interval=0.2, ping_timeout=0.2, log_format="console")
    with open_dead_connection(server):
        async with plain(server.ws_url) as client:
            await client.send(EVENTS[0])
            await client.receive()
            await keep_alive_until(client, lambda: any("🧹" in line for line in server.raw))
    server.stop()
    written = "".join(server.raw)
    for mark in "✅❌📥📨🧹":
        assert mark in written
