"""Reading from a position: the history, and what came since on every transport, without a hole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.raw import RawSocketIO, plain, raw_socketio
from tests.support.server import TIMEOUT, Server
from tests.support.transports import running

FURNITURE = load_vectors("events.json")[0]["publish"]["furniture"]

Start = Callable[..., Server]


async def publish(http: aiohttp.ClientSession, url: str, id: str, **furniture: Any) -> str:
    """Publish an event; return its offset."""
    event = {"type": "furniture_created", "id": id, "furniture": FURNITURE | furniture}
    async with http.post(f"{url}/api/events", json=event) as response:
        return str((await response.json())["offset"])


async def read(http: aiohttp.ClientSession, url: str, **query: Any) -> dict[str, Any]:
    """Read the log."""
    async with http.get(f"{url}/api/events", params=query) as response:
        page: dict[str, Any] = await response.json()
        assert response.status == 200, page
        return page


async def test_the_history_comes_in_pages(start_server: Start) -> None:
    """Go from page to page by ``position``, through all events, to the log's end."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        empty = await read(http, server.url)
        assert (empty["events"], empty["gap"]) == ([], False)
        assert empty["position"] == empty["oldest"]
        offsets = [await publish(http, server.url, f"{number}") for number in range(7)]
        first = await read(http, server.url, limit=3)
        assert [event["offset"] for event in first["events"]] == offsets[:3]
        assert (first["position"], first["oldest"]) == (offsets[2], empty["position"])
        second = await read(http, server.url, limit=1000, since=first["position"])
        assert [event["offset"] for event in second["events"]] == offsets[3:]
        end = await read(http, server.url, limit=0)
        assert (end["events"], end["position"]) == ([], offsets[-1])
        last = await read(http, server.url, since=end["position"])
        assert (last["events"], last["position"], last["gap"]) == ([], offsets[-1], False)


async def test_the_history_is_filtered_by_rooms(start_server: Start) -> None:
    """Give each event of the rooms once, and go on from the log's end."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        await publish(http, server.url, "pine", furniture_id="a", material="pino")
        oak = await publish(http, server.url, "oak", furniture_id="b", material="roble")
        beech = await publish(http, server.url, "beech", furniture_id="c", material="haya")
        last = await publish(http, server.url, "other", furniture_id="d", material="pino")
        query = [("room", "material:roble"), ("room", "furniture:c"), ("room", "material:haya")]
        async with http.get(f"{server.url}/api/events", params=query) as response:
            page = await response.json()
        assert [event["offset"] for event in page["events"]] == [oak, beech]
        assert page["position"] == last


@asynccontextmanager
async def _socketio(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
    seen: list[Any] = []
    async with aiohttp.ClientSession() as http:
        client = RawSocketIO(http, url)
        await client.open("websocket")
        await client.send("40" + json.dumps({"since": since, "rooms": rooms}))
        await client.receive("40")

        async def follow() -> None:
            while True:
                _, message, *_ = json.loads((await client.receive("42"))[2:])
                seen.append(message)

        async with running(follow()):
            yield seen
        await client.close()


@asynccontextmanager
async def _websocket(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
    seen: list[Any] = []
    query = [("since", since), *(("room", room) for room in rooms)]
    async with plain(f"{url}/ws", params=query) as client:

        async def follow() -> None:
            while True:
                seen.append(await client.receive())

        async with running(follow()):
            yield seen


def _sse(header: bool) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_stream(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
        seen: list[Any] = []
        query = [("room", room) for room in rooms]
        # Last-Event-ID wins over since.
        query.append(("since", "elsewhere" if header else since))
        headers = {"Last-Event-ID": since} if header else {}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{url}/api/stream", params=query) as response,
        ):

            async def follow() -> None:
                async for line in response.content:
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))  # noqa: PERF401 - seen as it comes

            async with running(follow()):
                yield seen

    return open_stream


OPENERS: dict[str, Any] = {
    "socketio": _socketio,
    "websocket": _websocket,
    "sse": _sse(header=False),
    "sse, Last-Event-ID": _sse(header=True),
}


async def wait_for(seen: list[Any], condition: Callable[[list[Any]], bool]) -> None:
    """Wait until what a consumer has seen fulfils a condition."""
    async with asyncio.timeout(TIMEOUT):
        while not condition(seen):
            await asyncio.sleep(0.005)


def events_of(seen: list[Any]) -> list[str]:
    """Return the ids of the events among all messages."""
    return [message["id"] for message in seen if message["type"].startswith("furniture_")]


@pytest.mark.parametrize("transport", OPENERS)
async def test_since_brings_all_that_came_after_it_and_then_what_is_live(
    start_server: Start, transport: str
) -> None:
    """Replay in order while events come in; ready stands between replay and live; no hole."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        await publish(http, server.url, "before")
        since = (await read(http, server.url, limit=0))["position"]
        expected = []

        async def go_on(count: int) -> None:
            for _ in range(count):
                expected.append(f"e{len(expected)}")
                await publish(http, server.url, expected[-1])

        await go_on(250)
        writer = asyncio.ensure_future(go_on(250))
        async with OPENERS[transport](server.url, since, ["catalog"]) as seen:
            await writer
            await wait_for(seen, lambda seen: len(seen) > len(expected))
    assert events_of(seen) == expected
    at = next(index for index, message in enumerate(seen) if message["type"] == "ready")
    ready = seen[at]
    assert ready["replayed"] == at >= 250
    assert (ready["gap"], ready["recovered"], ready["rooms"]) == (False, False, ["catalog"])


@pytest.mark.parametrize("transport", OPENERS)
async def test_since_replays_the_rooms_alone(start_server: Start, transport: str) -> None:
    """Give what the rooms missed, those of the last known state included."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        since = (await read(http, server.url, limit=0))["position"]
        await publish(http, server.url, "in", material="roble")
        await publish(http, server.url, "out", material="pino")
        await publish(http, server.url, "away", material="pino")
        rooms = ["material:roble"]
        async with OPENERS[transport](server.url, since, rooms) as seen:
            await wait_for(seen, lambda seen: len(seen) == 3)
            await publish(http, server.url, "back", material="roble")
            await wait_for(seen, lambda seen: len(seen) == 4)
    assert events_of(seen) == ["in", "out", "back"]
    assert seen[2]["replayed"] == 2


@pytest.mark.parametrize("transport", OPENERS)
@pytest.mark.parametrize("since", ["trimmed", "another epoch", "future", "no offset of ours"])
async def test_a_gap_is_told_and_nothing_is_replayed(
    start_server: Start, transport: str, since: str
) -> None:
    """Say gap, go on from the log's end; with no rooms nothing can have been missed."""
    server = start_server(retention_events=5)
    async with aiohttp.ClientSession() as http:
        start = (await read(http, server.url, limit=0))["position"]
        epoch = start.rpartition("-")[0]
        for number in range(12):
            end = await publish(http, server.url, f"{number}")
        offset = {
            "trimmed": start,
            "another epoch": "x" * len(epoch) + "-3",
            "future": f"{epoch}-999",
            "no offset of ours": "Ha.m_let",
        }[since]
        page = await read(http, server.url, since=offset)
        assert (page["gap"], page["events"], page["position"]) == (True, [], end)
        oldest = await read(http, server.url, since=page["oldest"])
        assert (oldest["gap"], len(oldest["events"])) == (False, 5)
        async with OPENERS[transport](server.url, offset, ["catalog"]) as seen:
            await wait_for(seen, lambda seen: len(seen) == 1)
            await publish(http, server.url, "live")
            await wait_for(seen, lambda seen: len(seen) == 2)
        assert (seen[0]["type"], seen[0]["gap"], seen[0]["position"]) == ("ready", True, end)
        assert events_of(seen) == ["live"]
    async with raw_socketio(server.url, "websocket", {"since": offset, "rooms": []}) as nowhere:
        assert nowhere.ready["gap"] is False


async def test_a_fresh_plain_websocket_gets_no_ready(server: Server) -> None:
    """Keep to what the original sent, where nobody asked for a replay."""
    async with plain(server.url) as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"


async def test_a_stream_says_who_it_is(server: Server) -> None:
    """Send Server-Sent Events that no proxy buffers and no cache keeps."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api/stream") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        lines = [(await response.content.readline()).decode() for _ in range(3)]
    ready = json.loads(lines[2].removeprefix("data: "))
    assert lines[:2] == ["event: ready\n", f"id: {ready['position']}\n"]


async def test_a_slow_consumer_gets_everything_once_it_reads_on(start_server: Start) -> None:
    """Park it past its buffer, serve it from the log, then live again: no hole, no duplicate."""
    server = start_server(max_buffer_bytes=16_384)
    async with aiohttp.ClientSession() as http:
        socket = await http.ws_connect(server.ws_url, autoping=False)
        socket._reader._protocol.transport.pause_reading()
        expected = []
        filler = "x" * 9000
        for number in range(1200):
            expected.append(f"slow {number}")
            await publish(http, server.url, expected[-1], descripcion=filler)
        async with http.get(f"{server.url}/metrics") as response:
            assert "sio_consumers_parked_total 1.0" in await response.text()
        socket._reader._protocol.transport.resume_reading()
        seen = [(await socket.receive_json(timeout=TIMEOUT))["id"] for _ in expected]
        await publish(http, server.url, "live again")
        seen.append((await socket.receive_json(timeout=TIMEOUT))["id"])
        await socket.close()
    assert seen == [*expected, "live again"]
