"""The demo, in windows of a real browser, on a site with three workers."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from playwright.async_api import TimeoutError as NotInTime

from tests.django.databases import on_sqlite
from tests.support.browser import windows as empty_windows
from tests.support.demo import DOOMED, Demo, Gate, demo_environment
from tests.support.postgres import Postgres
from tests.support.processes import children, command_line, descendants, output_until, runs
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

SHOWN = """() => [...document.querySelectorAll("tbody tr")].map(row => [row.dataset.furnitureId,
  ...[...row.querySelectorAll("strong, p, td:not(:first-child):not(.actions)")]
    .map(cell => cell.textContent)])"""

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
    time.sleep(0.01)
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
    async with empty_windows(browser, len(users)) as opened:
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


@on_sqlite
async def test_changes_in_one_window_appear_in_the_other(demo: Demo, browser: Browser) -> None:
    """Create, edit and delete a piece. The other window shows it, and its links work."""
    piece = new_piece()
    nombre = piece["nombre"]
    async with windows(browser, demo.url, "ana", "admin") as (ana, admin):
        with no_reload(admin):
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **piece)
            await admin.get_by_text(nombre).wait_for()
            await wait_until_equal(demo, ana, admin)
            await ana.get_by_role("link", name="Editar").first.click()
            await submit(ana, material="nogal")
            await admin.locator("tr", has_text=nombre).get_by_text("nogal").wait_for()
            await wait_until_equal(demo, ana, admin)
        await admin.get_by_role("link", name="Borrar").first.click()  # of a row that an event added
        await admin.get_by_role("heading", name=nombre).wait_for()
        with no_reload(ana):
            await submit(admin)
            await ana.get_by_text(nombre).wait_for(state="detached")
            await wait_until_equal(demo, ana, admin)


@on_sqlite
async def test_changes_in_the_admin_appear_in_the_list(demo: Demo, browser: Browser) -> None:
    """Add, change and delete a piece in the admin. The list shows each change."""
    piece, renamed = new_piece(autor="ana"), new_piece()["nombre"]
    async with windows(browser, demo.url, "admin", None) as (admin, visitor):
        results = admin.locator("#result_list")
        with no_reload(visitor):
            await admin.goto(f"{demo.url}/admin/catalog/mueble/add/")
            await submit(admin, **piece)
            await visitor.get_by_text(piece["nombre"]).wait_for()
            await results.get_by_role("link", name=piece["nombre"]).click()
            await submit(admin, nombre=renamed)
            await visitor.get_by_text(renamed).wait_for()
            await wait_until_equal(demo, visitor)
            await results.get_by_role("link", name=renamed).click()
            await admin.locator(".deletelink").click()
            await submit(admin)
            await visitor.get_by_text(renamed).wait_for(state="detached")
            await wait_until_equal(demo, visitor)


RECORD_TEXT = """() => {
  window.recorded = "";
  const list = document.querySelector("tbody");
  new MutationObserver(() => { recorded += list.textContent; }).observe(list, { childList: true });
}"""


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
            await visitor.get_by_text(piece["nombre"]).wait_for()
        await wait_until_equal(demo, visitor)
        assert DOOMED not in await visitor.evaluate("recorded")
    assert DOOMED not in str(demo.rows())


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
        await first.get_by_text("pieza").first.wait_for()
        for _ in range(5):
            pages.append(await first.context.new_page())
            await pages[-1].goto(demo.url)
        (demo.folder / "enough").touch()
        assert [writer.wait(TIMEOUT) for writer in writers] == [0, 0]
        await wait_until_equal(demo, *pages)


async def test_changes_during_a_brokers_outage_appear_afterwards(
    demo: Demo, browser: Browser
) -> None:
    """The site works without the broker, and open pages show the changes afterwards."""
    async with windows(browser, demo.url, "ana", None) as (ana, visitor):
        demo.script(f"{CREATE}\ncreate('antes')")
        await wait_until_equal(demo, ana, visitor)
        demo.broker.kill()
        with no_reload(visitor):
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **new_piece())
            demo.script(f"{CREATE}\ncreate('meanwhile').delete()\ncreate('mientras')")
            await visitor.get_by_text("reconectando").wait_for()
            demo.start_broker()
            await wait_until_equal(demo, ana, visitor)


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
            await visitor.get_by_text("sin relevo").wait_for()
            await wait_until_equal(demo, visitor)


CHANGE_WITHOUT_EVENT = "from catalog.models import Mueble\nMueble.objects.update(ancho={})"
"""A change without an event, which a page gets only if it loads the list again."""


@on_sqlite
async def test_a_gap_loads_the_list_again(demo: Demo, browser: Browser) -> None:
    """The broker loses its log, so the page loads the list from the site."""
    async with windows(browser, demo.url, None) as (visitor,):
        with no_reload(visitor):
            demo.broker.kill()
            for file in demo.folder.glob("events.db*"):
                file.unlink()
            demo.script(CHANGE_WITHOUT_EVENT.format(501))
            demo.start_broker()
            await wait_until_equal(demo, visitor)


@on_sqlite
async def test_a_page_without_a_position_loads_its_list_again(demo: Demo, browser: Browser) -> None:
    """The site never reached its broker. The page loads its list when it is live."""
    async with windows(browser, demo.url, None) as (visitor,):
        demo.broker.kill()
        demo.restart_site()
        await visitor.goto(demo.url)
        assert "data-since" not in await visitor.content()
        with no_reload(visitor):
            demo.script(CHANGE_WITHOUT_EVENT.format(502))
            demo.start_broker()
            await wait_until_live(visitor)
            await wait_until_equal(demo, visitor)


@pytest.fixture
def private(tmp_path: Path, create_database: Callable[[], dict[str, Any] | None]) -> Iterator[Demo]:
    """Run the demo for users who are signed in."""
    running = Demo(tmp_path, create_database(), "tests.django.demo_settings", require_auth="true")
    yield running
    running.stop()


@on_sqlite
async def test_a_user_who_signs_out_in_one_window_hears_nothing_in_another(
    private: Demo, browser: Browser
) -> None:
    """Within seconds, and without a reload. A user who is still signed in hears everything."""
    async with windows(browser, private.url, "ana", "admin") as (ana, admin):
        other = await ana.context.new_page()
        other.set_default_timeout(TIMEOUT * 1000)
        await other.goto(private.url)
        await wait_until_live(other)
        with no_reload(other):
            await ana.get_by_role("button", name="Salir").click()
            await other.get_by_text("entre para ver los cambios en directo").wait_for()
            private.script(f"{CREATE}\ncreate('en privado')")
            await admin.get_by_text("en privado").wait_for()
            assert await other.get_by_text("en privado").count() == 0
        await other.goto(f"{private.url}/cuenta/login/?next=/")
        await submit(other, username="ana", password="ana")
        await wait_until_live(other)
        await other.get_by_text("en privado").wait_for()


@pytest.fixture
def short_tokens(
    tmp_path: Path, create_database: Callable[[], dict[str, Any] | None]
) -> Iterator[Demo]:
    """Run the demo for users who are signed in, with tokens that expire soon."""
    running = Demo(
        tmp_path,
        create_database(),
        "tests.django.demo_settings",
        token_seconds=3,
        require_auth="true",
    )
    yield running
    running.stop()


@on_sqlite
async def test_a_page_outlives_its_tokens(short_tokens: Demo, browser: Browser) -> None:
    """It fetches fresh ones, and misses nothing. It loads its list only for the events."""
    async with windows(browser, short_tokens.url, "ana") as (page,):
        fetched: list[str] = []
        page.on("request", lambda it: fetched.append(it.url) if it.resource_type == "fetch" else 0)
        names = iter(range(1000))
        with no_reload(page):
            while fetched.count(f"{short_tokens.url}/furniture-events/") < 3:
                name = f"con ficha {next(names)}"
                short_tokens.script(f"{CREATE}\ncreate({name!r})")
                await page.get_by_text(name, exact=True).wait_for()
            await wait_until_equal(short_tokens, page)
        assert fetched.count(f"{short_tokens.url}/") <= next(names)


@pytest.fixture
def command(
    tmp_path: Path, create_database: Callable[[], dict[str, Any] | None]
) -> Iterator[subprocess.Popen[str]]:
    """Run the program of ``make demo``."""
    port, broker_port = free_ports(2)
    ports = {"DEMO_PORT": str(port), "DEMO_BROKER_PORT": str(broker_port)}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples/demo.py")],
        cwd=tmp_path,
        env=demo_environment(tmp_path, create_database()) | ports,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


@on_sqlite
async def test_one_command_starts_the_demo_and_ctrl_c_ends_it(
    command: subprocess.Popen[str], browser: Browser
) -> None:
    """The printed URLs work, a new piece appears, and no process is left afterwards."""
    output = output_until(command, "Ctrl-C")
    urls = re.findall(r"http://127\.0\.0\.1:\d+", output)
    site, _, broker = urls[-3:]
    async with windows(browser, site, "ana", None) as (ana, visitor):
        with no_reload(visitor):
            await ana.get_by_text("Nuevo mueble").click()
            piece = new_piece()
            await submit(ana, **piece)
            await visitor.get_by_text(piece["nombre"]).wait_for()
    assert readiness(site, "/admin/login/") == 200
    started = descendants(command.pid)
    assert len(started) >= 6  # broker, relay, gunicorn and its three workers
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0, output
    assert not any(map(runs, started))
    assert readiness(site) is None
    assert readiness(broker) is None


@on_sqlite
async def test_the_end_of_one_process_ends_the_demo(command: subprocess.Popen[str]) -> None:
    """Kill gunicorn, which leaves its workers. All processes end, and the last line says why."""
    output_until(command, "Ctrl-C")
    started = descendants(command.pid)
    (gunicorn,) = (child for child in children(command.pid) if "gunicorn" in command_line(child))
    os.kill(gunicorn, signal.SIGKILL)
    output, _ = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 1
    assert output.splitlines()[-1] == "site has ended, so all other processes were stopped"
    wait_until(lambda: not any(map(runs, started)), "all have ended")
