"""The live page without a mouse: the focus is seen, goes everywhere, and is never lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.live_page import card, event, live_page, publish
from tests.support.server import Server

Start = Callable[..., Server]

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDE = {"width": 1440, "height": 900}

FOCUS = """() => {
  const it = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(it);
  const isSeen = outlineStyle === "solid" && outlineWidth === "2px";
  const where = it.closest("header, .headline, .filters, .piece-card, .feed") ?? it;
  return [it === document.body ? "BODY" : where.className.split(" ")[0], isSeen];
}"""
"""The part of the page that has the focus, and whether a visitor sees it."""


async def walk(page: Page) -> list[str]:
    """Press Tab until the focus leaves the page; return its parts in their order."""
    parts: list[str] = []
    while True:
        await page.keyboard.press("Tab")
        part, is_seen = await page.evaluate(FOCUS)
        if part == "BODY":
            return parts
        assert is_seen, part
        if parts[-1:] != [part]:
            parts.append(part)


def edit(page: Page, id: str) -> Locator:
    """Return the button that opens the form of a piece."""
    return card(page, id).locator(".edit")


async def press(at: Locator, key: str) -> None:
    """Press a key at an element, as a visitor does who has come there with Tab."""
    await at.focus()
    await at.press(key)


async def test_tab_visits_all_parts_in_order_and_is_seen(
    start_server: Start, browser: Browser
) -> None:
    """From the header to the activity, and out again: nothing is a trap."""
    server = start_server()
    await publish(server, event("mesa"), event("silla"))
    async with live_page(browser, server, viewport=WIDE) as page:
        await expect(page.locator(".piece-card")).to_have_count(2)
        parts = await walk(page)
        assert parts == ["skip", "top", "headline", "filters", "piece-card", "feed"]


async def test_a_form_opens_and_closes_with_keys(start_server: Start, browser: Browser) -> None:
    """Escape closes it. The focus goes back, or to the card beside a deleted one."""
    server = start_server()
    await publish(server, *map(event, ("mesa", "silla", "cama", "sofa", "armario")))
    async with live_page(browser, server, viewport=WIDE) as page:
        await press(page.locator("#new"), "Enter")
        await expect(page.locator("#in-nombre")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.locator("#new")).to_be_focused()
        await press(edit(page, "cama"), "Enter")
        await press(page.locator("#sheet").get_by_role("button", name="Borrar"), "Enter")
        await expect(page.get_by_role("button", name="Sí, borrar")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(edit(page, "silla")).to_be_focused()
        await card(page, "cama").wait_for(state="detached")
        await expect(edit(page, "silla")).to_be_focused()
        await press(edit(page, "sofa"), "Enter")
        await publish(server, event("sofa", "deleted"))  # by somebody else
        await card(page, "sofa").wait_for(state="detached")
        await page.keyboard.press("Escape")
        await expect(edit(page, "armario")).to_be_focused()


async def test_the_focus_stays_in_the_list_when_its_cards_change(
    start_server: Start, browser: Browser
) -> None:
    """A card goes away, all cards are drawn again, more cards come."""
    server = start_server()
    await publish(server, *(event(f"p{number}", nombre=f"Mesa {number}") for number in range(62)))
    async with live_page(browser, server, viewport=WIDE) as page:
        await press(page.get_by_role("button", name="Mostrar 2 más"), "Enter")
        await expect(edit(page, "p1")).to_be_focused()
        await publish(server, event("p1", "deleted"))
        await expect(edit(page, "p0")).to_be_focused()
        await press(card(page, "p0").locator(".chip"), "Enter")  # shows only its material
        await expect(card(page, "p0").locator(".chip")).to_be_focused()
        await publish(server, event("alto", altura=250))  # another wall: all cards are drawn again
        await card(page, "alto").wait_for()
        await expect(card(page, "p0").locator(".chip")).to_be_focused()
