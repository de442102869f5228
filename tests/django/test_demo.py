"""The demo, in windows of a real browser, on a site with three workers."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.async_api import Browser, Locator, Page, expect
from playwright.async_api import TimeoutError as NotInTime

from tests.django.databases import on_sqlite
from tests.support.axe import violations
from tests.support.browser import windows as empty_windows
from tests.support.demo import DOOMED, Demo, Gate, demo_environment
from tests.support.postgres import Postgres
from tests.support.processes import descendants, output_until, runs
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

SHOWN = """() => [...document.querySelectorAll(".row:not([inert])")].map(row => {
  const shown = row.cloneNode(true);
  for (const rest of shown.querySelectorAll(".was, .tag, .actions")) rest.remove();
  const text = name => shown.querySelector(name).textContent.trim();
  const [ancho, altura] = text(".sizes").match(/[0-9]+/g);
  const fields = [".name", ".description", ".material"].map(text);
  return [row.dataset.furnitureId, ...fields, altura, ancho, text(".author bdi")];
})"""

CREATE = """
from catalog.models import Mueble
from django.contrib.auth.models import User
ana = User.objects.get(username="ana")
def create(nombre):
    return Mueble.objects.create(nombre=nombre, altura=1, ancho=1, material="pino", autor=ana)
"""

WRITE = (
    CREATE
    + """
import pathlib, random, time
mine, number = [], 0
while not pathlib.Path("enough").exists():
    number += 1
    time.sleep(0.03)
    if len(mine) < 10:
        mine.append(create(f"pieza {number}"))
    elif number % 2:
        mine.pop(random.randrange(len(mine))).delete()
    else:
        piece = random.choice(mine)
        piece.descripcion = f"versión {number}"
        piece.save()
"""
)


@pytest.fixture(scope="module")
def create_database(
    request: pytest.FixtureRequest, database: str
) -> Callable[[], dict[str, Any] | None]:
    """Return a function that makes a new PostgreSQL database, or None for SQLite."""
    if database == "sqlite":
        return lambda: None
    postgres: Postgres = request.getfixturevalue("postgres")
    return lambda: postgres.create(f"demo_{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, create_database: Callable[[], dict[str, Any] | None]
) -> Iterator[Demo]:
    """Run the site, its relay and the broker."""
    running = Demo(tmp_path_factory.mktemp("demo"), create_database(), "tests.django.demo_settings")
    yield running
    running.stop()


@pytest.fixture
def demo(shared: Demo) -> Demo:
    """Return the site, with the processes running again that an earlier test ended."""
    shared.revive()
    return shared


@asynccontextmanager
async def windows(browser: Browser, url: str, *users: str | None) -> AsyncIterator[list[Page]]:
    """Open the list in a window for each user, sign in unless it is None, and wait until live."""
    async with empty_windows(browser, len(users), locale="es") as opened:
        for page, user in zip(opened, users, strict=True):
            page.set_default_timeout(TIMEOUT * 1000)
            if user is None:
                await page.goto(url)
            else:
                await page.goto(f"{url}/cuenta/login/?next=/")
                await submit(page, username=user, password=user)
            await wait_until_live(page)
        yield opened


async def wait_until_live(page: Page) -> None:
    """Wait until the page shows that it is live."""
    await page.locator("[data-furniture-state=live]").wait_for()


async def submit(page: Page, **values: str) -> None:
    """Fill in a form, of the site or of the admin, and send it."""
    for name, value in values.items():
        field = page.locator(f"[name={name}]")
        if await field.evaluate("field => field.tagName") == "SELECT":
            await field.select_option(label=value)
        else:
            await field.fill(value)
    await page.locator(".buttons button, [name=_save], #content form [type=submit]").first.click()


async def wait_until_equal(demo: Demo, *pages: Page) -> None:
    """Wait until the pages show the database's list, each piece once and in order."""
    rows = demo.rows()
    for page in pages:
        same = f"rows => JSON.stringify(rows) === JSON.stringify(({SHOWN})())"
        try:
            await page.wait_for_function(same, arg=rows)
        except NotInTime:
            assert await page.evaluate(SHOWN) == rows


@contextmanager
def no_reload(page: Page) -> Iterator[None]:
    """Fail if the browser loads another document in this block."""
    loaded: list[str] = []
    page.on("domcontentloaded", lambda opened: loaded.append(opened.url))
    yield
    assert loaded == []


NUMBERS = itertools.count()


def new_piece(**values: str) -> dict[str, str]:
    """Return a form's values, with a name that no other piece has."""
    nombre = f"Cómoda {next(NUMBERS)}"
    piece = {"nombre": nombre, "descripcion": "<i>", "altura": "85", "ancho": "110"}
    return piece | {"material": "cerezo"} | values


def row(page: Page, nombre: str) -> Locator:
    """Return the row of the piece with this name."""
    return page.locator(".row", has_text=nombre)


@on_sqlite
async def test_changes_in_one_window_appear_in_the_other(demo: Demo, browser: Browser) -> None:
    """Create, edit and delete a piece. The other window shows it, how and by whom."""
    piece = new_piece()
    nombre = piece["nombre"]
    async with windows(browser, demo.url, "ana", "admin") as (ana, admin):
        count = await admin.locator(".row").count()
        with no_reload(admin):
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **piece)
            await row(admin, nombre).get_by_text("Nuevo", exact=True).wait_for()
            await wait_until_equal(demo, ana, admin)
            await expect(admin.locator(".count")).to_have_text(f"{count + 1} muebles")
            await ana.get_by_role("link", name="Editar").first.click()
            await submit(ana, material="nogal", altura="95")
            await expect(row(admin, nombre).locator(".material .was")).to_be_visible()
            await expect(row(admin, nombre).locator(".material")).to_have_text(
                re.compile("antes cerezo ahora nogal".replace(" ", r"\s*"))
            )
            await wait_until_equal(demo, ana, admin)
            entry = admin.locator(".entry").first
            await expect(entry.locator(".deed")).to_have_text(f"ana cambió {nombre}")
            await expect(entry.locator(".field")).to_have_text(["altura", "material"])
        await admin.get_by_role("link", name="Borrar").first.click()  # of a row that an event added
        await admin.get_by_role("heading", name=nombre).wait_for()
        with no_reload(ana):
            await ana.evaluate(RECORD_ANIMATIONS)
            await submit(admin)
            await row(ana, nombre).wait_for(state="detached")
            assert set(await ana.evaluate("recorded")) >= {"fold", "close"}
            await wait_until_equal(demo, ana, admin)
            await expect(ana.locator(".deed").first).to_have_text(f"admin borró {nombre}")


RECORD_ANIMATIONS = """() => {
  window.recorded = [];
  addEventListener("animationstart", ({ animationName }) => recorded.push(animationName));
}"""


@on_sqlite
async def test_axe_finds_nothing(demo: Demo, browser: Browser) -> None:
    """On a phone in the light, and on a wide screen in the dark. Nothing scrolls sideways."""
    demo.script(f"{CREATE}\ncreate('W' * 200)")
    found = {}
    async with windows(browser, demo.url, "ana") as (page,):
        for path in ("/", "/muebles/nuevo/", "/cuenta/login/"):
            await page.goto(demo.url + path)
            for width, scheme in ((320, "light"), (1440, "dark")):
                await page.set_viewport_size({"width": width, "height": 900})
                await page.emulate_media(color_scheme=cast(Any, scheme))
                if faults := await violations(page):
                    found[path, width] = faults
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert found == {}


RECORD_TEXT = """() => {
  window.recorded = "";
  const list = document.querySelector(".rows");
  new MutationObserver(() => { recorded += list.textContent; }).observe(list, { childList: true });
}"""


@on_sqlite
async def test_a_save_of_a_failed_request_does_not_appear(demo: Demo, browser: Browser) -> None:
    """A view and the admin fail after a save. The page shows only the next piece."""
    async with windows(browser, demo.url, "admin", None) as (admin, visitor):
        await visitor.evaluate(RECORD_TEXT)
        for path, author in (
            ("/muebles/nuevo/", {}),
            ("/admin/catalog/mueble/add/", {"autor": "ana"}),
        ):
            piece = new_piece(**author)
            for name, status in ((DOOMED, 500), (piece["nombre"], 200)):
                await admin.goto(demo.url + path)
                async with admin.expect_navigation() as navigation:
                    await submit(admin, **{**piece, "nombre": name})
                answer = await navigation.value
                assert answer is not None
                assert answer.status == status
            await row(visitor, piece["nombre"]).wait_for()
        await wait_until_equal(demo, visitor)
        assert DOOMED not in await visitor.evaluate("recorded")
    assert DOOMED not in str(demo.rows())


@on_sqlite
async def test_a_page_misses_no_event_around_its_query(demo: Demo, browser: Browser) -> None:
    """One event comes before the list's query, and one comes after it."""
    async with windows(browser, demo.url, None) as (page,):
        opening = asyncio.create_task(page.goto(f"{demo.url}/?gates"))
        for name in ("before", "after"):
            gate = Gate(demo.folder, name)
            await asyncio.to_thread(gate.wait_until_reached)
            demo.script(f"{CREATE}\ncreate('{name}')")
            demo.wait_until_published()
            gate.open()
        await opening
        await wait_until_live(page)
        await wait_until_equal(demo, page)


async def test_pages_that_open_during_writes_miss_no_event(demo: Demo, browser: Browser) -> None:
    """Open page after page while two processes write. Each page ends with the same list."""
    async with windows(browser, demo.url, None) as (first,):
        pages, writers = [first], [demo.start_script(WRITE) for _ in range(2)]
        await row(first, "pieza").first.wait_for()
        for _ in range(3):
            pages.append(await first.context.new_page())
            await pages[-1].goto(demo.url)
        (demo.folder / "enough").touch()
        assert [writer.wait(TIMEOUT) for writer in writers] == [0, 0]
        await wait_until_equal(demo, *pages)


@on_sqlite
async def test_a_button_stops_the_broker_and_nothing_is_lost(demo: Demo, browser: Browser) -> None:
    """The site works without the broker. The open pages say so, and show all changes afterwards."""
    async with windows(browser, demo.url, "ana", None) as (ana, visitor):
        demo.script(f"{CREATE}\ncreate('antes')")
        await wait_until_equal(demo, ana, visitor)
        with no_reload(visitor):
            with no_reload(ana):
                await ana.get_by_role("button", name="Parar el broker").click()
                for page in (ana, visitor):
                    await page.get_by_text("Sin conexión").wait_for()
                    await page.get_by_text("Lo que ves puede ser antiguo").wait_for()
                await ana.get_by_text("La tienda no").wait_for()
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **new_piece())
            await ana.get_by_text("1 cambio está guardado y espera").wait_for()
            demo.script(f"{CREATE}\ncreate('meanwhile').delete()\ncreate('mientras')")
            demo.start_broker()
            await wait_until_equal(demo, ana, visitor)
            await wait_until_live(ana)
            await ana.get_by_text("espera al broker").wait_for(state="hidden")


STOP_BROKER = """
from django.test import Client, override_settings
def stop(checks_csrf=False, **settings):
    with override_settings(ALLOWED_HOSTS=["*"], **settings):
        answer = Client(enforce_csrf_checks=checks_csrf).post("/demo/parar-el-broker/")
    print(answer.status_code, end=" ")
stop(checks_csrf=True)
stop(DEBUG=False)
stop(BROKER_PID_FILE=None)
stop(BROKER_PID_FILE="no such file")
"""


@on_sqlite
async def test_nobody_else_can_stop_the_broker(demo: Demo) -> None:
    """It needs the form of the page, DEBUG, and the setting. A stopped broker is no error."""
    assert demo.script(STOP_BROKER).split() == ["403", "404", "404", "204"]
    assert demo.broker.process.poll() is None


DRAW = """
from django.test import Client, override_settings
with override_settings(ALLOWED_HOSTS=["*"]):
    for size in ("75", "9" * 5000, "-1", "1e3", "\u0667"):
        answer = Client().get("/muebles/dibujo/", {"nombre": "<b>", "ancho": size})
        print(answer.status_code, ">75 cm<" in answer.text, "<b>" in answer.text)
"""


@on_sqlite
async def test_a_drawing_of_any_text_is_harmless(demo: Demo) -> None:
    """A size that is none is not written."""
    right, *others = demo.script(DRAW).splitlines()
    assert right == "200 True False"
    assert others == ["200 False False"] * 4


@on_sqlite
async def test_changes_without_a_relay_appear_after_its_restart(
    demo: Demo, browser: Browser
) -> None:
    """Kill the relay and save. With another relay, open pages show the change."""
    async with windows(browser, demo.url, None) as (visitor,):
        with no_reload(visitor):
            demo.relay.kill()
            demo.relay.wait(TIMEOUT)
            demo.script(f"{CREATE}\ncreate('sin relevo')")
            demo.start_relay()
            await row(visitor, "sin relevo").wait_for()
            await wait_until_equal(demo, visitor)


@on_sqlite
async def test_a_form_draws_the_piece(demo: Demo, browser: Browser) -> None:
    """While it is filled in, and again with its errors. Text is never markup."""
    async with windows(browser, demo.url, "ana") as (ana,):
        await ana.get_by_text("Nuevo mueble").click()
        drawing = ana.locator(".preview svg")
        await expect(drawing.locator("text")).to_have_text(["? cm", "?"])
        await ana.locator("[name=ancho]").fill("90")
        await ana.get_by_role("button", name="nogal").click()
        await expect(drawing.locator("text")).to_have_text(["90 cm", "?"])
        await drawing.locator("[fill='url(#grain-nogal)']").first.wait_for()
        await submit(ana, nombre='Silla"><b>x</b>', altura="-1")
        await expect(ana.locator("[name=altura]")).to_have_attribute("aria-invalid", "true")
        await expect(drawing.locator("text")).to_have_text(["90 cm", "?"])
        await submit(ana, altura="92")
        await row(ana, 'Silla"><b>x</b>').wait_for()
        assert await ana.locator("b").count() == 0


@on_sqlite
async def test_the_demo_works_with_keys_alone(demo: Demo, browser: Browser) -> None:
    """A wrong form has the focus in its first wrong field. A changed row keeps the focus."""
    async with windows(browser, demo.url, "ana") as (ana,):
        await ana.keyboard.press("Tab")
        await ana.keyboard.press("Enter")  # skips the header
        await ana.keyboard.press("Tab")
        await expect(ana.get_by_role("link", name="Nuevo mueble")).to_be_focused()
        await ana.keyboard.press("Enter")
        await ana.locator("[name=nombre]").fill("Mesa con teclado")
        await ana.keyboard.press("Enter")
        await expect(ana.locator("[name=ancho]")).to_be_focused()
        for size in ("90", "75"):
            await ana.keyboard.type(size)
            await ana.keyboard.press("Tab")
        await ana.keyboard.type("pino")
        await ana.keyboard.press("Enter")
        edit, delete = (
            ana.get_by_role("link", name=f"{action} Mesa con teclado")
            for action in ("Editar", "Borrar")
        )
        await edit.focus()
        piece = "Mueble.objects.filter(nombre='Mesa con teclado').get()"
        demo.script(f"{CREATE}\nit = {piece}; it.material = 'haya'; it.save()")
        await row(ana, "Mesa con teclado").get_by_text("Cambiado").wait_for()
        await expect(edit).to_be_focused()
        await ana.keyboard.press("Tab")
        await expect(delete).to_be_focused()
        demo.script(f"{CREATE}\n{piece}.delete()")
        await row(ana, "Mesa con teclado").wait_for(state="detached")
        await ana.keyboard.press("Tab")  # to the next row, not to the start of the page
        await expect(ana.locator(".row:not([inert]) .actions a").first).to_be_focused()


@on_sqlite
async def test_the_site_speaks_english_too(demo: Demo, browser: Browser) -> None:
    """As the browser asks, or as the user chooses. Every text is there."""
    async with empty_windows(browser, 1, locale="en-GB") as (page,):
        await page.goto(demo.url)
        await page.get_by_role("heading", name="Who changed what").wait_for()
        await page.get_by_role("button", name="es (español)").click()
        await page.get_by_role("heading", name="Quién cambió qué").wait_for()
        await page.get_by_role("button", name="en (English)").click()
        await page.get_by_role("heading", name="Who changed what").wait_for()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program of ``make demo``, for users who are signed in, with short outages."""
    port, broker_port = free_ports(2)
    ports = {"DEMO_PORT": str(port), "DEMO_BROKER_PORT": str(broker_port)}
    options = {"DEMO_REQUIRE_AUTH": "true", "DEMO_OUTAGE_SECONDS": "1"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples/demo.py")],
        cwd=tmp_path,
        env=demo_environment(tmp_path, None) | ports | options,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


@on_sqlite
async def test_one_command_starts_the_demo_and_ctrl_c_ends_it(
    command: subprocess.Popen[str], browser: Browser
) -> None:
    """The printed URLs work, what it says to try works, and no process is left afterwards."""
    output = output_until(command, "Ctrl-C")
    site, _, broker = re.findall(r"http://127\.0\.0\.1:\d+", output)[-3:]
    async with windows(browser, site, "ana", "eva") as (ana, eva):
        with no_reload(eva):
            await create(ana, "Silla nueva")
            await row(eva, "Silla nueva").wait_for()
            await eva.get_by_role("button", name="Parar el broker").click()
            await eva.get_by_text("Sin conexión").wait_for()
            await create(ana, "Silla del corte")
            await row(eva, "Silla del corte").wait_for()
            await wait_until_live(eva)
        await a_user_who_signs_out_hears_nothing_more(ana, eva)
    assert readiness(site, "/admin/login/") == 200
    started = descendants(command.pid)
    assert len(started) >= 7  # broker and its watcher, relay, gunicorn and its three workers
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0, output
    assert not any(map(runs, started))
    assert readiness(site) is None
    assert readiness(broker) is None


async def a_user_who_signs_out_hears_nothing_more(ana: Page, eva: Page) -> None:
    """In no window, within seconds, and without a reload. Another user still hears everything."""
    other, watching = await ana.context.new_page(), await eva.context.new_page()
    for page in (other, watching):
        page.set_default_timeout(TIMEOUT * 1000)
        await page.goto(eva.url)
        await wait_until_live(page)
    with no_reload(other):
        await ana.get_by_role("button", name="Salir").click()
        await other.get_by_text("Entra para ver los cambios en directo").wait_for()
        await create(eva, "Silla privada")
        await row(watching, "Silla privada").wait_for()
        assert await row(other, "Silla privada").count() == 0


async def create(page: Page, nombre: str) -> None:
    """Create a piece in this window."""
    await page.get_by_text("Nuevo mueble").click()
    await submit(page, **new_piece(nombre=nombre))
