"""What a browser's ``EventSource`` needs: it never reconnects after a status other than 200."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support import browser
from tests.support.raw import plain
from tests.support.server import TIMEOUT, Server
from tests.support.tokens import SECRET, token
from tests.support.valkey import Valkey

GOOD = load_vectors("events.json")[0]["publish"]
EVENT_SOURCE = {"Accept": "text/event-stream"}

Start = Callable[..., Server]


async def blocks(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Yield the fields of each block of a stream; without comments."""
    async for text in _blocks(response):
        fields = dict(line.split(": ", 1) for line in text.splitlines() if line[0] != ":")
        if fields:
            yield fields


async def _blocks(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async with asyncio.timeout(TIMEOUT):
        while not response.content.at_eof():
            try:
                yield (await response.content.readuntil(b"\n\n")).decode().rstrip("\n") or ":"
            except asyncio.IncompleteReadError:
                return


@asynccontextmanager
async def stream(
    server: Server, query: dict[str, str] | None = None, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open a stream as a browser does."""
    async with (
        aiohttp.ClientSession(headers=EVENT_SOURCE | headers) as http,
        http.get(f"{server.url}/api/stream", params=query or {}) as response,
    ):
        yield response


async def publish(url: str, id: str) -> str:
    """Publish an event; return its offset."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/events", json={**GOOD, "id": id}) as answer,
    ):
        return str((await answer.json())["offset"])


async def test_a_stream_begins_with_a_random_pause(server: Server) -> None:
    """So that the browsers do not come back all at once after a restart."""
    pauses = set()
    for _ in range(8):
        async with stream(server) as response:
            first = await anext(blocks(response))
            assert first["event"] == "ready"
            pauses.add(int(first["retry"]))
    assert all(1_000 <= pause <= 3_000 for pause in pauses)
    assert len(pauses) > 1


async def test_a_replay_begins_with_the_pause_and_ends_with_ready(server: Server) -> None:
    """The line belongs to the first event, so no client sees an event without data."""
    before = await publish(server.url, "replay-1")
    missed = await publish(server.url, "replay-2")
    async with stream(server, {"since": before}) as response:
        read = blocks(response)
        event, ready = await anext(read), await anext(read)
    assert (event["id"], "retry" in event, "event" in event) == (missed, True, False)
    assert (ready["id"], "retry" in ready, ready["event"]) == (missed, False, "ready")


@pytest.mark.parametrize("place", ["header", "query"])
async def test_the_last_event_id_wins_over_since(server: Server, place: str) -> None:
    """A browser sends the header; a polyfill sends ``lastEventId`` in the query."""
    first = await publish(server.url, f"{place}-1")
    last = await publish(server.url, f"{place}-2")
    headers = {"Last-Event-ID": last} if place == "header" else {}
    query = {"since": first} | ({"lastEventId": last} if place == "query" else {})
    async with stream(server, query, **headers) as response:
        assert (await anext(blocks(response)))["event"] == "ready"


async def refused(server: Server, accept: str) -> tuple[int, list[dict[str, str]]]:
    """Return the status of a stream that is refused, and its blocks."""
    async with stream(server, Accept=accept) as response:
        if response.status != 200:
            assert response.content_type == "application/problem+json"
            assert response.headers["Retry-After"]
            return response.status, []
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        return 200, [fields async for fields in blocks(response)]


def check_refusal(
    fields: list[dict[str, str]], code: str, seconds: float, slack: float = 1
) -> None:
    """Check that a stream consists of one error, which says when to come back."""
    (only,) = fields
    assert only["event"] == "error"
    assert json.loads(only["data"])["code"] == code
    assert seconds * 1_000 <= int(only["retry"]) <= seconds * 1_500 * slack


@pytest.mark.parametrize(
    ("settings", "code", "status", "seconds"),
    [
        ({"max_connections": 1}, "too_many_connections", 503, 5),
        ({"max_connections_per_address": 1}, "rate_limited", 429, 60),
        ({"connect_rate": 1, "max_connections_per_address": 1}, "rate_limited", 429, 60),
    ],
)
async def test_a_limit_refuses_for_a_time(
    start_server: Start, settings: dict[str, int], code: str, status: int, seconds: float
) -> None:
    """A client that names the media type gets an event; the others get the status."""
    server = start_server(**settings)
    async with plain(server.url):
        for accept in ("text/event-stream", "text/html, TEXT/Event-Stream;q=0.9, */*"):
            found, fields = await refused(server, accept)
            assert found == 200
            check_refusal(fields, code, seconds)
        for accept in ("*/*", "application/json", "text/*"):
            assert await refused(server, accept) == (status, [])


async def test_an_unreachable_log_refuses_for_a_time(start_server: Start, tmp_path: Path) -> None:
    """The stream needs the log only if it has to read from it."""
    valkey = Valkey(tmp_path)
    valkey.start()
    server = start_server(event_log=valkey.url)
    offset = await publish(server.url, "1")
    valkey.stop()
    server.wait_until_ready(503)
    async with stream(server, {"since": offset}) as response:
        assert response.status == 200
        fields = [it async for it in blocks(response)]
    check_refusal(fields, "log_unavailable", 1)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Authorization": "Bearer wrong"}, {}, 401),
        ({}, {"token": "wrong"}, 401),
        ({}, {}, 401),
        ({"Authorization": f"Bearer {token(SECRET, scope='publish')}"}, {}, 403),
        ({"Authorization": f"Bearer {token(SECRET)}"}, {"since": " "}, 400),
        ({"Authorization": f"Bearer {token(SECRET)}"}, {"room": "nonsense"}, 400),
    ],
)
async def test_a_permanent_refusal_keeps_its_status(
    start_server: Start, headers: dict[str, str], query: dict[str, str], status: int
) -> None:
    """A browser then stops, and the page has to act."""
    server = start_server(jwt_secret=SECRET, require_auth="true")
    async with stream(server, query, **headers) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"


PAGE = """
  window.got = []; window.states = [];
  window.source = new EventSource(%s);
  source.onmessage = (event) => got.push(JSON.parse(event.data).id);
  source.addEventListener("ready", () => states.push("ready"));
  source.addEventListener("error", (event) => {
    if (event.data) states.push(JSON.parse(event.data).code);
  });
"""


async def test_a_browser_comes_back_by_itself(tmp_path: Path) -> None:
    """After a limit, a drain and a restart. It misses nothing, and gets nothing twice."""
    settings: dict[str, Any] = {"max_connections": 2, "event_log": "sqlite:///events.db"}
    server = Server(tmp_path, **settings)
    port = server.port
    async with browser.page() as page, plain(server.url):
        page.set_default_timeout(TIMEOUT * 1000)
        await page.goto(f"{server.url}/healthz")
        async with plain(server.url):
            await page.evaluate(PAGE % json.dumps(f"{server.url}/api/stream"))
            await page.wait_for_function("states.includes('too_many_connections')")
        await page.wait_for_function("states.includes('ready')")
        await publish(server.url, "1")
        await page.wait_for_function("got.length === 1")
        server.process.terminate()  # it drains
        await page.wait_for_function("source.readyState === EventSource.CONNECTING")
        assert server.stop() == 0
        server = Server(tmp_path, **settings, port=port)
        await publish(server.url, "2")
        await page.wait_for_function("got.length === 2")
        await publish(server.url, "3")
        await page.wait_for_function("got.length === 3")
        assert await page.evaluate("got") == ["1", "2", "3"]
    server.stop()


async def test_a_stream_during_a_drain_is_refused_for_a_time(start_server: Start) -> None:
    """A browser whose stream the drain has closed may come back before the server has ended."""
    server = start_server(drain_seconds=TIMEOUT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        clients = [await http.ws_connect(server.ws_url) for _ in range(600)]
        server.process.terminate()
        server.wait_until_ready(503)
        found, fields = await refused(server, "text/event-stream")
        assert len(clients) == 600  # to close them takes six seconds
    assert found == 200
    check_refusal(fields, "shutting_down", 1, slack=10)
    server.kill()
