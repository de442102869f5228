"""The benchmark of drops counts rightly: it finds a lost event, a late one, and a repeated one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from benchmarks.drops import servers
from benchmarks.drops.network import Network
from benchmarks.drops.run import Plan, deploy, roaming, run
from benchmarks.drops.servers import Elsewhere, Local, Target
from benchmarks.drops.tally import Tally

QUICK = Plan(consumers=4, networks=2, rate=20, seconds=1, online=0.3, away=0.3, grace=20)
LOST, REPEATED, LATE = 3, 5, 7
LATE_SECONDS = 1.2


async def nothing(target: Target, networks: object, plan: Plan) -> None:
    """No trouble."""


@asynccontextmanager
async def faulty_server() -> AsyncIterator[Elsewhere]:
    """An event stream that loses one event, repeats another one, and delays a third one."""
    streams: list[asyncio.Queue[bytes]] = []

    def send(data: bytes) -> None:
        for stream in streams:
            stream.put_nowait(data)

    async def publish(request: web.Request) -> web.Response:
        event = await request.json()
        number = int(event["furniture"]["furniture_id"])
        data = f"data: {json.dumps(event)}\n\n".encode()
        if number == LATE:
            asyncio.get_running_loop().call_later(LATE_SECONDS, send, data)
        elif number != LOST:
            send(data * (2 if number == REPEATED else 1))
        return web.Response(status=201)

    async def consume(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        streams.append(asyncio.Queue())
        queue = streams[-1]
        while True:
            await response.write(await queue.get())

    app = web.Application()
    app.add_routes([web.get("/", consume), web.post("/", publish)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield Elsewhere(url, url, "sse")
    finally:
        await runner.cleanup()


async def test_a_lost_a_late_and_a_repeated_event_are_found() -> None:
    """Of 10 events, a server loses one, repeats one, and delivers one after more than a second."""
    async with faulty_server() as server:
        figures = await run(server, nothing, Plan(2, 1, rate=20, seconds=0.5, grace=1.5))
    assert figures["delivered %"] == 90
    assert figures["within 1 s %"] == 80
    assert figures["within 5 s %"] == 90
    assert figures["twice %"] == 10
    assert figures["p99 ms"] > LATE_SECONDS * 1000


def test_a_tally_counts_only_the_events_of_the_plan() -> None:
    """Events of the warm-up count for nothing, and each consumer has its own arrivals."""
    tally = Tally(2)
    tally.add([(0, 0, 10**9), (0, 1, 3 * 10**9), (1, 1, 9 * 10**9), (0, 99, 0), (0, 99, 1)])
    figures = tally.figures({0: 0.5, 1: 2.5})
    assert figures["delivered %"] == 75
    assert (figures["within 1 s %"], figures["within 5 s %"]) == (50, 50)
    assert figures["twice %"] == 0
    assert not tally.has_all([0])
    assert tally.has_all([1])


@pytest.fixture(scope="module")
def ours() -> Iterator[Local]:
    """This server in a process, on a port that a restart keeps."""
    with servers.running("ours") as local:
        yield local


@pytest.mark.parametrize("trouble", [roaming, deploy])
async def test_this_server_delivers_every_event_once_through_each_trouble(
    ours: Local, trouble: object
) -> None:
    """A stock client of Socket.IO gets everything, although its network or the server goes away."""
    figures = await run(ours, trouble, QUICK)
    assert figures["delivered %"] == 100
    assert figures["twice %"] == 0


@pytest.mark.parametrize("unnoticed", [False, True])
async def test_a_network_goes_away_and_comes_back(unnoticed: bool) -> None:
    """Consumers are reset and refused. The server's end stays open if the drop goes unnoticed."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionResetError:
            pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    network = Network("127.0.0.1", server.sockets[0].getsockname()[1])
    await network.start()
    assert await echoes(network)
    network.go_away(unnoticed=unnoticed)
    assert not await echoes(network)
    if not unnoticed:
        await ended.wait()
    assert ended.is_set() != unnoticed
    network.come_back()
    assert await echoes(network)
    await network.stop()
    server.close()


async def echoes(network: Network) -> bool:
    """Return whether a new connection is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    try:
        writer.write(b"x")
        return await reader.read(1) == b"x"
    except ConnectionResetError:
        return False
    finally:
        writer.transport.abort()
