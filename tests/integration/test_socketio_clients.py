"""Real, unmodified clients: socket.io-client in Node.js, and both clients of python-socketio."""

from __future__ import annotations

import asyncio
import json
import queue
import re
from typing import Any

import pytest
import socketio

from benchmarks.load import Client as LoadClient
from benchmarks.load import masked
from tests.conftest import load_vectors
from tests.support.raw import plain
from tests.support.server import ROOT, TIMEOUT, Server

GOOD = load_vectors("events.json")[0]["publish"]
FURNITURE = GOOD["furniture"]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
async def test_socketio_client_in_node_works_on_each_transport(
    server: Server, transports: list[str] | None
) -> None:
    """The official client connects, publishes, subscribes, pings and gets errors."""
    arguments = {
        "url": server.url,
        "options": {"transports": transports} if transports else {},
        "upgrades": transports is None,
        "id": f"node {transports}",
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(ROOT / "tests/node/session.mjs"),
        json.dumps(arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
async def test_python_async_client_works_on_each_transport(
    server: Server, transports: list[str] | None
) -> None:
    """``socketio.AsyncClient`` connects, publishes, subscribes, pings and gets errors."""
    received: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    client = socketio.AsyncClient(reconnection=False)
    for name in ("ready", "pong", "error", "furniture_created", "furniture_updated"):
        client.on(name, lambda *arguments, name=name: received.put_nowait((name, *arguments)))

    async def get(name: str) -> Any:
        async with asyncio.timeout(TIMEOUT):
            while (found := await received.get())[0] != name:
                pass
        return found[1:]

    await client.connect(
        server.url, transports=transports, auth={"rooms": ["type:furniture_updated"]}
    )
    (ready,) = await get("ready")
    assert ready["rooms"] == ["type:furniture_updated"]
    await client.call("furniture_created", {"furniture": FURNITURE}, timeout=TIMEOUT)
    ack = await client.call("furniture_updated", GOOD | {"type": "furniture_updated"})
    event, offset = await get("furniture_updated")
    assert (ack["ok"], event["id"], offset) == (True, ack["id"], ack["offset"])
    assert (await client.call("ping"))["type"] == "pong"
    assert re.fullmatch(r"[\d-]+T[\d:]+\.\d{3}Z", (await get("pong"))[0]["timestamp"])
    answer = await client.call("subscribe", ["catalog"])
    assert answer == {"ok": True, "rooms": ["catalog", "type:furniture_updated"]}
    await client.emit("unsubscribe", "nowhere")
    assert (await get("error"))[0]["code"] == "unknown_room"
    await client.emit("furniture_created", {"furniture": FURNITURE | {"altura": float("nan")}})
    assert (await get("error"))[0]["code"] == "invalid_json"
    await client.disconnect()


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_python_synchronous_client_works_on_each_transport(
    server: Server, transports: list[str]
) -> None:
    """``socketio.Client`` connects, publishes, pings and subscribes."""
    received: queue.Queue[tuple[Any, ...]] = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("furniture_created", lambda *arguments: received.put(arguments))
    client.connect(server.url, transports=transports, auth={"recovery": False})
    ack = client.call("furniture_created", {"furniture": FURNITURE}, timeout=TIMEOUT)
    (event,) = received.get(timeout=TIMEOUT)
    assert event["id"] == ack["id"]
    assert client.call("ping", timeout=TIMEOUT)["type"] == "pong"
    assert client.call("subscribe", "author:Ana")["rooms"] == ["author:Ana", "catalog"]
    client.disconnect()


async def test_an_unknown_namespace_is_refused(server: Server) -> None:
    """The answer is CONNECT_ERROR, with the message of the Node.js server."""
    client = socketio.AsyncClient(reconnection=False)
    with pytest.raises(socketio.exceptions.ConnectionError, match="/other"):
        await client.connect(server.url, namespaces=["/other"], wait_timeout=TIMEOUT)
    await client.disconnect()


MASKED_CLOSE = b"\x88\x80\x00\x00\x00\x00"


@pytest.mark.parametrize("goodbye", [masked("41"), MASKED_CLOSE, masked("1")])
async def test_an_event_emitted_right_before_a_disconnect_is_published(
    server: Server, goodbye: bytes
) -> None:
    """The event arrives in one TCP segment with the end of the session or the connection."""
    async with plain(f"{server.url}/ws") as consumer:
        await consumer.send({"type": "ping"})
        await consumer.receive_type("pong")
        event = masked(f'42["furniture_created",{json.dumps({"furniture": FURNITURE})}]')
        with await asyncio.to_thread(LoadClient, server.port) as client:
            await asyncio.to_thread(client.wait_for, b'42["ready"')
            client.socket.sendall(event + goodbye)
            assert (await consumer.receive())["furniture"] == FURNITURE


async def test_the_connect_answer_and_ready_are_one_segment(server: Server) -> None:
    """After two segments, the client's kernel would acknowledge each later event separately."""
    with await asyncio.to_thread(LoadClient, server.port) as client:
        # The client sends CONNECT after it has read the handshake's answer with OPEN.
        client.receive(await asyncio.to_thread(client.socket.recv, 65_536))
        segment = await asyncio.to_thread(client.socket.recv, 65_536)
        client.receive(segment, keep=True)
    assert [message[:10] for message in client.messages] == [b'40{"sid":"', b'42["ready"']
