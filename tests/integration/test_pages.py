"""The server's files for browsers: the live page, the official client, and our own."""

from __future__ import annotations

import aiohttp
import pytest

from sio_server.endpoints.pages import FURNITURE_FILES, SOCKETIO_FILES
from tests.conftest import load_vectors
from tests.support import browser
from tests.support.server import ROOT, TIMEOUT, Server

EVENT = load_vectors("events.json")[0]["publish"]


async def publish(url: str, **furniture: str) -> None:
    """Publish an event with these fields of the furniture."""
    event = {**EVENT, "furniture": {**EVENT["furniture"], **furniture}}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/api/events", json=event) as done:
        assert done.status == 201


async def test_the_live_page_shows_each_event_as_text(server: Server) -> None:
    """It shows how to connect and each new event. HTML in an event is never interpreted."""
    async with browser.page() as page:
        page.set_default_timeout(TIMEOUT * 1000)
        await page.goto(server.url)
        await page.get_by_role("status").get_by_text("live", exact=True).wait_for()
        assert await page.get_by_text(f"wscat -c {server.ws_url}").is_visible()
        await publish(server.url, nombre="Mesa")
        await publish(server.url, nombre='<img src=x onerror="document.title=1">')
        items = page.locator("#events li")
        await items.nth(1).wait_for()
        newest, oldest = await items.all_inner_texts()
        assert "Mesa" in oldest
        assert "<img" in newest
        assert await page.title() == "Furniture events"


@pytest.mark.parametrize("name", SOCKETIO_FILES)
async def test_the_official_client_is_served_unchanged(server: Server, name: str) -> None:
    """The bytes are those of the npm package, at the same paths as on a Node.js server."""
    package = ROOT / "tests/node/node_modules/socket.io-client/dist" / name
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/socket.io/{name}") as response,
    ):
        assert response.status == 200
        assert await response.read() == package.read_bytes()
        if name.endswith(".js"):
            assert response.content_type in ("text/javascript", "application/javascript")


@pytest.mark.parametrize("name", FURNITURE_FILES)
async def test_our_client_is_served_with_an_etag(server: Server, name: str) -> None:
    """The bytes are those of the build. A browser that has them gets them again only if changed."""
    built = ROOT / "clients/javascript/dist/browser" / name
    url = f"{server.url}/client/{name}"
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            assert response.status == 200
            assert await response.read() == built.read_bytes()
            assert response.content_type in ("text/javascript", "application/javascript")
            etag = response.headers["ETag"]
        async with http.get(url, headers={"If-None-Match": etag}) as response:
            assert response.status == 304
