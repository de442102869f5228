"""The live page's promises that no single use shows: texts, size, accessibility."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from sio_server.endpoints.pages import FURNITURE_CLIENT, PAGE, STATIC
from tests.support.axe import violations
from tests.support.live_page import becomes, card, event, fill_shop, live_page, publish
from tests.support.server import TIMEOUT, Server

Start = Callable[..., Server]

in_browser = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES = 60 * 1024
"""The most that the page may weigh, compressed, with its client."""

MAX_LINES = 300

READ_KEYS = """
const [path] = process.argv.slice(1);
const { default: words } = await import(path);
const values = (text) => (typeof text === "function" ? text.length : -1);
console.log(JSON.stringify(Object.entries(words).map(([key, text]) => [key, values(text)])));
"""


def words_of(language: str) -> dict[str, int]:
    """Return the keys of a language; with a text's number of values, or -1."""
    command = ["node", "--input-type=module", "-e", READ_KEYS, str(PAGE / f"words_{language}.js")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_both_languages_have_the_same_texts() -> None:
    """A text takes as many values in both."""
    assert words_of("es") == words_of("en")


FAMILIES = ("x_", "f_", "r_", "said_", "tag_", "furniture_")
"""Keys of which the page makes the second half: of a form, a field, a reason, a state, a type."""

STATES = {"live", "catching", "offline", "connecting", "denied", "still"}


def test_every_text_is_used_and_exists() -> None:
    """A text that nothing names is forgotten, and so is a name without a text."""
    scripts = [path.read_text("utf-8") for path in PAGE.glob("*.js") if "words_" not in path.name]
    source = "\n".join([*scripts, (STATIC / "index.html").read_text("utf-8")])
    quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", source))
    keys = set(words_of("es"))
    unused = {key for key in keys - quoted - STATES if not key.startswith(FAMILIES)}
    assert unused == set()
    asked = set(re.findall(r"\bt\(\"(\w+)\"", source))
    asked |= set(re.findall(r"data-t(?:-label|-placeholder)?=\"(\w+)\"", source))
    assert asked <= keys
    forms = re.findall(r"^  \[\"(\w+)\", \[", (PAGE / "kinds.js").read_text("utf-8"), re.MULTILINE)
    assert {f"x_{form}" for form in (*forms, "cabinet")} == {key for key in keys if key[:2] == "x_"}
    assert {f"said_{state}" for state in STATES} == {key for key in keys if key[:5] == "said_"}


def test_the_page_is_small() -> None:
    """All that a browser loads for the page, with the JavaScript client, compressed one by one."""
    loaded = ("page.js", "page.css", "furniture-events.js")
    files = [STATIC / "index.html", *(FURNITURE_CLIENT / name for name in loaded)]
    weight = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert weight <= MAX_BYTES


def test_no_script_of_the_page_is_long() -> None:
    """A file that grows has a second idea in it."""
    assert {
        path.name: lines
        for path in PAGE.iterdir()
        if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    } == {}


def test_nothing_of_the_page_comes_from_another_host_or_becomes_markup() -> None:
    """The policy forbids the first at run time; nothing forbids the second."""
    for path in (*PAGE.iterdir(), STATIC / "index.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|url\([\"']?http", text), path.name
        for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert name not in text, path.name


async def at_rest(page: Page, server: Server) -> None:
    """The shop, nothing else."""
    await expect(page.locator(".piece-card")).to_have_count(12)


async def changed(page: Page, server: Server) -> None:
    """A new, a changed and a deleted piece."""
    await publish(server, event("nueva"), event("mesa", "updated", ancho=150, material="pino"))
    await expect(card(page, "mesa").locator(".tag")).to_be_visible()


async def narrowed(page: Page, server: Server) -> None:
    """A filter, and a search without a match."""
    await page.locator('#materials [data-material="nogal"]').click()
    await expect(page.locator("#room")).not_to_be_empty()
    await page.get_by_role("searchbox").fill("terraza")
    await expect(page.locator("#nothing")).to_be_visible()


async def form(page: Page, server: Server) -> None:
    """The form, with faults."""
    await page.locator("#new").click()
    await page.locator("#sheet footer .button").first.click()
    await expect(page.locator("#sheet .summary")).not_to_be_empty()


async def activity(page: Page, server: Server) -> None:
    """The activity, open where it is a sheet."""
    if await page.locator("#feed-toggle").is_visible():
        await page.locator("#feed-toggle").click()
    await expect(page.locator("#events .event").first).to_be_visible()


async def offline(page: Page, server: Server) -> None:
    """The connection is cut."""
    await page.context.set_offline(True)
    await becomes(page, "offline")


async def figures(page: Page, server: Server) -> None:
    """The view of the server."""
    await page.get_by_role("link", name="Servidor").click()
    await expect(page.locator("#view-server .legend")).to_be_visible()


async def connecting(page: Page, server: Server) -> None:
    """The view with commands."""
    await page.get_by_role("link", name="Conectar").click()
    await expect(page.locator("#view-connect code").first).to_be_visible()


SCENES = (at_rest, changed, narrowed, form, activity, offline, figures, connecting)


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
@in_browser
async def test_axe_finds_nothing(
    start_server: Start, scheme: Any, width: int, browser: Browser
) -> None:
    """In every scene, on a dark phone and on a light wide screen. Nothing scrolls sideways."""
    server = start_server()
    await fill_shop(server)
    viewport: Any = {"width": width, "height": 900}
    found = {}
    async with live_page(browser, server, color_scheme=scheme, viewport=viewport) as page:
        for scene in SCENES:
            await page.context.set_offline(False)
            await page.goto(f"{server.url}/?{scene.__name__}")
            await becomes(page, "live")
            await scene(page, server)
            found[scene.__name__] = await violations(page)
            if await page.evaluate("document.documentElement.scrollWidth") > width:
                found[scene.__name__].append("scrolls sideways")
    assert {name: faults for name, faults in found.items() if faults} == {}


@in_browser
async def test_axe_finds_nothing_on_the_empty_page(start_server: Start, browser: Browser) -> None:
    """With the commands to copy."""
    async with live_page(browser, start_server()) as page:
        await expect(page.locator("#nothing")).to_be_visible()
        assert await violations(page) == []


@in_browser
async def test_a_changed_card_stays_the_same_element(start_server: Start, browser: Browser) -> None:
    """The browser need not find out again whether it is in sight. A button keeps the focus."""
    server = start_server()
    await publish(server, event("mesa"))
    async with live_page(browser, server, viewport={"width": 1440, "height": 900}) as page:
        table = card(page, "mesa")
        alone = await table.locator(".tile").bounding_box()
        assert alone is not None
        assert alone["height"] == 900 * 0.52  # one piece has a large room
        await table.evaluate("it => { it.isTheSame = true; }")
        await table.locator(".chip").focus()
        await publish(server, event("mesa", "updated", material="pino"))
        await expect(table.locator(".tag")).to_have_text("Cambiado")
        assert await table.evaluate("it => it.isTheSame")
        await expect(table.locator(".chip")).to_be_focused()


TILES = """() => [...document.querySelectorAll(".tile")].map((tile) => {
  const { a, d } = tile.firstElementChild.getScreenCTM();
  const round = (scale) => Math.round(scale * 100);
  return [tile.parentElement.dataset.id, tile.offsetHeight, round(a), round(d)];
})"""
"""The height of each tile, and the pixels of its metre, across and up."""


@in_browser
async def test_low_pieces_have_low_tiles_at_the_one_scale(
    start_server: Start, browser: Browser
) -> None:
    """So a small piece does not stand in much air, and sizes can still be compared by eye."""
    server = start_server()
    await fill_shop(server)
    async with live_page(browser, server, viewport={"width": 1440, "height": 900}) as page:
        await at_rest(page, server)
        tiles = await page.evaluate(TILES)
        assert {scale for _, _, *scales in tiles for scale in scales} == {tiles[0][2]}
        heights = {id: height for id, height, *_ in tiles}
        assert heights["mesita"] == heights["mesa"] == heights["armario"] / 2
        assert heights["mesa"] < heights["cama"] < heights["armario"]
