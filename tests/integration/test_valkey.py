"""Server processes that share a log in Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.history import read_history
from tests.support.proxy import Proxy, proxied
from tests.support.raw import TIMEOUT, Closed, plain, raw_socketio
from tests.support.server import Server, start_expecting_failure, wait_until
from tests.support.valkey import Valkey

EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]

Start = Callable[..., Server]


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Return a Valkey server with a password. It is not started yet."""
    server = Valkey(tmp_path / "valkey", appendonly="yes", requirepass="hunter2")
    server.url = server.url.replace("redis://", "redis://:hunter2@")
    yield server
    server.stop()


async def status(url: str) -> int:
    """Return the status of a GET."""
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status


async def publish(url: str, **event: Any) -> tuple[int, dict[str, Any]]:
    """Publish an event; return the answer's status and body."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/events", json={**EVENT, **event}) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_a_server_may_start_before_its_valkey(
    own_valkey: Valkey, start_server: Start
) -> None:
    """It is alive but not ready, until Valkey is reachable. The log never contains the password."""
    server = start_server(event_log=own_valkey.url)
    assert await status(f"{server.url}/healthz") == 200
    assert await status(f"{server.url}/readyz") == 503
    refused, answer = await publish(server.url)
    assert (refused, answer["code"]) == (503, "log_unavailable")
    own_valkey.start()
    server.wait_until_ready()
    async with plain(server.url) as client:
        accepted, receipt = await publish(server.url)
        assert accepted == 201
        assert (await client.receive())["offset"] == receipt["offset"]
        own_valkey.stop()
        wait_until(lambda: "event_log_unreachable" in "".join(server.raw), "the server has noticed")
        assert await status(f"{server.url}/healthz") == 200
        own_valkey.start()
        server.wait_until_ready()
        accepted, receipt = await publish(server.url)
        assert accepted == 201
        assert (await client.receive())["offset"] == receipt["offset"]
    assert server.stop() == 0
    text = "".join(server.raw)
    assert "hunter2" not in text
    assert f"redis://127.0.0.1:{own_valkey.port}/0" in text
    assert "Traceback" not in text


def test_a_refused_password_stops_the_start(own_valkey: Valkey, tmp_path: Path) -> None:
    """The message is one line that names the setting and does not contain the password."""
    own_valkey.start()
    url = own_valkey.url.replace("hunter2", "hunter3")
    output = start_expecting_failure(tmp_path, event_log=url, port=0)
    assert "SIO_EVENT_LOG" in output
    assert "hunter" not in output
    assert "Traceback" not in output
    assert len([line for line in output.splitlines() if line.startswith("sio_server:")]) == 1


async def test_servers_share_a_log(own_valkey: Valkey, start_server: Start) -> None:
    """Clients of both servers get all events in the same order, with the same offsets."""
    own_valkey.start()
    servers = [start_server(event_log=own_valkey.url) for _ in range(2)]
    async with plain(servers[0].url) as one, plain(servers[1].url) as other:
        offsets = []
        for number in range(10):
            accepted, receipt = await publish(servers[number % 2].url, id=f"{number}")
            assert accepted == 201
            offsets.append(receipt["offset"])
        for client in (one, other):
            assert [(await client.receive())["offset"] for _ in range(10)] == offsets
    again, receipt = await publish(servers[1].url, id="0")
    assert (again, receipt["offset"], receipt["duplicate"]) == (200, offsets[0], True)
    assert [server.stop() for server in servers] == [0, 0]


async def test_a_server_is_not_ready_while_its_valkey_is_full(
    own_valkey: Valkey, start_server: Start
) -> None:
    """It refuses publishes then, and still answers reads. No restart is needed afterwards."""
    own_valkey.start()
    server = start_server(event_log=own_valkey.url)
    server.wait_until_ready()
    _, receipt = await publish(server.url)
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        refused, answer = await publish(server.url)
        assert (refused, answer["code"]) == (503, "log_unavailable")
        server.wait_until_ready(503)
        assert [event["offset"] for event in await read_history(server.url)] == [receipt["offset"]]
        assert await status(f"{server.url}/healthz") == 200
        client.config_set("maxmemory", "0")
    server.wait_until_ready()
    assert (await publish(server.url))[0] == 201
    assert server.stop() == 0


@asynccontextmanager
async def near_and_far(
    valkey: Valkey, start_server: Start
) -> AsyncIterator[tuple[Server, Server, Proxy]]:
    """Run two servers over one Valkey. The second one reaches it through a proxy."""
    valkey.start()
    near = start_server(event_log=valkey.url)
    async with proxied(valkey.port) as proxy:
        url = valkey.url.replace(f":{valkey.port}", f":{proxy.port}")
        far = await asyncio.to_thread(start_server, event_log=url)  # the proxy runs in this thread
        await asyncio.to_thread(far.wait_until_ready)
        yield near, far, proxy


async def test_an_event_during_the_replacement_of_a_lost_session_is_a_gap(
    own_valkey: Valkey, start_server: Start
) -> None:
    """An event between a client's request and the answer turns the answer into ``gap``."""
    async with near_and_far(own_valkey, start_server) as (near, far, proxy):
        _, receipt = await publish(near.url)
        auth = {"pid": "forged", "offset": receipt["offset"]}
        async with raw_socketio(far.url, "websocket", auth) as client:
            assert client.ready["gap"] is False
        async with plain(far.url) as live, asyncio.timeout(TIMEOUT):
            proxy.hold = b"\r\ncreate\r\n"
            async with asyncio.TaskGroup() as tasks:

                async def reconnect() -> dict[str, Any]:
                    async with raw_socketio(far.url, "websocket", auth) as client:
                        return client.ready

                ready = tasks.create_task(reconnect())
                await proxy.held.wait()
                await publish(near.url)
                await live.receive()
                proxy.released.set()
        assert ready.result()["gap"] is True


async def test_a_connected_client_misses_no_later_event(
    own_valkey: Valkey, start_server: Start
) -> None:
    """Not even an event that another server appends at once, while Valkey answers its own late."""
    async with (
        near_and_far(own_valkey, start_server) as (near, far, slow),
        aiohttp.ClientSession() as http,
    ):
        slow.delay = 0.1
        async with plain(far.url) as client:
            _, receipt = await publish(near.url)
            assert (await client.receive())["offset"] == receipt["offset"]
        async with raw_socketio(far.url, "websocket") as client:
            _, receipt = await publish(near.url)
            assert receipt["offset"] in await client.receive("42[")
        async with http.get(f"{far.url}/api/stream") as response:
            _, receipt = await publish(near.url)
            async with asyncio.timeout(TIMEOUT):
                await response.content.readuntil(f"id: {receipt['offset']}".encode())


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_recovers_its_session_on_another_server(
    own_valkey: Valkey, start_server: Start, transport: str
) -> None:
    """It gets its rooms and its missed events, and its old connection is closed."""
    own_valkey.start()
    one, other = (start_server(event_log=own_valkey.url) for _ in range(2))
    async with raw_socketio(one.url, transport) as client:
        _, first = await publish(one.url)
        await client.receive("42[")
        _, second = await publish(other.url)
        auth = {"pid": client.connected["pid"], "offset": first["offset"]}
        async with raw_socketio(other.url, transport, auth) as again:
            assert again.connected == client.connected
            assert (again.ready["recovered"], again.ready["replayed"]) == (True, 1)
            assert again.ready["position"] == second["offset"]
            with pytest.raises(Closed):
                await client.receive("never")
    one.kill()
    async with raw_socketio(other.url, transport, auth) as again:
        assert again.ready["recovered"] is True


async def test_the_loss_of_the_log_is_announced_as_a_gap(
    own_valkey: Valkey, start_server: Start
) -> None:
    """Live clients are disconnected. They reconnect, are told ``gap``, and get new events."""
    own_valkey.start()
    server = start_server(event_log=own_valkey.url)
    async with plain(server.url) as client, raw_socketio(server.url, "websocket") as socketio:
        _, receipt = await publish(server.url)
        await client.receive()
        with own_valkey.client as raw:
            raw.flushall()
        with pytest.raises(Closed):
            await client.receive()
        with pytest.raises(Closed):
            await socketio.receive("never")
        auth = {"pid": socketio.connected["pid"], "offset": receipt["offset"]}
    async with (
        plain(f"{server.url}/ws?since={receipt['offset']}") as client,
        raw_socketio(server.url, "websocket", auth) as socketio,
    ):
        ready = await client.receive()
        assert (ready["type"], ready["gap"]) == ("ready", True)
        assert (socketio.ready["recovered"], socketio.ready["gap"]) == (False, True)
        _, receipt = await publish(server.url)
        assert (await client.receive())["offset"] == receipt["offset"]
        await socketio.receive('42["furniture_created"')
    assert server.stop() == 0
