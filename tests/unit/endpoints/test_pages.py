"""The files that a browser loads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sio_server.contract.errors import NotFound
from sio_server.endpoints import pages
from sio_server.endpoints.pages import FURNITURE_FILES, SOCKETIO_FILES, Pages


async def test_a_file_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server also runs without Node.js, and then without the browser client."""
    for folder in ("SOCKETIO_CLIENT", "FURNITURE_CLIENT"):
        monkeypatch.setattr(pages, folder, tmp_path)
    errors: list[NotFound] = []

    @web.middleware
    async def note(request: web.Request, handler: pages.Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFound as error:
            errors.append(error)
            return web.Response(status=error.status)

    app = web.Application(middlewares=[note])
    Pages().add_routes(app)
    async with TestClient(TestServer(app)) as client:
        for name in SOCKETIO_FILES:
            assert (await client.get(f"/socket.io/{name}")).status == 404
        for name in FURNITURE_FILES:
            assert (await client.get(f"/client/{name}")).status == 404
    assert all("make browser-client" in error.message for error in errors)
    assert len(errors) == len(SOCKETIO_FILES) + len(FURNITURE_FILES)


async def test_a_file_carries_the_policy_of_the_page() -> None:
    """No script of another origin runs in it, and no other page frames it."""
    app = web.Application()
    Pages().add_routes(app)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/page/main.js")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("is_newer", [True, False])
async def test_the_built_page_is_served_unless_a_source_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_newer: bool
) -> None:
    """A developer who changes a source sees the change."""
    for name, texts in {
        "PAGE": ("main.js", "page.css"),
        "FURNITURE_CLIENT": ("page.js", "page.css"),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(pages, name, folder)
        seconds = 2000 if (name == "PAGE") == is_newer else 1000
        for text in texts:
            (folder / text).write_text(name)
            os.utime(folder / text, (seconds, seconds))
    app = web.Application()
    Pages().add_routes(app)
    async with TestClient(TestServer(app)) as client:
        served = {
            await (await client.get(f"/page/{name}")).text() for name in ("main.js", "page.css")
        }
    assert served == {"PAGE" if is_newer else "FURNITURE_CLIENT"}
