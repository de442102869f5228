"""The demo, as its users see it: open windows of a real browser, on a site with three workers."""

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
import pytest_asyncio
from playwright.async_api import Browser, Page
from playwright.async_api import TimeoutError as NotInTime

from tests.support.browser import chromium
from tests.support.browser import windows as empty_windows
from tests.support.demo import DOOMED, Demo, Gate, demo_environment
from tests.support.postgres import Postgres
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

SHOWN = """() => [...document.querySelectorAll("#muebles tr")].map(row =>
  [row.dataset.id, ...[...row.querySelectorAll("[data-field]")].map(cell => cell.textContent)])"""

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
    """Return what makes a new PostgreSQL database, where the tests run on one."""
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
    """Return the site, whatever the test before has done to it."""
    shared.revive()
    return shared


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run a browser."""
    async with chromium() as running:
        yield running


@asynccontextmanager
async def windows(browser: Browser, url: str, *users: str | None) -> AsyncIterator[list[Page]]:
    """Open the list in a window for each user, signed in where it is one, and wait until live."""
    async with empty_windows(browser, len(users)) as opened:
        for page, user in zip(opened, users, strict=True):
            page.set_default_timeout(TIMEOUT * 1000)
            if user is None:
                await page.goto(url)
            else:
                await page.goto(f"{url}/cuenta/login/?next=/")
                await submit(page, username=user, password=user)
            await live(page)
        yield opened


async def live(page: Page) -> None:
    """Wait until the page says that it is."""
    await page.locator("#state.live").wait_for()


async def submit(page: Page, **values: str) -> None:
    """Fill in a form, of the site or of the admin, and send it."""
    for name, value in values.items():
        field = page.locator(f"[name={name}]")
        if await field.evaluate("field => field.tagName") == "SELECT":
            await field.select_option(label=value)
        else:
            await field.fill(value)
    await page.locator(".buttons button, [name=_save], #content form [type=submit]").first.click()


async def agree(demo: Demo, *pages: Page) -> None:
    """Wait until the pages show what the database holds, each piece once and in its order."""
    rows = demo.rows()
    for page in pages:
        same = f"rows => JSON.stringify(rows) === JSON.stringify(({SHOWN})())"
        try:
            await page.wait_for_function(same, arg=rows)
        except NotInTime:
            assert await page.evaluate(SHOWN) == rows


@contextmanager
def no_reload(page: Page) -> Iterator[None]:
    """Fail where the browser loads another document meanwhile."""
    loaded: list[str] = []
    page.on("domcontentloaded", lambda there: loaded.append(there.url))
    yield
    assert loaded == []


NUMBERS = itertools.count()


def new_piece(**values: str) -> dict[str, str]:
    """Return what to fill in, with a name that no other piece has."""
    nombre = f"Cómoda {next(NUMBERS)}"
    piece = {"nombre": nombre, "descripcion": "<i>", "altura": "85", "ancho": "110"}
    return piece | {"material": "cerezo"} | values


async def test_what_is_done_in_one_window_is_seen_in_the_other(
    demo: Demo, browser: Browser
) -> None:
    """Create, edit and delete a piece; the other window shows each, and can go on from there."""
    piece = new_piece()
    nombre = piece["nombre"]
    async with windows(browser, demo.url, "ana", "admin") as (ana, admin):
        with no_reload(admin):
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **piece)
            await admin.get_by_text(nombre).wait_for()
            await agree(demo, ana, admin)
            await ana.get_by_role("link", name="Editar").first.click()
            await submit(ana, material="nogal")
            await admin.locator("tr", has_text=nombre).get_by_text("nogal").wait_for()
            await agree(demo, ana, admin)
        await admin.get_by_role("link", name="Borrar").first.click()  # of a row that came live
        await admin.get_by_role("heading", name=nombre).wait_for()
        with no_reload(ana):
            await submit(admin)
            await ana.get_by_text(nombre).wait_for(state="detached")
            await agree(demo, ana, admin)


async def test_what_is_done_in_the_admin_is_seen(demo: Demo, browser: Browser) -> None:
    """Add, change and delete in the admin; the list shows each."""
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
            await agree(demo, visitor)
            await results.get_by_role("link", name=renamed).click()
            await admin.locator(".deletelink").click()
            await submit(admin)
            await visitor.get_by_text(renamed).wait_for(state="detached")
            await agree(demo, visitor)


HEAR = """() => {
  window.heard = "";
  const list = document.getElementById("muebles");
  new MutationObserver(() => { heard += list.textContent; }).observe(list, { childList: true });
}"""


async def test_a_request_that_fails_after_its_save_is_not_seen(
    demo: Demo, browser: Browser
) -> None:
    """Fail a view and the admin once the piece is saved; what is saved next is all that comes."""
    async with windows(browser, demo.url, "admin", None) as (admin, visitor):
        await visitor.evaluate(HEAR)
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
        await agree(demo, visitor)
        assert DOOMED not in await visitor.evaluate("heard")
    assert DOOMED not in str(demo.rows())


async def test_nothing_falls_between_the_position_and_the_query(
    demo: Demo, browser: Browser
) -> None:
    """Publish before the list is read, and before the page is told where to begin."""
    async with windows(browser, demo.url, None) as (page,):
        opening = asyncio.create_task(page.goto(f"{demo.url}/?gates"))
        for name in ("before", "after"):
            gate = Gate(demo.folder, name)
            await asyncio.to_thread(gate.wait_until_reached)
            demo.script(f"{CREATE}\ncreate('{name}')")
            demo.wait_until_published()
            gate.open()
        await opening
        await live(page)
        await agree(demo, page)


async def test_pages_opened_while_others_write_miss_nothing(demo: Demo, browser: Browser) -> None:
    """Open page after page while two processes write; each ends with the database's list."""
    async with windows(browser, demo.url, None) as (first,):
        pages, writers = [first], [demo.start_script(WRITE) for _ in range(2)]
        await first.get_by_text("pieza").first.wait_for()
        for _ in range(5):
            pages.append(await first.context.new_page())
            await pages[-1].goto(demo.url)
        (demo.folder / "enough").touch()
        assert [writer.wait(TIMEOUT) for writer in writers] == [0, 0]
        await agree(demo, *pages)


async def test_a_broker_that_was_killed(demo: Demo, browser: Browser) -> None:
    """Kill the broker and save: the site does not mind, and open pages show it afterwards."""
    async with windows(browser, demo.url, "ana", None) as (ana, visitor):
        demo.script(f"{CREATE}\ncreate('antes')")
        await agree(demo, ana, visitor)
        demo.broker.kill()
        with no_reload(visitor):
            await ana.get_by_text("Nuevo mueble").click()
            await submit(ana, **new_piece())
            demo.script(f"{CREATE}\ncreate('meanwhile').delete()\ncreate('mientras')")
            await visitor.get_by_text("reconectando").wait_for()
            demo.start_broker()
            await agree(demo, ana, visitor)


async def test_a_relay_that_was_killed(demo: Demo, browser: Browser) -> None:
    """Kill the relay and save; once there is another one, open pages show it."""
    async with windows(browser, demo.url, None) as (visitor,):
        with no_reload(visitor):
            demo.relay.kill()
            demo.relay.wait(TIMEOUT)
            demo.script(f"{CREATE}\ncreate('sin relevo')")
            demo.start_relay()
            await visitor.get_by_text("sin relevo").wait_for()
            await agree(demo, visitor)


SILENT = "from catalog.models import Mueble\nMueble.objects.update(ancho={})"
"""A change that no event tells of: only who reads the database again can know."""


async def test_a_gap_loads_the_list_anew(demo: Demo, browser: Browser) -> None:
    """Lose the broker's log, and with it what nobody is told of: the page asks the site."""
    async with windows(browser, demo.url, None) as (visitor,):
        with no_reload(visitor):
            demo.broker.kill()
            for file in demo.folder.glob("events.db*"):
                file.unlink()
            demo.script(SILENT.format(501))
            demo.start_broker()
            await agree(demo, visitor)


async def test_a_page_that_nobody_could_tell_a_position(demo: Demo, browser: Browser) -> None:
    """Open a page of a site that never saw its broker; it loads its list anew once it is live."""
    async with windows(browser, demo.url, None) as (visitor,):
        demo.broker.kill()
        demo.restart_site()
        await visitor.goto(demo.url)
        assert '"since": null' in await visitor.content()
        with no_reload(visitor):
            demo.script(SILENT.format(502))
            demo.start_broker()
            await live(visitor)
            await agree(demo, visitor)


@pytest.fixture
def command(
    tmp_path: Path, create_database: Callable[[], dict[str, Any] | None]
) -> Iterator[subprocess.Popen[str]]:
    """Run what ``make demo`` runs."""
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


def said_until(process: subprocess.Popen[str], what: str) -> str:
    """Return what the demo says, up to a line with this in it."""
    said = ""
    for line in process.stdout or ():
        said += line
        if what in line:
            return said
    raise AssertionError(f"it ended without {what!r}: {said}")


def descendants(process: int) -> set[int]:
    """Return the processes that it started, and those that they did."""
    found = children(process)
    return found.union(*map(descendants, found))


def children(process: int) -> set[int]:
    """Return the processes that it started."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def command_line(process: int) -> str:
    """Return what it runs."""
    return Path(f"/proc/{process}/cmdline").read_text()


def runs(process: int) -> bool:
    """Tell whether there is such a process."""
    return Path(f"/proc/{process}").exists()


async def test_one_command_starts_it_and_ctrl_c_ends_it(
    command: subprocess.Popen[str], browser: Browser
) -> None:
    """Sign in where and as it says, see a piece come, and have nothing left afterwards."""
    said = said_until(command, "Ctrl-C")
    urls = re.findall(r"http://127\.0\.0\.1:\d+", said)
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
    said, _ = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0, said
    assert not any(map(runs, started))
    assert readiness(site) is None
    assert readiness(broker) is None


async def test_one_that_ends_ends_all(command: subprocess.Popen[str]) -> None:
    """Kill gunicorn, which leaves its workers: all end, and the last line says why."""
    said_until(command, "Ctrl-C")
    started = descendants(command.pid)
    (gunicorn,) = (child for child in children(command.pid) if "gunicorn" in command_line(child))
    os.kill(gunicorn, signal.SIGKILL)
    said, _ = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 1
    assert said.splitlines()[-1] == "site has ended, and so has all else"
    wait_until(lambda: not any(map(runs, started)), "all have ended")
