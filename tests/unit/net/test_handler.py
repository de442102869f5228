"""aiohttp behind the front: whole requests, and no task that outlives its connection."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web

from sio_server.net.front import HttpFront
from sio_server.net.front_context import FrontLimits
from sio_server.net.handler import Front, FrontHandler
from sio_server.net.listening import Listener, bind
from sio_server.net.response import TEXT, HttpResponse

TIMEOUT = 10


class NoResponder:
    """A responder without requests of its own."""

    def respond(self, request: Any) -> HttpResponse:
        """Fail: all requests are aiohttp's."""
        raise AssertionError(request.target)

    def refuse_head(self) -> HttpResponse:
        """Refuse a head."""
        return HttpResponse(431, b"", TEXT)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve two paths behind a front: one reads the body, one does not."""

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def ignore(request: web.Request) -> web.Response:
        return web.Response(text="ignored")

    app = web.Application(client_max_size=10_000_000)
    app.router.add_post("/read", read)
    app.router.add_post("/ignore", ignore)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None

    def make_handler(front: Front) -> FrontHandler:
        return FrontHandler(front, server, loop=loop, access_log=None)

    front = HttpFront(NoResponder(), "/engine/", make_handler, FrontLimits())
    listener = Listener(await bind(["127.0.0.1"], 0), front.accept)
    yield listener.port
    listener.close()
    front.abort()
    await runner.cleanup()


def post(path: str, body: bytes, length: int | None = None) -> bytes:
    """Return a request, with a body that may be shorter than announced."""
    size = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        size,
        body,
    )


async def bodies(port: int, data: bytes) -> list[bytes]:
    """Send bytes; return the bodies of the responses until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(TIMEOUT):
        received = await reader.read()
    writer.close()
    return [part.partition(b"HTTP/1.1")[0] for part in received.split(b"\r\n\r\n")[1:]]


async def test_requests_with_large_bodies_follow_one_another(port: int) -> None:
    """Aiohttp pauses a body that it does not read fast enough. No byte is lost or doubled."""
    requests = [post("/read", b"x" * size) for size in (0, 1, 300_000, 2_000_000, 5)]
    assert await bodies(port, b"".join(requests)) == [b"0", b"1", b"300000", b"2000000", b"5"]


async def test_a_body_that_is_not_read_is_not_the_next_request(port: int) -> None:
    """Even if it looks like one."""
    inner = post("/read", b"inner")
    assert await bodies(port, post("/ignore", inner) + post("/read", b"four")) == [b"ignored", b"4"]


async def test_a_chunked_request_is_the_last_one(port: int) -> None:
    """The response says so."""
    chunked = (
        b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert await bodies(port, chunked) == [b"3"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(chunked)
    async with asyncio.timeout(TIMEOUT):
        assert b"\r\nConnection: close\r\n" in await reader.read()
    writer.close()


async def test_no_task_waits_for_the_body_of_a_lost_connection(port: int) -> None:
    """The response was written, and the client has gone before it sent its whole body."""
    before = asyncio.all_tasks()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/ignore", b"x" * 100, length=500_000))
    async with asyncio.timeout(TIMEOUT):
        await reader.readuntil(b"ignored")
        assert asyncio.all_tasks() - before
        writer.transport.abort()
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)


class _Front:
    """A front whose connection does nothing."""

    def request_finished(self) -> None:
        """Do nothing."""


async def test_a_request_of_a_client_that_left_at_once_is_dropped() -> None:
    """The task of aiohttp for it ends without an error that nobody catches."""
    failures: list[Any] = []
    served: list[web.BaseRequest] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        served.append(request)
        return web.Response()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failures.append(context))
    handler = FrontHandler(cast("Front", _Front()), web.Server(serve), loop=loop)
    ours, theirs = socket.socketpair()
    with theirs:
        await loop.connect_accepted_socket(lambda: handler, ours)
        await asyncio.sleep(0)
        handler.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        transport = handler.transport
        handler.connection_lost(None)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(tasks, timeout=TIMEOUT)
        assert transport is not None
        transport.close()
    tasks.clear()
    gc.collect()  # a task tells its error when it is collected
    assert not failures
    assert not served
