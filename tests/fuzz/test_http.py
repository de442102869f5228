"""HTTP requests to the engine's path with any method, query and headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence

from tests.fuzz.budget import fuzz, ran, share
from tests.fuzz.client import Connection, Gone
from tests.fuzz.httpcases import Request, request_batches, websocket
from tests.fuzz.target import Target
from tests.fuzz.wire import PATH, request

SECONDS = 5


def test_only_valid_requests_open_a_session(target: Target) -> None:
    """No request makes the server fail, and only a valid handshake opens a session."""
    name = "HTTP requests"
    target.counts_tasks = False
    fuzz(name, share(5), request_batches, lambda batch: target.run(run(target, batch, name)))


async def run(target: Target, batch: Sequence[Request], name: str) -> None:
    """Send requests on separate connections, and end the sessions that they open."""
    for one in batch:
        ran[name] += 1
        connection = await Connection.open(target.port)
        try:
            async with asyncio.timeout(SECONDS):
                sid = await answer(connection, one)
        finally:
            connection.close()
        if sid is not None:
            connection = await Connection.open(target.port)
            await connection.send(
                request(f"{PATH}?EIO=4&transport=polling&sid={sid}", "POST", body=b"1")
            )
            status, _, _ = await connection.response()
            assert status == 200, status
            connection.close()


async def answer(connection: Connection, one: Request) -> str | None:
    """Send a request and check the answer; return the sid of a new polling session, if any."""
    status, body = 0, b""
    with contextlib.suppress(Gone):  # bytes that cannot begin a request close the connection
        await connection.send(one.encoded(), one.cuts)
        status, body = await read_response(connection, one)
    if status == 100:
        status = 0
        with contextlib.suppress(Gone):
            status, body = await read_response(connection, one)
    query = dict(reversed(one.parameters))
    assert status in (0, 101, 200, 400, 404, 405, 411, 413, 417, 426, 431, 501), (status, body)
    valid = one.method == "GET" and query.get("EIO") in ("4", "%34") and "sid" not in query
    if status == 101:
        assert valid, "upgraded"
        assert set(websocket[:3]) & set(one.headers), "upgraded"
        opcode, opened = await connection.frame()
        assert (opcode, opened[:2]) == (1, b"0{"), opened
        return None
    if status != 200:
        return None
    assert valid, "opened"
    assert query.get("transport") == "polling", "opened"
    assert body.startswith(b"0{"), body
    sid: str = json.loads(body[1:])["sid"]
    return sid


async def read_response(connection: Connection, one: Request) -> tuple[int, bytes]:
    """Read a response. If the server still waits for more of the request, close the connection."""
    try:
        async with asyncio.timeout(0.05):
            status, _, body = await connection.response(bodiless=one.method == "HEAD")
            return status, body
    except TimeoutError:
        connection.close()
        raise Gone from None
