"""Reads from an offset: the history in pages, and missed events on every transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sio_server.contract.events import EVENT_TYPES
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
    """Return one page of the log."""
    async with http.get(f"{url}/api/events", params=query) as response:
        page: dict[str, Any] = await response.json()
        assert response.status == 200, page
        return page


async def test_the_history_comes_in_pages(start_server: Start) -> None:
    """The ``position`` of each page leads to the next page, up to the log's end."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        empty = await read(http, server.url)
        assert (empty["events"], empty["gap"]) == ([], False)
        assert empty["position"] == empty["oldest"]
        offsets = [await publish(http, server.url, f"{number}") for number in range(7)]
        first = await read(http, server.url, limit=3)
        assert [event["offset"] for event in first["events"]] == offsets[:3]
        assert (first["position"], first["oldest"]) == (offsets[2], empty["position"])
        assert (first["more"], empty["more"]) == (True, False)
        second = await read(http, server.url, limit=1000, since=first["position"])
        assert [event["offset"] for event in second["events"]] == offsets[3:]
        assert (second["position"], second["more"]) == (offsets[-1], False)
        end = await read(http, server.url, limit=0)
        assert (end["events"], end["position"], end["more"]) == ([], offsets[-1], False)
        last = await read(http, server.url, since=end["position"])
        assert (last["events"], last["position"], last["gap"]) == ([], offsets[-1], False)


async def test_a_page_of_large_events_ends_early(start_server: Start) -> None:
    """It has at most 256 KiB and one event, and says that there are more."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        for number in range(30):
            await publish(http, server.url, f"{number}", descripcion="ñ" * 9_000)
        ids: list[str] = []
        query = {"limit": 1_000}
        pages = []
        while True:
            async with http.get(f"{server.url}/api/events", params=query) as response:
                body = await response.read()
            assert len(body) < 262_144 + 20_000
            pages.append(json.loads(body))
            ids += [event["id"] for event in pages[-1]["events"]]
            if not pages[-1]["more"]:
                break
            assert pages[-1]["position"] == pages[-1]["events"][-1]["offset"]
            query["since"] = pages[-1]["position"]
    assert ids == [f"{number}" for number in range(30)]
    assert [len(page["events"]) for page in pages] == [15, 15]


async def test_the_history_is_filtered_by_rooms(start_server: Start) -> None:
    """An event of several rooms comes once, and ``position`` is the log's end."""
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
        assert (page["position"], page["more"]) == (last, False)


@asynccontextmanager
async def _socketio(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
    received: list[Any] = []
    async with aiohttp.ClientSession() as http:
        client = RawSocketIO(http, url)
        await client.open("websocket")
        await client.send("40" + json.dumps({"since": since, "rooms": rooms}))
        await client.receive("40")

        async def follow() -> None:
            while True:
                _, message, *_ = json.loads((await client.receive("42"))[2:])
                received.append(message)

        async with running(follow()):
            yield received
        await client.close()


@asynccontextmanager
async def _websocket(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
    received: list[Any] = []
    query = [("since", since), *(("room", room) for room in rooms)]
    async with plain(f"{url}/ws", params=query) as client:

        async def follow() -> None:
            while True:
                received.append(await client.receive())

        async with running(follow()):
            yield received


def _sse(header: bool) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_stream(url: str, since: str, rooms: list[str]) -> AsyncIterator[list[Any]]:
        received: list[Any] = []
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
                        received.append(json.loads(line[6:]))  # noqa: PERF401 - one at a time

            async with running(follow()):
                yield received

    return open_stream


OPENERS: dict[str, Any] = {
    "socketio": _socketio,
    "websocket": _websocket,
    "sse": _sse(header=False),
    "sse, Last-Event-ID": _sse(header=True),
}


async def wait_for(received: list[Any], condition: Callable[[list[Any]], bool]) -> None:
    """Wait until the messages that a consumer received meet a condition."""
    async with asyncio.timeout(TIMEOUT):
        while not condition(received):
            await asyncio.sleep(0.005)


def events_of(received: list[Any]) -> list[str]:
    """Return the ids of the events among all messages."""
    return [message["id"] for message in received if message["type"] in EVENT_TYPES]


@pytest.mark.parametrize("transport", OPENERS)
async def test_since_replays_missed_events_and_then_delivers_live_ones(
    start_server: Start, transport: str
) -> None:
    """Events that come during the replay are not lost, and ``ready`` comes before the live ones."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        await publish(http, server.url, "before")
        since = (await read(http, server.url, limit=0))["position"]
        expected = []

        async def publish_events(count: int) -> None:
            for _ in range(count):
                expected.append(f"e{len(expected)}")
                await publish(http, server.url, expected[-1])

        await publish_events(250)
        writer = asyncio.ensure_future(publish_events(250))
        async with OPENERS[transport](server.url, since, ["catalog"]) as received:
            await writer
            await wait_for(received, lambda received: len(received) > len(expected))
    assert events_of(received) == expected
    ready_index = next(
        index for index, message in enumerate(received) if message["type"] == "ready"
    )
    ready = received[ready_index]
    assert ready["replayed"] == ready_index >= 250
    assert (ready["gap"], ready["recovered"], ready["rooms"]) == (False, False, ["catalog"])


@pytest.mark.parametrize("transport", OPENERS)
async def test_since_replays_only_events_of_the_rooms(start_server: Start, transport: str) -> None:
    """An event also belongs to the rooms of the piece's last known state."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        since = (await read(http, server.url, limit=0))["position"]
        await publish(http, server.url, "in", material="roble")
        await publish(http, server.url, "out", material="pino")
        await publish(http, server.url, "away", material="pino")
        rooms = ["material:roble"]
        async with OPENERS[transport](server.url, since, rooms) as received:
            await wait_for(received, lambda received: len(received) == 3)
            await publish(http, server.url, "back", material="roble")
            await wait_for(received, lambda received: len(received) == 4)
    assert events_of(received) == ["in", "out", "back"]
    assert received[2]["replayed"] == 2


@pytest.mark.parametrize("transport", OPENERS)
@pytest.mark.parametrize("since", ["trimmed", "another epoch", "future", "no offset of ours"])
async def test_a_gap_is_announced_and_nothing_is_replayed(
    start_server: Start, transport: str, since: str
) -> None:
    """The consumer continues at the log's end. Without rooms it has missed nothing: no gap."""
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
        assert page["more"] is False
        oldest = await read(http, server.url, since=page["oldest"])
        assert (oldest["gap"], len(oldest["events"])) == (False, 5)
        async with OPENERS[transport](server.url, offset, ["catalog"]) as received:
            await wait_for(received, lambda received: len(received) == 1)
            await publish(http, server.url, "live")
            await wait_for(received, lambda received: len(received) == 2)
        assert (received[0]["type"], received[0]["gap"], received[0]["position"]) == (
            "ready",
            True,
            end,
        )
        assert events_of(received) == ["live"]
    async with raw_socketio(
        server.url, "websocket", {"since": offset, "rooms": []}
    ) as without_rooms:
        assert without_rooms.ready["gap"] is False


async def test_a_fresh_plain_websocket_gets_no_ready(server: Server) -> None:
    """The original server sends none, and this client did not ask for a replay."""
    async with plain(server.url) as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"


async def test_an_event_stream_starts_with_ready(server: Server) -> None:
    """Its content type is that of Server-Sent Events, and no cache may store it."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api/stream") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        lines = [(await response.content.readline()).decode() for _ in range(4)]
    ready = json.loads(lines[3].removeprefix("data: "))
    assert lines[0].startswith("retry: ")
    assert lines[1:3] == ["event: ready\n", f"id: {ready['position']}\n"]


async def test_a_slow_consumer_gets_every_event_when_it_reads_again(start_server: Start) -> None:
    """It is parked past its buffer, then served from the log, then live: no hole, no duplicate."""
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
        received = [(await socket.receive_json(timeout=TIMEOUT))["id"] for _ in expected]
        await publish(http, server.url, "live again")
        received.append((await socket.receive_json(timeout=TIMEOUT))["id"])
        await socket.close()
    assert received == [*expected, "live again"]
