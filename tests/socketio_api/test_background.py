"""Background tasks, and the server's end."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Client, clients_of


async def test_a_background_task_emits(transport: str) -> None:
    """It gets its arguments and runs beside the server."""
    server, go = Server(), asyncio.Event()

    async def work(first: int, *, second: int) -> str:
        await go.wait()
        await server.sleep(0)
        await server.emit("done", (first, second))
        return "result"

    async with clients_of(server, transport) as connect:
        client = await connect()
        task = server.start_background_task(work, 1, second=2)
        assert isinstance(task, asyncio.Task)
        assert await client.before_end(server) == []
        go.set()
        assert await client.get("done") == (1, 2)
        assert await task == "result"


async def test_a_handler_starts_a_task_that_outlives_it(transport: str) -> None:
    """Its acknowledgement does not wait for the task."""
    server, go = Server(), asyncio.Event()

    async def work(sid: str) -> None:
        await go.wait()
        await server.emit("done", to=sid)

    @server.event
    def start(sid: str) -> str:
        server.start_background_task(work, sid)
        return "started"

    async with clients_of(server, transport) as connect:
        client = await connect()
        assert await client.call("start", timeout=TIMEOUT) == "started"
        go.set()
        assert await client.get("done") == ()


async def test_sleep_waits_and_lets_others_work() -> None:
    """Without an argument it only gives them their turn."""
    server, steps = Server(), []
    loop = asyncio.get_running_loop()
    loop.call_soon(steps.append, "other")
    await server.sleep()
    assert steps == ["other"]
    before = loop.time()
    await server.sleep(0.02)
    assert loop.time() - before > 0.01


async def test_shutdown_ends_no_connection(transport: str) -> None:
    """It may be called at any time, more than once; the web server's end is the clients'."""
    server = Server()
    server.on("x", lambda sid: "answer")
    await server.shutdown()
    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.shutdown()
        await server.shutdown()
        assert await client.call("x", timeout=TIMEOUT) == "answer"


async def test_the_engines_own_disconnect_ends_every_connection(transport: str) -> None:
    """``eio.disconnect()`` without a sid, as for a maintenance."""
    server, reasons = Server(), []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server, transport) as connect:
        for _ in range(3):
            await connect()
        await server.eio.disconnect()
        assert reasons == ["server disconnect"] * 3
        assert server.eio.sockets == {}
        assert (await connect()).connected


@pytest.mark.parametrize("path", ["socket.io", "/deep/path/", "x"])
async def test_attach_serves_at_a_path(path: str, transport: str) -> None:
    """Beside the application's own routes, with or without slashes around it."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="a page")

    server, app, client = Server(), web.Application(), Client()
    app.router.add_get("/page", page)
    server.attach(app, path)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await client.connect(url, transports=[transport], socketio_path=path, wait_timeout=TIMEOUT)
        assert client.connected
        await client.disconnect()
    finally:
        await runner.cleanup()


async def test_events_to_many_clients_do_not_wait_for_one_that_reads_nothing() -> None:
    """``emit`` returns; what a client does not take is its own affair."""
    server = Server(max_buffer_bytes=1000)
    async with clients_of(server) as connect:
        reading = await connect()
        silent = await connect(transport="polling")
        await silent.eio.http.close()
        for number in range(50):
            await server.emit("x", (number, "x" * 100))
        assert len(await reading.before_end(server)) == 50
