"""The server's files for browsers: the live page, and the official client."""

from __future__ import annotations

import aiohttp
import pytest

from sio_server.endpoints.pages import CLIENT_FILES
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


@pytest.mark.parametrize("name", CLIENT_FILES)
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
