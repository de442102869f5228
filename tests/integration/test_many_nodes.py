"""Two servers over one Valkey behind nginx, with the configuration of ``examples/nginx.conf``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.nginx import nginx
from tests.support.node import node_client
from tests.support.raw import Closed, raw_socketio
from tests.support.server import Server, wait_until
from tests.support.tokens import SECRET, token
from tests.support.transports import CONSUMERS, PRODUCERS
from tests.support.valkey import Valkey

KEY = "the-key-of-the-catalogue"
EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]

Start = Callable[..., Server]


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Start a Valkey server."""
    server = Valkey(tmp_path / "valkey", appendonly="yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_node(own_valkey: Valkey, start_server: Start) -> Start:
    """Return a function that starts servers that share a log and trust nginx."""
    return partial(
        start_server,
        event_log=own_valkey.url,
        trusted_proxies="127.0.0.1",
        open_publish="anyone",  # forwarded requests are not from this machine
    )


@pytest.fixture
def nodes(start_node: Start) -> list[Server]:
    """Return two servers."""
    return [start_node() for _ in range(2)]


@pytest.fixture
def balancer(tmp_path: Path, nodes: list[Server]) -> Iterator[str]:
    """Return the URL of an nginx in front of both servers."""
    with nginx(tmp_path, nodes, {}) as url:
        yield url


def home_of(address: str, nodes: list[Server]) -> Server:
    """Return the server to which the client with this address is connected."""

    def find() -> Server | None:
        for node in nodes:
            if any(it["message"] == "connected" and it["address"] == address for it in node.log):
                return node
        return None

    found: Server = wait_until(find, f"a client from {address} is connected")
    return found


async def test_every_transport_works_through_nginx(balancer: str) -> None:
    """Every kind of consumer gets the events of every kind of producer, once and at once."""
    async with AsyncExitStack() as stack:
        consumers = {
            name: await stack.enter_async_context(open_consumer(balancer))
            for name, open_consumer in CONSUMERS.items()
        }
        ids = [f"by {name}" for name in PRODUCERS]
        for id, open_producer in zip(ids, PRODUCERS.values(), strict=True):
            async with open_producer(balancer) as publish:
                await publish({**EVENT, "id": id})
            for consumer in consumers.values():
                await consumer.wait_for(ids.index(id) + 1)
        for name, consumer in consumers.items():
            assert [event["id"] for event in consumer.events] == ids, name


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_clients_address_decides_its_server(
    balancer: str, nodes: list[Server], transport: str
) -> None:
    """All requests of a client reach one server, which knows its address. Both have clients."""
    async with AsyncExitStack() as stack:
        clients, homes = [], []
        addresses = (f"127.0.0.{number}" for number in range(2, 250))
        while len({id(home) for home in homes}) < 2:
            address = next(addresses)
            opened = raw_socketio(balancer, transport, address=address)
            clients.append(await stack.enter_async_context(opened))
            homes.append(home_of(address, nodes))
        publish = await stack.enter_async_context(PRODUCERS["http"](balancer))
        for _ in range(3):
            await publish(EVENT)
            for client in clients:
                await client.receive('42["furniture_created"')


@pytest.mark.parametrize(
    "transports",
    [["websocket"], ["polling"], ["polling", "websocket"]],
    ids=["websocket", "polling", "upgraded"],
)
async def test_a_client_is_recovered_on_the_other_server(
    balancer: str, nodes: list[Server], start_node: Start, transports: list[str]
) -> None:
    """After a stop of its server, and on its old server again after a kill of the other one."""
    async with (
        PRODUCERS["http"](balancer) as publish,
        node_client(balancer, transports=transports) as client,
    ):
        first = await client.wait_for("connect")
        await client.wait_for("ready")
        offsets = [(await publish(EVENT))["offset"]]
        home = home_of("127.0.0.1", nodes)
        (other,) = (node for node in nodes if node is not home)
        assert await asyncio.to_thread(home.stop) == 0
        offsets += [(await publish(EVENT))["offset"] for _ in range(3)]
        await client.wait_for("ready", 2)
        home = await asyncio.to_thread(start_node, port=home.port)
        await asyncio.to_thread(home.wait_until_ready)
        await asyncio.to_thread(other.kill)
        offsets += [(await publish(EVENT))["offset"] for _ in range(3)]
        await client.wait_for("ready", 3)
        offsets.append((await publish(EVENT))["offset"])
        await client.wait_until(lambda: len(client.events) >= len(offsets))
        assert client.events == offsets
        _, *again = client.all("connect")
        assert all(it["recovered"] and it["sid"] == first["sid"] for it in again)
        assert not client.all("ready", gap=True)


async def test_without_stickiness_polling_fails_and_websocket_works(
    tmp_path: Path, nodes: list[Server]
) -> None:
    """A server refuses a sid that it did not issue. A WebSocket is a single request."""
    in_turn = {"hash $remote_addr consistent;": "", "worker_processes auto": "worker_processes 1"}
    with nginx(tmp_path, nodes, in_turn) as url:
        with pytest.raises(Closed) as refused:
            async with raw_socketio(url, "polling"):
                pass
        assert refused.value.code == 400
        for _ in range(2):
            async with raw_socketio(url, "websocket") as client:
                assert client.ready


async def test_no_token_is_in_a_log_of_the_balancer(
    tmp_path: Path, balancer: str, nodes: list[Server]
) -> None:
    """A request with a token fails, so that nginx logs it: its logs contain no token."""
    for node in nodes:
        assert await asyncio.to_thread(node.stop) == 0
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{balancer}/ws", params={"token": "hunter2"}) as response,
    ):
        assert response.status == 502
    requests, errors = tmp_path / "access.log", tmp_path / "nginx.log"
    wait_until(lambda: "GET /ws 502" in requests.read_text(), "the request is in the log")
    assert "hunter2" not in requests.read_text() + errors.read_text()


async def test_a_revocation_reaches_every_node(own_valkey: Valkey, start_server: Start) -> None:
    """Also if its node is killed right after the answer, and a node that starts later."""
    start_node = partial(
        start_server, event_log=own_valkey.url, producer_keys=KEY, jwt_secret=SECRET
    )
    first, second = start_node(), start_node()
    revoked = token()
    async with raw_socketio(second.url, "websocket", {"token": revoked}) as client:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http,
            http.post(f"{first.url}/api/revocations", json={"sub": "ana"}) as response,
        ):
            assert response.status == 201
        first.kill()
        answered = time.monotonic()
        error = json.loads((await client.receive('42["error"'))[2:])[1]
        assert error["code"] == "unauthorized"
        assert time.monotonic() - answered < 5
    for node in (second, start_node()):
        with pytest.raises(ConnectionRefusedError):
            async with raw_socketio(node.url, "websocket", {"token": revoked}):
                pass
