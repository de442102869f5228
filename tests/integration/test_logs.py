"""The log lines of one event, one request and one connection can be found by their ids."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.pages import ROOT, blocks
from tests.support.raw import plain, raw_socketio
from tests.support.server import Server

EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]


async def test_an_event_is_followed_by_its_id(server: Server) -> None:
    """From the request that published it to its delivery."""
    event = EVENT | {"id": "followed"}
    async with aiohttp.ClientSession(headers={"X-Request-ID": "from-the-site"}) as http:
        async with http.post(f"{server.url}/api/events", json=event) as answer:
            assert answer.headers["X-Request-ID"] == "from-the-site"
            offset = (await answer.json())["offset"]
    assert server.wait_for_log("received", id="followed")["request"] == "from-the-site"
    delivered = server.wait_for_log("delivered", id="followed", offset=offset)
    assert "request" not in delivered, "the delivery is nobody's request"


async def test_a_batch_has_one_line(server: Server) -> None:
    """It names the first and the last event."""
    events = [EVENT | {"id": f"of-a-batch-{number}"} for number in range(3)]
    async with aiohttp.ClientSession(server.url) as http:
        async with http.post("/api/events/batch", json={"events": events}) as answer:
            results = (await answer.json())["results"]
    received = server.wait_for_log("received", first="of-a-batch-0")
    assert (received["events"], received["last"]) == (3, "of-a-batch-2")
    delivered = server.wait_for_log("delivered", first=results[0]["offset"])
    assert (delivered["events"], delivered["last"]) == (3, results[2]["offset"])


async def test_a_connection_is_followed_by_its_id(server: Server) -> None:
    """From its opening to its end, with its commands."""
    async with plain(server.url) as client:
        await client.send(EVENT | {"id": "over a socket"})
        await client.receive_type(EVENT["type"])
    received = server.wait_for_log("received", id="over a socket")
    name = received["connection"]
    connected = server.wait_for_log("connected", connection=name)
    assert server.wait_for_log("disconnected", connection=name)["transport"] == "websocket"
    assert connected["request"], "it was opened by an HTTP request"
    async with raw_socketio(server.url, "websocket"):
        other = server.wait_for_log("connected", transport="socketio")["connection"]
    assert server.wait_for_log("disconnected", connection=other)["transport"] == "socketio"
    assert other != name


async def test_the_documentation_shows_a_real_line(server: Server) -> None:
    """That of a stream of events, with all its pairs."""
    (text,) = blocks("json", ROOT / "docs/logs.md")
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/api/stream?room=material:pino"):
            line = server.wait_for_log("connected", transport="sse")
    assert list(line) == list(json.loads(text))


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ñ"])
async def test_another_text_is_no_request_id(name: str, server: Server) -> None:
    """A random id replaces it, so that no client chooses what a line looks like."""
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/healthz", headers={"X-Request-ID": name}) as first:
            async with http.get("/healthz") as second:
                ids = {answer.headers["X-Request-ID"] for answer in (first, second)}
    assert len(ids) == 2
    assert name not in ids
