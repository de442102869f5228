"""Background tasks, and the end of the server."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Client, clients_of


async def test_a_background_task_can_emit(transport: str) -> None:
    """The task gets its arguments and runs beside the server."""
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


async def test_a_handler_can_start_a_task_that_outlives_it(transport: str) -> None:
    """The handler's acknowledgement does not wait for the task."""
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


async def test_sleep_waits_and_lets_other_tasks_run() -> None:
    """Without an argument it only lets other tasks run."""
    server, steps = Server(), []
    loop = asyncio.get_running_loop()
    loop.call_soon(steps.append, "other")
    await server.sleep()
    assert steps == ["other"]
    before = loop.time()
    await server.sleep(0.02)
    assert loop.time() - before > 0.01


async def test_shutdown_closes_no_connection(transport: str) -> None:
    """``shutdown`` may be called at any time; the end of the web server closes the clients."""
    server = Server()
    server.on("x", lambda sid: "answer")
    await server.shutdown()
    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.shutdown()
        await server.shutdown()
        assert await client.call("x", timeout=TIMEOUT) == "answer"


async def test_disconnect_of_the_engine_closes_every_connection(transport: str) -> None:
    """``eio.disconnect()`` without a sid closes all sessions, and new clients can connect."""
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
    """The path may have slashes around it, and the application keeps its own routes."""

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


async def test_a_client_that_reads_nothing_does_not_delay_the_others() -> None:
    """``emit`` returns although one client takes no events."""
    server = Server(max_buffer_bytes=1000)
    async with clients_of(server) as connect:
        reading = await connect()
        silent = await connect(transport="polling")
        await silent.eio.http.close()
        for number in range(50):
            await server.emit("x", (number, "x" * 100))
        assert len(await reading.before_end(server)) == 50
