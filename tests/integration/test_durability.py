"""Acknowledged events are in the log, even after a full disk or a kill of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import pytest
from furniture_events import LogUnavailable, Producer, Published, TransportError

from tests.conftest import load_vectors
from tests.support.history import read_history
from tests.support.raw import plain, raw_socketio
from tests.support.server import Server, readiness

EVENT = load_vectors("events.json")[0]["publish"]
BIG = {**EVENT, "furniture": {**EVENT["furniture"], "descripcion": "x" * 9000}}
LOG = "sqlite:///events.db"


async def logged_ids(url: str) -> list[str]:
    """Return the ids of all events in the log, in order."""
    return [event["id"] for event in await read_history(url)]


async def test_a_full_disk_refuses_events_and_loses_no_acknowledged_one(tmp_path: Path) -> None:
    """Each transport answers ``log_unavailable``, and the server is not ready.

    Acknowledged events are there after a restart.
    """
    server = Server(tmp_path, event_log=LOG, max_file_bytes=400_000)
    acknowledged = []
    with Producer(server.url, attempts=1) as producer, pytest.raises(LogUnavailable):
        while True:
            acknowledged.append(producer.publish(BIG).id)
    assert acknowledged
    async with plain(server.url) as client:
        await client.send(BIG)
        assert (await client.receive())["code"] == "log_unavailable"
    async with raw_socketio(server.url, "websocket", {"rooms": []}) as socketio:
        answer = await socketio.call("furniture_created", json.dumps(BIG))
        assert answer["error"]["code"] == "log_unavailable"
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.url}/api/events", json=BIG) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
    assert readiness(server.url) == 503
    assert await logged_ids(server.url) == acknowledged
    server.stop()
    again = Server(tmp_path, event_log=LOG)
    assert readiness(again.url) == 200
    assert await logged_ids(again.url) == acknowledged
    with Producer(again.url) as producer:
        acknowledged.append(producer.publish(BIG).id)
    assert await logged_ids(again.url) == acknowledged
    assert again.stop() == 0


async def test_killed_servers_lose_no_acknowledged_event(tmp_path: Path) -> None:
    """The server is killed during publishes, three times. The log has all acknowledged events."""
    acknowledged: list[str] = []
    for _ in range(3):
        server = Server(tmp_path, event_log=LOG)
        before = len(acknowledged)

        def publish(url: str = server.url) -> None:
            with Producer(url, attempts=1) as producer, contextlib.suppress(TransportError):
                while True:
                    for outcome in producer.publish_many([EVENT] * 7):
                        if not isinstance(outcome, Published):
                            return
                        acknowledged.append(outcome.id)

        publishing = asyncio.create_task(asyncio.to_thread(publish))
        while len(acknowledged) < before + 100:
            await asyncio.sleep(0)
        server.kill()
        await publishing
    server = Server(tmp_path, event_log=LOG)
    logged = await logged_ids(server.url)
    assert len(logged) == len(set(logged))
    positions = {id: index for index, id in enumerate(logged)}
    order = [positions[id] for id in acknowledged]  # a KeyError is a lost event
    assert order == sorted(order)
    assert server.stop() == 0
