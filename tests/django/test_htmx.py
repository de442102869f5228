"""The htmx recipe of ``docs/django.md``: htmx keeps a list current, over Server-Sent Events."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.async_api import Page, Route

from tests.django.databases import on_sqlite
from tests.django.live_site import KEY, create, running, save, wait_for_state, write_silently
from tests.support.browser import page as new_page
from tests.support.server import ROOT, TIMEOUT, Server

MODULES = ROOT / "tests/node/node_modules"
SCRIPTS = {
    "htmx.js": MODULES / "htmx.org/dist/htmx.min.js",
    "sse.js": MODULES / "htmx-ext-sse/sse.js",
}


def recipe() -> str:
    """Return the recipe's template."""
    section = (ROOT / "docs/django.md").read_text().split("### htmx over SSE")[1]
    found = re.search(r"```html\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


async def serve(route: Route) -> None:
    """Answer with a script of htmx."""
    await route.fulfill(path=SCRIPTS[route.request.url.rpartition("/")[2]])


async def shows(page: Page, *names: str) -> None:
    """Wait until the list has exactly these pieces."""
    await page.wait_for_function(
        """names => JSON.stringify(names) ===
        JSON.stringify([...document.querySelectorAll("li")].map(row => row.textContent.trim()))""",
        arg=list(names),
    )


@on_sqlite
async def test_the_htmx_recipe_keeps_a_list_current(start_server: Callable[..., Server]) -> None:
    """Pieces come, change and go. After a restart of the broker, the list is current again."""
    broker = start_server(producer_keys=KEY)
    with running(broker) as site:
        site.tag = ""
        site.html = recipe()
        (mesa,) = await create("Mesa")
        async with new_page() as page:
            page.set_default_timeout(TIMEOUT * 1000)
            await page.route("**/static/htmx/*", serve)
            async with page.expect_response(lambda it: "/api/stream" in it.url):
                await page.goto(site.url)
            await shows(page, "Mesa")
            await create("Silla")
            await shows(page, "Mesa", "Silla")
            await save(mesa, nombre="Taburete")
            await shows(page, "Silla", "Taburete")
            broker.kill()
            await write_silently(nombre="Cama")
            start_server(port=broker.port, producer_keys=KEY)
            await shows(page, "Cama", "Cama")
            await create("Arca")
            await shows(page, "Arca", "Cama", "Cama")
        assert site.requests["pages"] < 10


BUTTONS = """
<script src="/static/htmx/htmx.js"></script><output data-furniture-state></output><p></p>
<ul data-furniture-list>{% for mueble in muebles %}<li data-furniture-id="{{ mueble.pk }}">
<button hx-get="" hx-select="b" hx-target="p"><b>{{ mueble.nombre }}</b></button></li>
{% endfor %}</ul>
"""


@on_sqlite
async def test_htmx_works_in_new_rows(start_server: Callable[..., Server]) -> None:
    """The tag's script tells htmx of the rows that it adds."""
    with running(start_server(producer_keys=KEY)) as site:
        site.html = BUTTONS
        async with new_page() as page:
            page.set_default_timeout(TIMEOUT * 1000)
            await page.route("**/static/htmx/*", serve)
            await page.goto(site.url)
            await wait_for_state(page, "live")
            await create("Mesa")
            await page.get_by_role("button").click()
            await page.locator("p b").wait_for()
