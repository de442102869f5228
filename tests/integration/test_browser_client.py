"""The JavaScript client in Chromium: its files, React, pages that sleep or are offline."""
# ruff: noqa: ASYNC221 - a test may block

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from tests.conftest import load_vectors
from tests.support import pages
from tests.support.browser import chromium, windows
from tests.support.proxy import proxied
from tests.support.server import ROOT, TIMEOUT, Server, free_ports
from tests.support.tokens import SECRET, token
from tests.support.transports import PRODUCERS
from tests.support.website import serving

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]
Start = Callable[..., Server]

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

PAGE = """
<!doctype html><title>Muebles</title><ul id="list"></ul><output id="state"></output>
"""
SCRIPT = (ROOT / "tests/pages/catalog.js").read_text()
MODULE = """
<script type="module">
  import { connectCatalog, createCatalogStore } from "BROKER/client/furniture-events.js";
  const BROKER = "BROKER";
  SCRIPT
</script>
"""
GLOBAL = """
<script src="BROKER/client/furniture-events.global.js"></script>
<script>
  const { connectCatalog, createCatalogStore } = FurnitureEvents;
  const BROKER = "BROKER";
  SCRIPT
</script>
"""


def catalog_page(broker: str, form: str) -> str:
    """Return a page that loads one of the browser files from the broker."""
    return PAGE + form.replace("SCRIPT", SCRIPT).replace('"BROKER', f'"{broker}')


@asynccontextmanager
async def site(
    broker: str, form: str = MODULE, files: dict[str, str | Callable[[], str]] | None = None
) -> AsyncIterator[str]:
    """Run the site of the page, which has another origin than the broker; return its URL."""
    texts = {"/": catalog_page(broker, form), "/other": "<title>Other</title>", **(files or {})}

    async def show(request: web.Request) -> web.Response:
        kind = "text/javascript" if request.path.endswith(".js") else "text/html"
        found = texts[request.path]
        return web.Response(text=found if isinstance(found, str) else found(), content_type=kind)

    app = web.Application()
    for path in texts:
        app.router.add_get(path, show)
    async with serving(app) as url:
        yield url


async def publish(server: Server, nombre: str, kind: str = "created", id: str = "") -> None:
    """Publish an event of the piece with this name and id."""
    piece = {**FURNITURE, "nombre": nombre, "furniture_id": id or nombre}
    async with PRODUCERS["http"](server.url) as send:
        await send({"type": f"furniture_{kind}", "furniture": piece})


async def shows(page: Page, *names: str) -> None:
    """Wait until the page's list has exactly these names."""
    await expect(page.locator("#list li")).to_have_text([*names], timeout=TIMEOUT * 1000)


async def says(page: Page, state: str) -> None:
    """Wait until the page says this state."""
    await expect(page.locator("#state")).to_have_text(state, timeout=TIMEOUT * 1000)


async def loads(page: Page) -> int:
    """Return how often the page has loaded its list."""
    return int(await page.locator("body").get_attribute("data-loads") or 0)


@pytest.mark.parametrize("form", [MODULE, GLOBAL], ids=["module", "global"])
async def test_two_pages_follow_every_change(
    start_server: Start, form: str, browser: Browser
) -> None:
    """Each browser file works in a page of another origin."""
    server = start_server()
    await publish(server, "Mesa")
    async with site(server.url, form) as url:
        async with windows(browser, 2) as pages:
            for page in pages:
                await page.goto(url)
                await says(page, "live")
                await shows(page, "Mesa")
            await publish(server, "Silla")
            await publish(server, "Mesa grande", "updated", "Mesa")
            for page in pages:
                await shows(page, "Mesa grande", "Silla")
            await publish(server, "Silla", "deleted")
            for page in pages:
                await shows(page, "Mesa grande")
                assert await loads(page) == 1


async def test_the_page_of_the_readme_is_live(start_server: Start, browser: Browser) -> None:
    """It is the example for pages without a bundler, with the URL of this server."""
    server = start_server()
    (example,) = pages.blocks("html", ROOT / "clients/javascript/README.md")
    files = {
        "/": "<!doctype html>" + example.replace("localhost:8765", server.host),
        "/muebles.json": json.dumps({"items": [{**FURNITURE, "nombre": "Mesa"}]}),
    }
    async with site(server.url, files=files) as url, windows(browser, 1) as (page,):
        await page.goto(url)
        await says(page, "live")
        await publish(server, "Silla")
        await shows(page, "Mesa", "Silla")


async def test_an_open_page_survives_a_restart(start_server: Start, browser: Browser) -> None:
    """The server is killed; the list is complete again without another load."""
    (port,) = free_ports(1)
    server = start_server(port=port, event_log="sqlite:///events.db")
    async with site(server.url) as url, windows(browser, 1) as (page,):
        await page.goto(url)
        await says(page, "live")
        server.kill()
        await says(page, "offline: unreachable")
        server = start_server(port=port, event_log="sqlite:///events.db")
        await publish(server, "Mesa")
        await shows(page, "Mesa")
        await says(page, "live")
        assert await loads(page) == 1


async def test_an_open_page_loads_its_list_again_at_a_gap(
    start_server: Start, browser: Browser
) -> None:
    """The log in memory is lost with its server."""
    (port,) = free_ports(1)
    server = start_server(port=port)
    async with site(server.url) as url, windows(browser, 1) as (page,):
        await page.goto(url)
        await says(page, "live")
        await publish(server, "Mesa")
        await shows(page, "Mesa")
        server.kill()
        server = start_server(port=port)
        await publish(server, "Silla")
        await shows(page, "Silla")
        await says(page, "live")
        assert await loads(page) == 2


async def test_an_open_page_replaces_its_token(start_server: Start, browser: Browser) -> None:
    """Its connection stays open longer than any of its tokens."""
    server = start_server(jwt_secret=SECRET)
    enough = asyncio.Event()
    issued: list[str] = []

    def issue() -> str:
        issued.append(token(exp=int(time.time()) + 5))
        if len(issued) == 5:  # after twelve seconds at least
            enough.set()
        return issued[-1]

    script = SCRIPT.replace(
        "load }", "load, getToken: async () => (await fetch('/token')).text() }"
    )
    page_source = catalog_page(server.url, MODULE).replace(SCRIPT, script)
    async with site(server.url, files={"/": page_source, "/token": issue}) as url:
        async with windows(browser, 1) as (page,):
            await page.goto(url)
            await says(page, "live")
            await asyncio.wait_for(enough.wait(), TIMEOUT)
            await publish(server, "Mesa")
            await shows(page, "Mesa")
            assert await page.evaluate("states") == ["live"]


async def test_a_page_from_the_back_forward_cache_catches_up(start_server: Start) -> None:
    """The browser keeps the page, because it has no connection meanwhile."""
    server = start_server()
    async with site(server.url) as url, chromium(keeps_pages=True) as browser:
        async with windows(browser, 1) as (page,):
            await page.goto(url)
            await says(page, "live")
            await page.goto(f"{url}/other")
            server.wait_for_log("disconnected", transport="socketio")
            await publish(server, "Mesa")
            await page.go_back(wait_until="commit")
            await shows(page, "Mesa")
            await says(page, "live")
            assert await page.locator("body").get_attribute("data-persisted") == "yes"
            assert await loads(page) == 1


async def test_a_frozen_page_with_a_dead_connection_catches_up(
    start_server: Start, browser: Browser
) -> None:
    """The browser would notice the dead connection after 45 seconds; the client asks at once.

    Chromium without a screen freezes no page, so the page only gets the events.
    """
    server = start_server()
    async with (
        proxied(server.port) as proxy,
        site(proxy.url) as url,
        windows(browser, 1) as (page,),
    ):
        await page.goto(url)
        await says(page, "live")
        await page.evaluate("document.dispatchEvent(new Event('freeze'))")
        proxy.silence()
        await publish(server, "Mesa")
        await page.evaluate("document.dispatchEvent(new Event('resume'))")
        await shows(page, "Mesa")
        await says(page, "live")


async def test_a_page_without_a_network_says_so_and_catches_up(
    start_server: Start, browser: Browser
) -> None:
    """It reconnects when the browser is online again."""
    server = start_server()
    async with site(server.url) as url, windows(browser, 1) as (page,):
        await page.goto(url)
        await says(page, "live")
        await page.context.set_offline(True)
        await says(page, "offline: no_network")
        await publish(server, "Mesa")
        await page.context.set_offline(False)
        await shows(page, "Mesa")
        await says(page, "live")
        assert await loads(page) == 1


async def test_quick_tab_switches_reconnect_never(start_server: Start, browser: Browser) -> None:
    """Twenty times, another tab comes to the front, and the page comes back."""
    server = start_server()
    async with site(server.url) as url, windows(browser, 1) as (page,):
        await page.goto(url)
        await says(page, "live")
        other = await page.context.new_page()
        for _ in range(20):
            await other.bring_to_front()
            await page.bring_to_front()
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await publish(server, "Mesa")
        await shows(page, "Mesa")
        assert await page.evaluate("states") == ["live"]
    connects = [line for line in server.log if line["message"] == "connected"]
    assert len(connects) == 1


REACT_PAGE = "<!doctype html><div id=page></div><div id=piece></div><script src=/react.js></script>"


async def test_a_react_page_is_rendered_when_what_it_reads_changes(
    start_server: Start,
    tmp_path: Path,
    browser: Browser,
) -> None:
    """An edit shows at once, also twice in React's strict mode."""
    server = start_server()
    bundle = tmp_path / "react.js"
    package = ROOT / "clients/javascript"
    subprocess.run(
        [
            *(package / "node_modules/.bin/esbuild", package / "tests/react-page.ts"),
            *("--bundle", "--log-level=warning", f"--outfile={bundle}"),
        ],
        check=True,
    )
    async with site(server.url, files={"/": REACT_PAGE, "/react.js": bundle.read_text()}) as url:
        async with windows(browser, 1) as (page,):
            await page.goto(f"{url}/?broker={server.url}")
            await says(page, "live")
            await publish(server, "Mesa")
            await publish(server, "Silla")
            await shows(page, "Mesa", "Silla")
            await expect(page.locator("#mesa")).to_have_text("75 cm")
            before = await page.evaluate("renders()")
            await publish(server, "Silla", "deleted")
            await shows(page, "Mesa")
            assert await page.evaluate("renders()") == before
            edited = {**FURNITURE, "furniture_id": "Mesa", "altura": 90}
            await page.evaluate("furniture => publish(furniture)", edited)
            await expect(page.locator("#mesa")).to_have_text("90 cm")
            await expect(page.locator("#unconfirmed")).to_have_text("0")
