"""The live page of a server, in a real browser, and a producer beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.browser import windows
from tests.support.server import TIMEOUT, Server

TIMEOUT_MS = TIMEOUT * 1000

PIECES = {
    "mesa": ("Mesa de roble", "Mesa de comedor para seis", 75, 180, "roble", "ana"),
    "silla": ("Silla Carmen", "Con asiento de enea", 92, 45, "haya", "ana"),
    "estanteria": ("Estantería", "Cinco baldas", 190, 80, "pino", "juan"),
    "butaca": ("Butaca Lino", "Tapizada, muy baja", 84, 76, "tela", "eva"),
    "armario": ("Armario Norte", "Dos puertas y cajón", 205, 110, "nogal", "marta"),
    "lampara": ("Lámpara de pie", "Luz cálida", 158, 42, "metal", "eva"),
    "cama": ("Cama Duna", "Cabecero alto", 104, 160, "haya", "juan"),
    "comoda": ("Cómoda de nogal", "Seis cajones", 82, 120, "nogal", "marta"),
    "sofa": ("Sofá Ribera", "Tres plazas", 80, 210, "lino", "eva"),
    "mesita": ("Mesita de mármol", "Auxiliar", 52, 48, "mármol", "ana"),
    "escritorio": ("Escritorio Taller", "Con cajonera", 74, 140, "roble", "juan"),
    "vitrina": ("Vitrina", "Cristal templado", 176, 90, "cristal", "marta"),
}
"""A small shop: the fields of each piece, by its id."""

FIELDS = ("nombre", "descripcion", "altura", "ancho", "material", "autor_username")


def event(id: str, kind: str = "created", **changes: object) -> dict[str, Any]:
    """Return an event of a piece of the shop, or of another one like the table, with changes."""
    fields = dict(zip(FIELDS, PIECES.get(id, PIECES["mesa"]), strict=True))
    return {"type": f"furniture_{kind}", "furniture": {"furniture_id": id, **fields, **changes}}


async def publish(server: Server, *events: dict[str, Any], key: str | None = None) -> None:
    """Publish events in their order."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/events/batch", json={"events": events}) as answer,
    ):
        results = (await answer.json())["results"]
        assert all(result["ok"] for result in results), results


async def fill_shop(server: Server) -> None:
    """Publish all pieces of the shop."""
    await publish(server, *map(event, PIECES))


async def becomes(page: Page, link: str) -> None:
    """Wait until the page's connection has this state."""
    await expect(page.locator("html")).to_have_attribute("data-link", link, timeout=TIMEOUT_MS)


async def visit(page: Page, server: Server, fragment: str = "") -> None:
    """Open the live page, and wait until it is live."""
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    await page.goto(f"{server.url}/{fragment}")
    await becomes(page, "live")


def card(page: Page, id: str) -> Locator:
    """Return the card of a piece."""
    return page.locator(f'.piece-card[data-id="{id}"]')


@asynccontextmanager
async def live_page(
    browser: Browser, server: Server, fragment: str = "", *, locale: str = "es", **options: Any
) -> AsyncIterator[Page]:
    """Open the live page in a new window; see ``windows``."""
    async with windows(browser, 1, locale=locale, **options) as (page,):
        await visit(page, server, fragment)
        yield page
