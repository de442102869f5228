"""The metrics of the promise, compared with what really happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sio_server import __version__
from tests.conftest import load_vectors
from tests.support.metrics import Figures, scrape
from tests.support.raw import plain, raw_socketio
from tests.support.server import Server, wait_until

KEPT = 5
"""The retention of the server, in events."""

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that keeps few events, on a disk."""
    folder: Path = tmp_path_factory.mktemp("metrics")
    server = Server(
        folder,
        event_log="sqlite:///events.db",
        retention_events=KEPT,
        producer_keys="django:a-key-of-this-test",
    )
    yield server
    assert server.stop() == 0


class Change:
    """The figures that have changed since it was made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = scrape(server.url)

    def of(self, name: str, *labels: str) -> float:
        """Return by how much a sample has grown."""
        return scrape(self._server.url).of(name, *labels) - self._before.of(name, *labels)

    def total(self, name: str) -> float:
        """Return by how much the sum of a metric over its labels has grown."""
        return scrape(self._server.url).total(name) - self._before.total(name)


async def publish(server: Server, count: int) -> str:
    """Publish events; return the offset of the first one."""
    event = {"type": "furniture_updated", "furniture": FURNITURE}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer a-key-of-this-test"}) as http,
        http.post(f"{server.url}/api/events/batch", json={"events": [event] * count}) as answer,
    ):
        offset: str = (await answer.json())["results"][0]["offset"]
        return offset


async def test_a_recovery_is_counted_with_its_replayed_events(server: Server) -> None:
    """The session is recovered, and two missed events are replayed."""
    async with raw_socketio(server.url, "websocket") as client:
        seen = await publish(server, 1)
        auth = {"pid": client.connected["pid"], "offset": seen}
    await asyncio.to_thread(server.wait_for_log, "disconnected")
    await publish(server, 2)
    change = Change(server)
    async with raw_socketio(server.url, "websocket", auth) as client:
        assert client.ready["recovered"]
    assert change.of("sio_recoveries_total", "recovered") == 1
    assert change.total("sio_recoveries_total") == 1
    assert change.of("sio_events_replayed_total") == client.ready["replayed"] == 2
    assert change.of("sio_deliveries_total") == 2
    assert change.total("sio_gaps_total") == 0


async def test_each_gap_is_counted_with_its_cause(server: Server) -> None:
    """A consumer that says nothing about its past counts nowhere."""
    old = await publish(server, 1)
    await publish(server, KEPT + 1)
    epoch = old.rpartition("-")[0]
    await _trimmed(server, old)
    change = Change(server)
    for since in (old, "other-3", f"{epoch}-999999"):
        async with plain(f"{server.url}/ws?since={since}") as client:
            assert (await client.receive())["gap"]
    async with raw_socketio(server.url, "polling", {"pid": "unknown"}) as lost:
        assert lost.ready["gap"]
    async with raw_socketio(server.url, "polling", {}):
        pass
    for cause in ("retention", "epoch", "future", "no_session"):
        assert change.of("sio_gaps_total", cause) == 1, cause
    assert change.of("sio_recoveries_total", "gap") == change.total("sio_gaps_total") == 4
    assert change.total("sio_recoveries_total") == 4


async def test_a_gap_in_the_history_is_counted_too(server: Server) -> None:
    """A client that reads the log over HTTP is a consumer."""
    change = Change(server)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/api/events", params={"since": "other-3"}) as answer:
            assert (await answer.json())["gap"]
    assert change.of("sio_gaps_total", "epoch") == 1


async def test_refused_connections_are_counted_by_their_reason(server: Server) -> None:
    """On every door; a refused request that is no connection is not among them."""
    change = Change(server)
    with pytest.raises(ConnectionRefusedError):
        async with raw_socketio(server.url, "websocket", {"token": "wrong"}):
            pass
    async with plain(f"{server.url}/ws?room=kitchen") as client:
        assert (await client.receive())["code"] == "unknown_room"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/api/stream?since=~") as answer:
            assert answer.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(server.url, headers={"Origin": "https://elsewhere.example"})
        async with http.get(f"{server.url}/api/events?since=~") as answer:
            assert answer.status == 400
    for reason in ("unauthorized", "unknown_room", "invalid_offset", "forbidden"):
        assert change.of("sio_connections_refused_total", reason) == 1, reason
    assert change.total("sio_connections_refused_total") == 4


async def test_times_are_counted_once_for_each_event_and_each_request(server: Server) -> None:
    """An event is written after its commit, and the log needs some time to store it."""
    change = Change(server)
    async with plain(server.url) as client:
        await publish(server, 3)
        for _ in range(3):
            await client.receive_type("furniture_updated")
    assert change.of("sio_publish_seconds_count") == 1
    assert change.of("sio_commit_to_write_seconds_count") == 3
    for name in ("sio_publish_seconds", "sio_commit_to_write_seconds"):
        assert 0 < change.of(f"{name}_sum") < 20


async def test_the_figures_of_the_log_are_those_of_the_log(server: Server) -> None:
    """They are at most a second old."""
    await publish(server, KEPT)
    async with raw_socketio(server.url, "polling"):
        pass
    figures = await asyncio.to_thread(
        _figures_when, server, lambda it: it.of("sio_log_events") == KEPT
    )
    assert figures.of("sio_ready") == 1
    assert figures.of("sio_tail_lag_events") == 0
    assert 0 < figures.of("sio_log_oldest_age_seconds") < 60
    await asyncio.to_thread(_figures_when, server, lambda it: it.of("sio_sessions_kept") > 0)


def test_the_build_is_named(server: Server) -> None:
    """A dashboard shows which version each server has."""
    figures = scrape(server.url)
    (labels,) = [labels for name, labels in figures if name == "sio_build_info"]
    assert {__version__, "sqlite"} < labels


async def _trimmed(server: Server, offset: str) -> None:
    def is_gap(answer: dict[str, Any]) -> bool:
        return bool(answer["gap"])

    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        while True:
            async with http.get(f"{server.url}/api/events", params={"since": offset}) as answer:
                if is_gap(await answer.json()):
                    return


def _figures_when(server: Server, condition: Any) -> Figures:
    def find() -> Figures | None:
        figures = scrape(server.url)
        return figures if condition(figures) else None

    found: Figures = wait_until(find, "the figures")
    return found
