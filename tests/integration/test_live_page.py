"""The live page as its visitors use it, in a real browser."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import windows
from tests.support.live_page import becomes, card, event, fill_shop, live_page, publish, visit
from tests.support.server import Server, free_ports, wait_until

Start = Callable[..., Server]

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's


def milliseconds(text: str) -> float:
    """Return the number of a text such as ``38 ms``."""
    return float(re.sub(r"\D", "", text))


async def test_two_pages_see_each_change_within_a_second(
    start_server: Start, browser: Browser
) -> None:
    """A created, a changed and a deleted piece, each with the measured milliseconds."""
    server = start_server()
    async with windows(browser, 2, locale="es") as pages:
        for page in pages:
            await visit(page, server)
            await expect(page.get_by_role("heading", name="La sala está vacía")).to_be_visible()
        await publish(server, event("mesa"))
        for page in pages:
            await expect(card(page, "mesa").locator(".tag")).to_have_text("Nuevo")
            await expect(page.locator("#count")).to_have_text("1 mueble")
        await publish(server, event("mesa", "updated", ancho=120, material="nogal"))
        for page in pages:
            table = card(page, "mesa")
            await expect(table.locator(".tag")).to_have_text("Cambiado")
            await expect(table.locator("del").first).to_contain_text("180")
            await expect(table.locator("ins").first).to_contain_text("120")
            await expect(table.locator(".was-outline")).to_have_count(1)
        gone = [
            expect(card(page, "mesa").locator(".tag")).to_have_text("Borrado") for page in pages
        ]
        deletion = event("mesa", "deleted", ancho=120, material="nogal")
        await asyncio.gather(*gone, publish(server, deletion))
        for page in pages:
            await expect(card(page, "mesa")).to_have_count(0)
            lines = page.locator("#events .event")
            await expect(lines).to_have_count(3)
            times = map(milliseconds, await lines.locator(".ms").all_inner_texts())
            assert all(1 <= time <= 1000 for time in times)


async def test_pages_recover_without_a_hole_after_a_restart(
    tmp_path: Path, browser: Browser
) -> None:
    """Events of the time without them are shown with their true delay, and none is lost."""
    (port,) = free_ports(1)
    settings = {"port": port, "event_log": "sqlite:///events.db"}
    server = Server(tmp_path, **settings)
    await fill_shop(server)
    async with windows(browser, 2, locale="es") as pages:
        for page in pages:
            await visit(page, server)
            await expect(page.locator(".piece-card")).to_have_count(12)
        server.kill()
        for page in pages:
            await becomes(page, "offline")
            await expect(page.locator("#notice")).to_contain_text("El servidor no responde.")
            await expect(page.locator("#link-words")).to_contain_text("Sin conexión desde hace")
            await page.context.set_offline(True)
        server = Server(tmp_path, **settings)
        await publish(
            server,
            event("mesa", "deleted"),
            event("silla", "updated", material="pino"),
            event("nueva"),
        )
        for page in pages:
            await page.context.set_offline(False)
            await becomes(page, "live")
            notice = page.locator("#notice")
            await expect(notice).to_contain_text("3 eventos recuperados, ninguno perdido.")
            await expect(page.locator("#events .is-late")).to_have_count(3)
            await expect(card(page, "mesa")).to_have_count(0)
            await expect(card(page, "silla").locator(".chip")).to_contain_text("pino")
            await expect(card(page, "nueva")).to_be_visible()
            await notice.get_by_role("button", name="Cerrar aviso").click()
            await expect(notice).to_be_hidden()
        assert server.stop() == 0


async def test_a_page_says_that_the_log_no_longer_has_everything(
    tmp_path: Path, browser: Browser
) -> None:
    """A log in memory is another one after a restart: the list is read again."""
    (port,) = free_ports(1)
    server = Server(tmp_path, port=port)
    await publish(server, event("mesa"), event("silla"))
    async with live_page(browser, server) as page:
        server.kill()
        await becomes(page, "offline")
        server = Server(tmp_path, port=port)
        await publish(server, event("cama"))
        await becomes(page, "live")
        await expect(page.locator("#notice")).to_contain_text("la lista se ha vuelto a leer")
        await expect(page.locator(".piece-card")).to_have_count(1)
        await expect(card(page, "cama")).to_be_visible()
        assert server.stop() == 0


def get_json(url: str) -> Any:
    """Return the JSON at a URL."""
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def rooms_of(server: Server) -> set[str]:
    """Return the rooms with members."""
    largest = get_json(f"{server.url}/api/stats")["rooms"]["largest"]
    return {each["room"] for each in largest}


async def test_a_filter_is_a_room(start_server: Start, browser: Browser) -> None:
    """With a material, the page receives only that room's events; a piece that leaves it goes."""
    server = start_server()
    await fill_shop(server)
    async with live_page(browser, server) as page:
        await page.locator('#materials [data-material="nogal"]').click()
        await expect(page.locator("#room")).to_have_text("sala material:nogal")
        await expect(page.locator(".piece-card")).to_have_count(2)
        wait_until(lambda: rooms_of(server) == {"material:nogal"}, "the page is in one room")
        await publish(
            server,
            event("otra", material="pino"),
            event("comoda", "updated", material="roble"),
            event("baul", material="nogal"),
        )
        await expect(card(page, "baul")).to_be_visible()
        await expect(card(page, "comoda")).to_have_count(0)
        assert await page.locator("#events").get_by_text("pino").count() == 0
        await page.locator('#materials [data-material=""]').click()
        await expect(page.locator("#room")).to_have_text("")
        await expect(page.locator("#count")).to_have_text("14 muebles")
        await expect(card(page, "otra")).to_be_visible()
        await page.locator("#f-author").select_option("ana")
        await expect(page.locator("#room")).to_have_text("sala author:ana")


async def test_search_finds_words_and_can_be_cleared(start_server: Start, browser: Browser) -> None:
    """Without a match, the page says for what it looked."""
    server = start_server()
    await fill_shop(server)
    async with live_page(browser, server) as page:
        await page.get_by_role("searchbox").fill("lino")
        await expect(page.locator("#count")).to_have_text("2 de 12 muebles")
        await page.get_by_role("searchbox").fill("terraza")
        await expect(page.locator("#nothing")).to_contain_text("Nada con “terraza”.")
        await page.get_by_role("button", name="Quitar los filtros").click()
        await expect(page.locator(".piece-card")).to_have_count(12)


async def fill(page: Page, **fields: str) -> None:
    """Fill in fields of the form."""
    for name, text in fields.items():
        await page.locator(f"#in-{name}").fill(text)


async def test_the_form_publishes_changes_and_deletes(server: Server, browser: Browser) -> None:
    """Faults are beside their fields. The piece's other fields stay as they were."""
    await publish(server, event("mesa", precio=99), event("silla"))
    async with live_page(browser, server) as page:
        sheet = page.locator("#sheet")
        await page.get_by_role("button", name="Nuevo mueble").click()
        await fill(page, nombre="Butaca Norte", ancho="82", altura="-90", material="tela")
        await sheet.get_by_role("button", name="Publicar").click()
        await expect(sheet.get_by_role("alert")).to_have_text("Hay 2 datos por corregir.")
        height = page.locator("#in-altura")
        await expect(height).to_be_focused()
        await expect(height).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#in-altura-help")).to_have_text("No puede ser menor que 0.")
        await fill(page, altura="90,5", autor_username="ana")
        await sheet.get_by_role("button", name="Publicar").click()
        await expect(sheet).to_be_hidden()
        await expect(page.get_by_text("82 × 90,5 cm").first).to_be_visible()
        await card(page, "mesa").hover()
        await card(page, "mesa").get_by_role("button", name="Editar Mesa de roble").click()
        await fill(page, nombre="Mesa grande")
        await sheet.get_by_role("button", name="Guardar cambios").click()
        await expect(card(page, "mesa").locator("ins")).to_contain_text("Mesa grande")
        changed = {**event("mesa")["furniture"], "nombre": "Mesa grande", "precio": 99}
        assert get_json(f"{server.url}/api/events")["events"][-1]["furniture"] == changed
        await card(page, "silla").hover()
        await card(page, "silla").get_by_role("button", name="Editar Silla Carmen").click()
        await sheet.get_by_role("button", name="Borrar", exact=True).click()
        await sheet.get_by_role("button", name="Sí, borrar").click()
        await expect(card(page, "silla")).to_have_count(0)


async def test_the_brokers_faults_are_beside_their_fields(server: Server, browser: Browser) -> None:
    """The form says the broker's words, and keeps the visitor's. Here the message is changed."""
    async with live_page(browser, server, "#conectar") as page:
        await page.evaluate(
            """() => {
              const { send } = WebSocket.prototype;
              WebSocket.prototype.send = function (data) {
                const isText = typeof data === "string";
                send.call(this, isText ? data.replace('"altura":75', '"altura":-1') : data);
              };
            }"""
        )
        await page.get_by_role("link", name="Catálogo").click()
        await publish(server, event("mesa"))
        await page.get_by_role("button", name="Nuevo mueble").first.click()
        await fill(
            page, nombre="Mesa", ancho="75", altura="75", material="pino", autor_username="a"
        )
        await page.locator("#sheet footer .button").first.click()
        await expect(page.locator("#in-altura-help")).to_have_text("must be a number ≥ 0")
        await expect(page.locator("#in-altura")).to_be_focused()
        await expect(page.locator("#sheet .summary")).to_contain_text("invalid_furniture")
        assert await page.locator("#in-nombre").input_value() == "Mesa"


async def test_a_visitor_who_may_only_look_finds_nothing_to_publish_with(
    start_server: Start,
    browser: Browser,
) -> None:
    """The buttons are absent, not disabled, and the empty page says how to allow it."""
    server = start_server(open_publish="off", producer_keys="django:0123456789abcdef")
    async with live_page(browser, server, locale="en") as page:
        nothing = page.locator("#nothing")
        await expect(nothing).to_contain_text("start with SIO_OPEN_PUBLISH=loopback")
        await expect(nothing).to_contain_text(f"npx wscat -c {server.ws_url}")
        await publish(server, event("mesa"), key="0123456789abcdef")
        await expect(card(page, "mesa")).to_be_visible()
        await expect(page.locator("#new")).to_be_hidden()
        assert await page.locator(".edit").count() == 0


async def test_the_empty_page_shows_commands_and_publishes_an_example(
    start_server: Start,
    browser: Browser,
) -> None:
    """The commands name this server. Tabs follow the arrow keys."""
    server = start_server()
    async with live_page(browser, server) as page:
        await expect(page.locator("#nothing code").first).to_contain_text(server.ws_url)
        await page.get_by_role("tab", name="wscat").press("ArrowRight")
        await expect(page.get_by_role("tab", name="curl")).to_be_focused()
        await expect(page.locator("#empty-panel-1")).to_contain_text(
            f"curl {server.url}/api/events"
        )
        await page.get_by_role("button", name="Publicar un ejemplo").click()
        await expect(page.locator("#count")).to_have_text("1 mueble")


async def test_the_page_speaks_both_languages(server: Server, browser: Browser) -> None:
    """It begins in the browser's language, and remembers the visitor's choice."""
    await publish(server, event("grande", ancho=1234.5), event("mesa"))
    async with live_page(browser, server, locale="en-GB") as page:
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await expect(page.get_by_role("heading", name="Catalogue")).to_be_visible()
        await expect(card(page, "grande").locator(".sizes")).to_contain_text("1,234.5 ×")
        await page.get_by_role("button", name="es español").click()
        await expect(page.get_by_role("heading", name="Catálogo")).to_be_visible()
        await expect(page.locator("#link-words")).to_have_text("En directo")
        await expect(card(page, "grande").locator(".sizes")).to_contain_text("1.234,5 ×")
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "es")


async def test_the_activity_goes_back_to_the_start_of_the_log(
    start_server: Start, browser: Browser
) -> None:
    """Scrolling back shows older events, and the list of types shows only one type."""
    server = start_server()
    await publish(server, *(event(f"m{i}", nombre=f"Mesa {i}") for i in range(300)))
    await publish(server, event("m7", "deleted"))
    async with live_page(browser, server, viewport={"width": 1440, "height": 900}) as page:
        lines = page.locator("#events .event")
        await expect(lines.first).to_contain_text("Mesa")
        assert await lines.count() < 100
        end = page.get_by_text("Aquí empieza lo que guarda el registro.")
        for count in (100, 240, 301):
            await page.locator("#feed-body").evaluate("it => { it.scrollTop = it.scrollHeight; }")
            await expect(lines).to_have_count(count)
        await expect(end).to_be_visible()
        await page.locator("#f-event").select_option("furniture_deleted")
        await expect(lines).to_have_count(1)


async def test_text_of_an_event_is_never_markup(server: Server, browser: Browser) -> None:
    """Hostile names, materials and authors are shown as they are. A size can be any number."""
    bad = '<img src=x onerror="document.title=1">'
    pieces = [
        event("bad", nombre=bad, material=bad, autor_username=bad, descripcion=bad),
        event("long", nombre="M" * 255, material="x" * 255, autor_username="y" * 255),
        event("huge", nombre="Torre", altura=1e21, ancho=0.00001),
        event("none", nombre="Nada", altura=0, ancho=0),
        event("arab", nombre="طاولة من خشب البلوط", material="خشب"),
    ]
    await publish(server, *pieces, event("bad", "updated", nombre=f"{bad}2", material="x"))
    async with live_page(browser, server, viewport={"width": 360, "height": 740}) as page:
        await expect(card(page, "bad")).to_contain_text("<img src=x")
        assert await page.locator("img").count() == 0
        await expect(card(page, "huge")).to_contain_text("Fuera de escala")
        await publish(server, event("bad", "updated", nombre=bad, material=bad))
        await expect(card(page, "bad").locator("ins").first).to_contain_text("<img")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await page.title() != "1"


async def test_reduced_motion_moves_nothing_and_shows_the_same(
    server: Server, browser: Browser
) -> None:
    """Tags, struck text and colours carry the change."""
    await publish(server, event("mesa"), event("silla"))
    async with live_page(browser, server, reduced_motion="reduce") as page:
        await publish(server, event("mesa", "updated", ancho=100))
        await expect(card(page, "mesa").locator(".tag")).to_have_text("Cambiado")
        moving = (
            "document.getAnimations().filter((it) => it.effect.getTiming().duration > 10).length"
        )
        assert await page.evaluate(moving) == 0
