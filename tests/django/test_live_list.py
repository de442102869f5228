"""``{% furniture_events_live %}`` in a real browser: a list that the site renders stays current."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from playwright.async_api import Browser, Page

from tests.django.databases import on_sqlite
from tests.django.live_site import (
    KEY,
    SECRET,
    Site,
    create,
    delete,
    opened,
    running,
    save,
    wait_for_state,
    write_silently,
)
from tests.support.server import TIMEOUT, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the browser's

Start = Callable[..., Server]


@pytest.fixture
def start_broker(start_server: Start) -> Start:
    """Return a function that starts a broker for pages of any site."""
    return lambda **settings: start_server(producer_keys=KEY, cors_origins="*", **settings)


@pytest.fixture
def site(start_broker: Start) -> Iterator[Site]:
    """Run the site with its broker."""
    with running(start_broker()) as it:
        yield it


async def shows(page: Page, *names: str) -> None:
    """Wait until the list has exactly these pieces, in this order."""
    await page.wait_for_function(
        """names => JSON.stringify(names) ===
        JSON.stringify([...document.querySelectorAll("li b")].map(name => name.textContent))""",
        arg=list(names),
    )


async def test_a_list_follows_every_change(site: Site, browser: Browser) -> None:
    """Pieces come, change and go, each in its place. The page itself is never loaded again."""
    mesa, silla = await create("Mesa", "Silla")
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        await shows(page, "Mesa", "Silla")
        await create("Nido <b>&amp;")
        await shows(page, "Mesa", "Nido <b>&amp;", "Silla")
        await save(mesa, nombre="Taburete")
        await shows(page, "Nido <b>&amp;", "Silla", "Taburete")
        await delete(silla)
        await shows(page, "Nido <b>&amp;", "Taburete")
    assert site.requests["pages"] == 1


@on_sqlite
async def test_only_the_changed_rows_change(site: Site, browser: Browser) -> None:
    """A row keeps its element, its focus and its typed text. CSS can show the new and changed ones.

    Only these rows are marked: another row's CSRF token, which differs in each page, is no change.
    """
    mesa, _ = await create("Mesa", "Silla")
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        await page.evaluate("""() => {
            for (const row of document.querySelectorAll("li")) row.isOld = true;
            window.marked = [];
            window.lists = [];
            document.addEventListener("furniture:list", ({target, detail}) =>
                lists.push([target.tagName, ...detail.rows.map(row => row.className)]));
            new MutationObserver(all => marked.push(...all.map(({target}) =>
                `${target.querySelector("b").textContent} ${target.dataset.furnitureChange}`)))
                .observe(document.querySelector("ul"),
                    {subtree: true, attributeFilter: ["data-furniture-change"]});
        }""")
        await page.locator(f"[data-furniture-id='{mesa.pk}'] input[name=nota]").type("a medias")
        await save(mesa, nombre="Zócalo", material="haya")
        await shows(page, "Silla", "Zócalo")
        await create("Arca")
        await shows(page, "Arca", "Silla", "Zócalo")
        assert await page.evaluate(
            "[...document.querySelectorAll('li')].map(row => row.isOld)"
        ) == [
            None,
            True,
            True,
        ]
        assert await page.evaluate("lists") == [["UL", "haya"], ["UL", "roble"]]
        assert await page.evaluate("document.activeElement.value") == "a medias"
        row = page.locator(f"[data-furniture-id='{mesa.pk}']")
        assert await row.get_attribute("class") == "haya"
        await page.wait_for_function("!document.querySelector('[data-furniture-change]')")
        assert await page.evaluate("marked") == [
            "Zócalo updated",
            "Arca created",
            "Zócalo undefined",
            "Arca undefined",
        ]


FOLDS = """<style>
  [data-furniture-change=deleted] { animation: go 1000s; }
  li { animation: turn 1s infinite; } @keyframes go { to { opacity: 0; } } @keyframes turn {}
</style>"""


@on_sqlite
async def test_a_deleted_row_stays_until_its_animation_is_over(
    site: Site, browser: Browser
) -> None:
    """It is marked and inert, and it moves no other row. An endless animation holds nothing."""
    site.html += FOLDS
    arca, mesa, silla = await create("Arca", "Mesa", "Silla")
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        await page.locator(f"[data-furniture-id='{silla.pk}'] input[name=nota]").focus()
        pks = arca.pk, mesa.pk
        await delete(arca)
        await delete(mesa)
        await page.locator("[inert][data-furniture-change=deleted]").nth(1).wait_for()
        await create("Zócalo")
        await shows(page, "Arca", "Mesa", "Silla", "Zócalo")
        assert await page.evaluate("document.activeElement.name") == "nota"
        await page.evaluate("""() => document.getAnimations()
            .filter(it => it.animationName === "go").forEach(it => it.finish())""")
        for pk in pks:
            await page.locator(f"[data-furniture-id='{pk}']").wait_for(state="detached")
        await shows(page, "Silla", "Zócalo")
        await page.locator("style").evaluate("it => it.sheet.deleteRule(0)")
        await delete(silla)
        await shows(page, "Zócalo")


@on_sqlite
async def test_a_list_can_become_empty(site: Site, browser: Browser) -> None:
    """A child without an id, such as "no pieces", comes and goes with the site's template."""
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        await page.get_by_text("No hay muebles").wait_for()
        (mesa,) = await create("Mesa")
        await shows(page, "Mesa")
        assert await page.get_by_text("No hay muebles").count() == 0
        await delete(mesa)
        await page.get_by_text("No hay muebles").wait_for()


TWO_LISTS = "<output data-furniture-state></output>" + "".join(
    f"""<h2>{material}</h2><ul data-furniture-list="{material}">{{% for it in muebles %}}
    {{% if it.material == "{material}" %}}<li data-furniture-id="{{{{ it.pk }}}}"><b>{material}:
    {{{{ it.nombre }}}}</b></li>{{% endif %}}{{% endfor %}}</ul>"""
    for material in ("roble", "pino")
)


@on_sqlite
async def test_a_page_can_have_several_lists(site: Site, browser: Browser) -> None:
    """Each has a name. A piece can leave one of them and come into another one."""
    site.html = TWO_LISTS.replace(":\n    ", ": ")
    mesa, _ = await create("Mesa", "Silla")
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        await shows(page, "roble: Mesa", "roble: Silla")
        await save(mesa, material="pino")
        await shows(page, "roble: Silla", "pino: Mesa")


@on_sqlite
async def test_many_changes_are_few_requests(site: Site, browser: Browser) -> None:
    """One request at a time, however many events come, and the list shows the last one."""
    at_once, most = 0, 0
    gate, reached = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        at_once -= 1

    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        site.during = wait
        await create("a")
        await reached.wait()  # the request has read its list, and is not answered yet
        await create(*"bcdefghij")
        gate.set()
        await shows(page, *"abcdefghij")
    assert (most, site.requests["parts"]) == (1, 2)


HIDE = """isHidden => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@on_sqlite
async def test_a_page_that_nobody_sees_loads_its_list_when_it_is_shown(
    site: Site, browser: Browser
) -> None:
    """Hidden pages cost the site no requests. Other scripts get the events at once."""
    async with opened(browser, site.url) as hidden, opened(browser, site.url) as seen:
        for page in (hidden, seen):
            await wait_for_state(page, "live")
        await hidden.evaluate(HIDE, arg=True)
        await hidden.evaluate(
            "document.addEventListener('furniture:created', () => { window.told = true; })"
        )
        requests: list[str] = []
        hidden.on("request", lambda request: requests.append(request.url))
        await create("Mesa")
        await hidden.wait_for_function("window.told")
        for name, names in (("Nido", ["Mesa", "Nido"]), ("Silla", ["Mesa", "Nido", "Silla"])):
            await create(name)
            await shows(seen, *names)
        assert requests == []
        await hidden.evaluate(HIDE, arg=False)
        await shows(hidden, "Mesa", "Nido", "Silla")


@on_sqlite
async def test_a_gap_loads_the_list_again(start_broker: Start, browser: Browser) -> None:
    """The broker has lost its log. A change that no event tells is shown all the same."""
    broker = start_broker()
    with running(broker) as site:
        await create("Mesa")
        async with opened(browser, site.url) as page:
            await wait_for_state(page, "live")
            await page.evaluate(
                "document.addEventListener('furniture:gap', () => { window.gap = true; })"
            )
            broker.kill()
            await page.locator(
                "[data-furniture-state=recovering], [data-furniture-state=offline]"
            ).wait_for()
            await write_silently(nombre="Mesita")
            start_broker(port=broker.port)
            await shows(page, "Mesita")
            await wait_for_state(page, "live")
            assert await page.evaluate("gap") is True


@on_sqlite
async def test_a_page_without_live_loads_its_list_once_more(site: Site, browser: Browser) -> None:
    """Its view may have read the list before a change, and the tag is rendered after it."""
    await create("Mesa")
    async with opened(browser, f"{site.url}/late/") as page:
        await wait_for_state(page, "live")
        assert site.requests == {"pages": 1, "parts": 1}


@on_sqlite
async def test_a_page_that_cannot_be_loaded_leaves_the_list_as_it_is(
    site: Site, browser: Browser
) -> None:
    """An error, or another page such as a sign-in, deletes no row. The script tries again."""
    await create("Mesa")
    html = site.html
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        site.status = 500
        await create("Silla")
        await wait_for_state(page, "recovering")
        site.status, site.html = 200, "<form>Sign in</form>"
        before = site.requests["parts"]
        async with asyncio.timeout(TIMEOUT):
            while site.requests["parts"] < before + 2:
                await asyncio.sleep(0.01)
        await shows(page, "Mesa")
        site.html = html
        await shows(page, "Mesa", "Silla")
        await wait_for_state(page, "live")


@on_sqlite
async def test_tokens_are_fetched_in_time(start_broker: Start, browser: Browser) -> None:
    """The broker serves only users who are signed in, and tokens are short."""
    broker = start_broker(require_auth="true", jwt_secret=SECRET)
    with running(broker, TOKEN_SECRET=SECRET, TOKEN_SECONDS=2) as site:
        await create("Mesa")
        async with opened(browser, site.url, "juan") as page, opened(browser, site.url) as visitor:
            await wait_for_state(visitor, "refused")
            await wait_for_state(page, "live")
            async with page.expect_response("**/furniture-events/"):
                pass
            async with page.expect_response("**/furniture-events/"):
                pass
            await create("Silla")
            await shows(page, "Mesa", "Silla")
            assert site.requests["pages"] == 2
