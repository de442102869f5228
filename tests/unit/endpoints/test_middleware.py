"""The middleware: every failure of a handler becomes an error of the contract."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sio_server.app import make_app
from sio_server.contract.errors import NotFound
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.hub import Hub
from sio_server.settings import Settings

SECRET = "a secret of the server"


async def fail(request: web.Request) -> web.StreamResponse:
    """Fail as a bug would."""
    raise ValueError(SECRET)


async def refuse(request: web.Request) -> web.StreamResponse:
    """Refuse with an error of the contract."""
    raise NotFound("no such thing")


Running = tuple[TestClient[Any, Any], Hub]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """Return a client of an app with two more handlers, and the app's hub."""
    app, hub, _ = make_app(Settings(_env_file=None), MemoryLog(Retention()))
    app.router.add_get("/fail", fail)
    app.router.add_get("/refuse", refuse)
    async with TestClient(TestServer(app)) as client:
        yield client, hub


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/refuse", 404, "not_found"),
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/api/events", 405, "method_not_allowed"),
    ],
)
async def test_a_refusal_is_a_problem(
    running: Running, method: str, path: str, status: int, code: str
) -> None:
    """The contract's own errors and aiohttp's have the same form."""
    client, _ = running
    response = await client.request(method, path)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert (await response.json())["code"] == code
    assert response.headers["Server"] == "sio_server"


async def test_a_bug_is_logged_and_not_shown(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns only that the server failed."""
    client, _ = running
    with caplog.at_level(logging.ERROR):
        response = await client.get("/fail")
    assert response.status == 500
    assert json.loads(await response.text())["code"] == "internal"
    assert SECRET not in await response.text()
    assert [record.getMessage() for record in caplog.records] == ["request_failed"]


async def test_a_draining_server_answers_only_its_operators(running: Running) -> None:
    """New work is refused; a load balancer still sees why."""
    client, hub = running
    await hub.drain()
    refused = await client.get("/api/events")
    assert (refused.status, (await refused.json())["code"]) == (503, "shutting_down")
    assert int(refused.headers["Retry-After"]) >= 1
    ready = await client.get("/readyz")
    assert (ready.status, await ready.json()) == (503, {"status": "draining"})
    assert (await client.get("/metrics")).status == 200


async def test_another_origin_is_refused_everywhere_but_for_operators(running: Running) -> None:
    """Its page may not even send a request that it cannot read."""
    client, _ = running
    headers = {"Origin": "https://evil.example"}
    assert (await client.get("/", headers=headers)).status == 403
    assert (await client.get("/metrics", headers=headers)).status == 200
