"""Two servers over one Valkey behind the nginx and the Caddy of ``deploy/``, with TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from furniture_events import AsyncProducer
from yarl import URL

from tests.conftest import load_vectors
from tests.support.certificates import Files, trusting, write_certificate
from tests.support.deployed import IN_FRONT
from tests.support.https import check_every_transport
from tests.support.node import NodeClient, node_client
from tests.support.server import TIMEOUT, Server, wait_until
from tests.support.valkey import Valkey

EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]
GOOD = {name: value for name, value in EVENT.items() if name != "id"}

TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgraded": ["polling", "websocket"],
}
LOAD_EVENTS = 25
"""So many events are published before, between and after the restarts at least."""

MAX_LOAD_EVENTS = 5_000
"""The load ends with this event, even if the restarts never do."""


class Cluster:
    """Two servers that share a log, and that can be restarted one after the other."""

    def __init__(self, folder: Path, valkey: Valkey) -> None:
        self._folder = folder
        self._settings = {
            "event_log": valkey.url,
            "trusted_proxies": "127.0.0.1",
            "open_publish": "anyone",  # forwarded requests are not from this machine
        }
        self.nodes = [self._start(0) for _ in range(2)]
        self.ports = [node.port for node in self.nodes]

    def _start(self, port: int) -> Server:
        return Server(self._folder, port=port, **self._settings)

    def addresses(self, transport: str) -> list[str]:
        """Return the addresses of all clients that have connected to the running servers."""
        lines = [it for node in self.nodes for it in node.log if it["message"] == "connected"]
        return [it["address"] for it in lines if it["transport"] == transport]

    def restart(self, number: int) -> None:
        """Stop a server as a supervisor does, start it again, and wait until it is ready."""
        assert self.nodes[number].stop() == 0
        self.nodes[number] = self._start(self.ports[number])
        self.nodes[number].wait_until_ready()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return two servers that all tests of this module share."""
    folder = tmp_path_factory.mktemp("nodes")
    valkey = Valkey(folder / "valkey", appendonly="yes")
    valkey.start()
    running = Cluster(folder, valkey)
    yield running
    for node in running.nodes:
        node.stop()
    valkey.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return the files of a certificate."""
    return write_certificate(tmp_path_factory.mktemp("certificate"), "balancer")


@pytest.fixture(scope="module", params=IN_FRONT)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the balancer's logs; its name is the balancer's."""
    return tmp_path_factory.mktemp("balancer") / request.param


@pytest.fixture(scope="module")
def balancer(folder: Path, cluster: Cluster, files: Files) -> Iterator[str]:
    """Return the address of the balancer in front of both servers."""
    folder.mkdir()
    with IN_FRONT[folder.name](folder, cluster.ports, files) as url:
        yield url


async def test_every_transport_works_with_tls(balancer: str, files: Files) -> None:
    """A page of the same site passes: the servers know the scheme and the host."""
    await check_every_transport(balancer, files, GOOD)


async def test_a_rolling_restart_under_load_loses_nothing(
    balancer: str, files: Files, cluster: Cluster
) -> None:
    """The stock client, on each transport, gets each event once and recovers each time."""
    published: list[str] = []
    over = asyncio.Event()

    async def load(producer: AsyncProducer) -> None:
        while not over.is_set() and len(published) < MAX_LOAD_EVENTS:
            published.append((await producer.publish(GOOD)).offset)

    async def more_events() -> None:
        first = clients["websocket"]
        enough = len(published) + LOAD_EVENTS
        await first.wait_until(lambda: len(first.events) >= enough)

    async with AsyncExitStack() as stack:
        certificate = files.certificate.read_text()
        clients: dict[str, NodeClient] = {}
        for name, transports in TRANSPORTS.items():
            opened = node_client(balancer, transports=transports, ca=certificate)
            clients[name] = await stack.enter_async_context(opened)
        for client in clients.values():
            await client.wait_for("ready")
        producer = await stack.enter_async_context(
            AsyncProducer(balancer, ssl_context=trusting(files), deadline=30)
        )
        publishing = asyncio.create_task(load(producer))
        for number in (0, 1):
            await more_events()
            await asyncio.to_thread(cluster.restart, number)
        await more_events()
        for client in clients.values():
            await client.wait_for("ready", 2)
        over.set()
        await publishing
        for name, client in clients.items():
            await client.wait_until(lambda it=client: len(it.events) >= len(published))
            assert client.events == published, name
            _, *again = client.all("connect")
            assert [it["recovered"] for it in again] == [True] * len(again), name
            assert not client.all("ready", gap=True), name


async def test_polling_reaches_the_server_that_knows_the_session(
    balancer: str, files: Files
) -> None:
    """Each request on a connection of its own, as those of several browsers' tabs."""
    connector = aiohttp.TCPConnector(ssl=trusting(files), force_close=True)
    async with aiohttp.ClientSession(balancer, connector=connector) as http:
        async with http.get("/socket.io/?EIO=4&transport=polling") as response:
            sid = json.loads((await response.text())[1:])["sid"]
        path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        for packet in ("40", *['42["ping"]'] * 4):
            async with http.post(path, data=packet) as response:
                assert response.status == 200


async def test_a_client_cannot_choose_its_address(
    balancer: str, files: Files, cluster: Cluster
) -> None:
    """The balancer replaces the headers of the client."""
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9;proto=http"}
    earlier = len(cluster.addresses("websocket"))
    connector = aiohttp.TCPConnector(ssl=trusting(files))
    async with (
        aiohttp.ClientSession(balancer, connector=connector) as http,
        http.ws_connect("/ws", headers={**forged, "Origin": balancer}) as client,
    ):
        await client.send_json({"type": "ping"})
        assert (await client.receive_json(timeout=TIMEOUT))["type"] == "pong"
    wait_until(lambda: len(cluster.addresses("websocket")) > earlier, "the connection is logged")
    assert set(cluster.addresses("websocket")) == {"127.0.0.1"}


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "//metrics", "/%6detrics"])
async def test_the_paths_of_operators_stay_inside(balancer: str, files: Files, path: str) -> None:
    """They belong to one server, and strangers need not see them."""
    connector = aiohttp.TCPConnector(ssl=trusting(files))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get(URL(balancer + path, encoded=True)) as response,
    ):
        assert response.status == 404


def logs_in(folder: Path) -> str:
    """Return the text of all logs of the balancer."""
    return "".join(it.read_text() for it in folder.glob("*.log"))


async def test_no_token_is_in_a_log_of_the_balancer(
    balancer: str, folder: Path, files: Files, cluster: Cluster
) -> None:
    """Also if the request fails because no server runs."""
    for node in cluster.nodes:
        assert await asyncio.to_thread(node.stop) == 0
    connector = aiohttp.TCPConnector(ssl=trusting(files))
    async with (
        aiohttp.ClientSession(balancer, connector=connector) as http,
        http.get("/ws", params={"token": "hunter2"}) as response,
    ):
        assert response.status in (502, 503)
    wait_until(lambda: "/ws" in logs_in(folder), "the failed request is in a log")
    assert "hunter2" not in logs_in(folder)
    for number in (0, 1):
        await asyncio.to_thread(cluster.restart, number)
