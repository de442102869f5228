"""The live page with a long log, and with a log that has forgotten what the page missed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Request, expect

from tests.support import browser
from tests.support.live_page import TIMEOUT_MS, becomes, card, event, publish, visit
from tests.support.server import Server, wait_until

Start = Callable[..., Server]

EVENTS, MISSED, PIECES, BATCH = 5_000, 2_000, 300, 1_000
MAX_REQUESTS, MAX_BYTES = 5, 250_000
"""What a page may ask of the server at its start, besides its files, however long the log is."""

NOTE_WORDS = """() => {
  window.said = [];
  const words = document.getElementById("link-words");
  new MutationObserver(() => said.push(words.textContent)).observe(words, { childList: true });
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with the default limit of requests."""
    started = Server(tmp_path_factory.mktemp("long"), rate_limit=100)
    yield started
    assert started.stop() == 0


async def publish_many(server: Server, events: int) -> None:
    """Publish changes of pieces, each piece many times."""
    for first in range(0, events, BATCH):
        numbers = range(first, first + BATCH)
        changes = (event(f"p{n % PIECES}", "updated", ancho=50 + n % 97) for n in numbers)
        await publish(server, *changes)


async def api_answers(page: Page, url: str) -> dict[str, int]:
    """Open the page, and return its requests to the API, with the bytes of their answers."""
    finished: list[Request] = []
    page.on("requestfinished", lambda it: finished.append(it))  # noqa: PLW0108 - it needs a function
    await page.goto(url)
    await becomes(page, "live")
    asked = [it for it in finished if urlsplit(it.url).path.startswith("/api/")]
    return {it.url: (await it.sizes())["responseBodySize"] for it in asked}


async def test_a_long_log_costs_a_page_no_more_than_a_short_one(server: Server) -> None:
    """A page that has missed much says how far it is. A page that opens reads a bounded part."""
    async with browser.page(locale="es", viewport={"width": 1440, "height": 900}) as page:
        await publish_many(server, EVENTS)
        await visit(page, server)
        await page.evaluate(NOTE_WORDS)
        await page.context.set_offline(True)
        await becomes(page, "offline")
        await publish_many(server, MISSED)
        await page.context.set_offline(False)
        await becomes(page, "live")
        said = await page.evaluate("said")
        assert any(words.endswith(" de 2.000") for words in said), said
        await expect(page.locator("#notice")).to_contain_text("2.000 eventos recuperados")
        await expect(page.locator("#count")).to_have_text("300 muebles")

        answers = await api_answers(page, f"{server.url}/?again")
        assert len(answers) <= MAX_REQUESTS, answers
        assert sum(answers.values()) <= MAX_BYTES, answers
        await expect(page.locator("#count")).to_have_text("300 muebles")
        await expect(page.locator(".piece-card")).to_have_count(60)
        lines = page.locator("#events .event")
        for count in (100, 240):
            await page.locator("#feed-body").evaluate("it => { it.scrollTop = it.scrollHeight; }")
            await expect(lines).to_have_count(count)
        await expect(lines.nth(239)).to_contain_text("→")  # what the piece was before
        await page.locator("#f-event").select_option("furniture_deleted")
        await expect(page.get_by_role("button", name="Buscar más atrás")).to_be_visible()


async def test_a_very_large_catalogue_is_shown_in_part(server: Server) -> None:
    """The page says which part it shows."""
    for first in range(0, 4 * BATCH + 1, BATCH):
        await publish(server, *(event(f"many{n}") for n in range(first, first + BATCH)))
    async with browser.page(locale="es") as page:
        await visit(page, server)
        await expect(page.locator("#count")).to_contain_text("cambiados más recientemente")
        await expect(page.locator(".piece-card")).to_have_count(60)
        await expect(card(page, "many4999")).to_be_visible()


def log_is_empty(server: Server) -> bool:
    """Tell whether the retention has passed all events."""
    with urllib.request.urlopen(f"{server.url}/api/events?limit=0") as answer:
        page: dict[str, Any] = json.load(answer)
    return bool(page["oldest"] == page["position"])


async def test_a_page_that_returns_after_a_day_says_so_and_is_right(start_server: Start) -> None:
    """Its session is gone, and the log has nothing left of its time away; here, of two seconds."""
    server = start_server(retention_seconds=1)
    await publish(server, event("mesa"), event("silla"))
    cache = browser.chromium(keeps_pages=True)
    async with cache as chromium, browser.windows(chromium, 1, locale="es") as (page,):
        await visit(page, server)
        await expect(page.locator(".piece-card")).to_have_count(2)
        await page.evaluate("window.isTheSame = true")
        await page.goto(f"{server.url}/api/docs")
        server.wait_for_log("disconnected", transport="socketio")
        await publish(server, event("silla", "deleted"), event("nueva"))
        wait_until(lambda: log_is_empty(server), "the log has forgotten all")
        await page.go_back(wait_until="commit")
        await expect(card(page, "nueva")).to_be_visible(timeout=TIMEOUT_MS)
        await becomes(page, "live")
        assert await page.evaluate("window.isTheSame")
        await expect(page.locator("#notice")).to_contain_text("la lista se ha vuelto a leer")
        await expect(card(page, "silla")).to_have_count(0)
        await expect(card(page, "mesa")).to_be_visible()
