"""The live page when something is wrong: each fault has a state and a reason that it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browser import windows
from tests.support.live_page import TIMEOUT_MS, becomes, card, event, live_page, publish
from tests.support.server import Server
from tests.support.tokens import SECRET, token
from tests.support.website import serving

Start = Callable[..., Server]

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

KEY = "0123456789abcdef"


async def open_page(page: Page, url: str) -> None:
    """Open a page that will perhaps not become live."""
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    await page.goto(url)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (502, "<html>Bad gateway</html>", "HTTP 502"),
        (503, '{"code": "log_unavailable", "message": "no log"}', "log_unavailable"),
        (200, "not JSON", "HTTP 200"),
    ],
)
async def test_a_log_that_cannot_be_read_is_tried_again(
    server: Server,
    status: int,
    body: str,
    reason: str,
    browser: Browser,
) -> None:
    """The page says why, tries at a calm pace, and is live once the log answers."""
    await publish(server, event("mesa"))
    asked = []

    async def answer(route: Route) -> None:
        asked.append(time.monotonic())
        await route.fulfill(status=status, body=body)

    async with windows(browser, 1, locale="es") as (page,):
        await page.route("**/api/events?*", answer)
        await open_page(page, server.url)
        await expect(page.locator("#notice")).to_contain_text(reason)
        await becomes(page, "connecting")
        while len(asked) < 4:
            await asyncio.sleep(0.05)
        assert asked[-1] - asked[0] > 0.5
        await page.unroute("**/api/events?*")
        await becomes(page, "live")
        await expect(card(page, "mesa")).to_be_visible()
        await expect(page.locator("#notice")).to_be_hidden()


async def test_a_page_without_an_answer_says_that_the_server_is_away(
    server: Server, browser: Browser
) -> None:
    """A cut network at the start is no blank page."""
    async with windows(browser, 1, locale="en") as (page,):
        await page.route("**/api/**", lambda route: route.abort())
        await open_page(page, server.url)
        await expect(page.locator("#notice")).to_contain_text("The server does not answer.")
        await page.unroute("**/api/**")
        await becomes(page, "live")


async def test_without_a_credential_the_page_says_what_to_do(
    start_server: Start, browser: Browser
) -> None:
    """No access is a state of its own, with the server's code for developers."""
    server = start_server(require_auth="true", producer_keys=f"django:{KEY}", jwt_secret=SECRET)
    async with windows(browser, 1, locale="es") as (page,):
        await open_page(page, server.url)
        await becomes(page, "denied")
        await expect(page.get_by_role("heading", name="Sin acceso")).to_be_visible()
        await expect(page.locator("#nothing")).to_contain_text("unauthorized")
        await expect(page.locator("#new")).to_be_hidden()


async def test_a_token_in_the_fragment_lets_a_visitor_in_until_it_is_revoked(
    start_server: Start,
    browser: Browser,
) -> None:
    """The address bar loses it at once, and a reload keeps it. A revoked one shows no pieces."""
    server = start_server(require_auth="true", producer_keys=f"django:{KEY}", jwt_secret=SECRET)
    await publish(server, event("mesa"), key=KEY)
    given = token(sub="ana", scope="publish subscribe")
    async with live_page(browser, server, f"#token={given}") as page:
        assert given not in page.url
        await expect(card(page, "mesa")).to_be_visible()
        await expect(page.locator("#new")).to_be_visible()
        await page.reload()
        await becomes(page, "live")
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{server.url}/api/revocations", json={"sub": "ana"}) as done,
        ):
            assert done.status == 201
        await becomes(page, "denied")
        await expect(page.locator("#nothing")).to_contain_text("revocada")
        await expect(card(page, "mesa")).to_be_hidden()
        await page.get_by_role("button", name="Seguir sin el token").click()
        await becomes(page, "denied")
        await expect(page.locator("#nothing")).to_contain_text("a credential is needed")


async def test_a_token_that_only_publishes_shows_no_catalogue(
    start_server: Start, browser: Browser
) -> None:
    """It may connect, but not read."""
    server = start_server(jwt_secret=SECRET)
    async with windows(browser, 1, locale="es") as (page,):
        await open_page(page, f"{server.url}/#token={token(sub='ana', scope='publish')}")
        await becomes(page, "denied")
        await expect(page.locator("#nothing")).to_contain_text("no permite leer")


async def test_a_token_of_some_rooms_shows_their_pieces(
    start_server: Start, browser: Browser
) -> None:
    """The page asks for the rooms of the token, and for no other."""
    server = start_server(jwt_secret=SECRET)
    await publish(server, event("mesa"), event("silla"))
    given = token(sub="ana", rooms=["material:roble"])
    async with live_page(browser, server, f"#token={given}") as page:
        await expect(page.locator(".piece-card")).to_have_count(1)
        await publish(server, event("mesa", "updated", material="pino"), event("otra"))
        await expect(card(page, "otra")).to_be_visible()
        await expect(card(page, "mesa")).to_have_count(0)


async def test_a_server_of_another_version_is_named(server: Server, browser: Browser) -> None:
    """The page offers to load itself again, and does not try for ever."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/socket.io"):
            return web.json_response({"code": 5, "message": "Unsupported protocol"}, status=400)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{server.url}{request.path_qs}") as it,
        ):
            return web.Response(body=await it.read(), content_type=it.content_type)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with serving(app) as url, windows(browser, 1, locale="es") as (page,):
        await open_page(page, url)
        await becomes(page, "denied")
        await expect(page.get_by_role("heading", name="Página y servidor")).to_be_visible()
        await expect(page.get_by_role("button", name="Recargar la página")).to_be_visible()


async def test_without_the_browser_client_the_page_says_so(
    server: Server, browser: Browser
) -> None:
    """A server without Node.js shows its log as it is now, and does not claim to be live."""
    await publish(server, event("mesa"))
    async with windows(browser, 1, locale="es") as (page,):
        await page.route("**/client/*", lambda route: route.fulfill(status=404, body="{}"))
        await open_page(page, server.url)
        await becomes(page, "still")
        await expect(page.locator("#notice")).to_contain_text("make browser-client")
        await expect(card(page, "mesa")).to_be_visible()
        await expect(page.locator("#new")).to_be_hidden()


async def test_a_form_keeps_the_entries_while_the_server_is_away(
    start_server: Start, browser: Browser
) -> None:
    """The form says that nothing was published, and nothing is lost."""
    server = start_server()
    await publish(server, event("mesa"))
    async with live_page(browser, server) as page:
        await page.get_by_role("button", name="Nuevo mueble").click()
        fields = ("nombre", "Mesa"), ("ancho", "80"), ("altura", "75"), ("material", "pino")
        for name, text in (*fields, ("autor_username", "ana")):
            await page.locator(f"#in-{name}").fill(text)
        server.kill()
        await becomes(page, "offline")
        await page.locator("#sheet footer .button").first.click()
        await expect(page.locator("#sheet .summary")).to_contain_text("Tus datos siguen aquí")
        assert await page.locator("#in-nombre").input_value() == "Mesa"
