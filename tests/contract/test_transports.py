"""Events of every transport reach the consumers of all transports: the same JSON, in one order."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.history import read_history
from tests.support.server import Server
from tests.support.transports import CONSUMERS, PRODUCERS

VECTORS = load_vectors("events.json")


def as_published(vector: dict[str, Any], producer: str) -> dict[str, Any]:
    """Return a vector's event. If it has an id, the producer's name makes the id unique."""
    event: dict[str, Any] = vector["publish"]
    return {**event, "id": f"{event['id']} {producer}"} if event.get("id") else event


async def position(url: str) -> str:
    """Return the position of the log's end."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/events", params={"limit": "0"}) as response,
    ):
        return str((await response.json())["position"])


async def test_every_consumer_receives_every_published_event(server: Server) -> None:
    """Each transport publishes the vectors in turn, and every consumer gets them unchanged."""
    start = await position(server.url)
    async with AsyncExitStack() as stack:
        consumers = {
            name: await stack.enter_async_context(open_consumer(server.url))
            for name, open_consumer in CONSUMERS.items()
        }
        expected, offsets = [], []
        for name, open_producer in PRODUCERS.items():
            async with open_producer(server.url) as publish:
                for vector in VECTORS:
                    event = as_published(vector, name)
                    receipt = await publish(event)
                    assert receipt["duplicate"] is False
                    assert receipt["id"] == event.get("id") or not event.get("id")
                    expected.append(
                        {
                            "type": event["type"],
                            "furniture": event["furniture"],
                            "id": receipt["id"],
                            "timestamp": receipt["timestamp"],
                        }
                    )
                    offsets.append(receipt["offset"])
        for consumer in consumers.values():
            await consumer.wait_for(len(expected))
    for name, consumer in consumers.items():
        # JavaScript reads every number as a double, so its events are compared as doubles.
        comparable = _as_doubles if name.startswith("node") else _as_text
        assert comparable(consumer.events) == comparable(expected), name
        if name != "python, one argument":
            assert consumer.offsets == offsets, name
    stored = await read_history(server.url, start)
    assert [event.pop("offset") for event in stored] == offsets
    assert _as_text(stored) == _as_text(expected)


def _as_text(events: Any) -> str:
    return json.dumps(events, sort_keys=True)


def _as_doubles(events: Any) -> Any:
    return json.loads(json.dumps(events), parse_int=float)


async def test_each_room_receives_only_its_own_events(start_server: Callable[..., Server]) -> None:
    """Each room of the vectors has one consumer, which receives each event of the room once."""
    server = start_server()  # not the shared one: the vectors describe a new log
    rooms = sorted({room for vector in VECTORS for room in vector["rooms"]})
    async with AsyncExitStack() as stack:
        consumers = {
            room: await stack.enter_async_context(CONSUMERS["plain websocket"](server.url, [room]))
            for room in rooms
        }
        everything = await stack.enter_async_context(CONSUMERS["raw, websocket"](server.url, rooms))
        publish = await stack.enter_async_context(PRODUCERS["http"](server.url))
        ids = [(await publish(as_published(vector, "rooms")))["id"] for vector in VECTORS]
        for room, consumer in consumers.items():
            expected = [
                id for id, vector in zip(ids, VECTORS, strict=True) if room in vector["rooms"]
            ]
            await consumer.wait_for(len(expected))
            assert [event["id"] for event in consumer.events] == expected, room
        await everything.wait_for(len(ids))
        assert [event["id"] for event in everything.events] == ids


@pytest.mark.parametrize("producer", PRODUCERS)
async def test_publishing_an_id_again_is_a_duplicate(server: Server, producer: str) -> None:
    """The answer has the first append's offset and timestamp, and nothing is delivered again."""
    event = {**VECTORS[0]["publish"], "id": f"again {producer}"}
    async with CONSUMERS["plain websocket"](server.url) as consumer:
        async with PRODUCERS[producer](server.url) as publish:
            first = await publish(event)
            again = await publish(event)
            await publish({**event, "id": f"then {producer}"})
        assert again == {**first, "duplicate": True}
        await consumer.wait_for(2)
        assert [event["id"] for event in consumer.events] == [
            f"again {producer}",
            f"then {producer}",
        ]


async def test_publishes_of_one_connection_are_appended_in_their_order(server: Server) -> None:
    """The producer sends 300 events without waiting for an answer."""
    start = await position(server.url)
    sent = []
    async with aiohttp.ClientSession() as http, http.ws_connect(server.ws_url) as socket:
        for number in range(300):
            sent.append(f"order {number}")
            await socket.send_json({**VECTORS[0]["publish"], "id": sent[-1], "ref": number})
        acks = 0
        while acks < len(sent):
            acks += (await socket.receive_json())["type"] == "ack"
    assert [event["id"] for event in await read_history(server.url, start)] == sent
