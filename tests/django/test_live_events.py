"""``furniture_events_live``: events for other scripts, states in words, a strict policy, Jinja2."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import engines
from django.template.backends.jinja2 import Jinja2
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from furniture_events.django import live_script
from playwright.async_api import Browser, expect

from tests.django.databases import on_sqlite
from tests.django.live_site import (
    KEY,
    SECRET,
    TAG,
    Site,
    create,
    delete,
    opened,
    running,
    save,
    wait_for_state,
)
from tests.django.overrides import override_setting
from tests.support.pages import ROOT, blocks
from tests.support.server import Server

in_browser = pytest.mark.asyncio(loop_scope="module")

RECORD = """
window.told = [];
for (const name of ["created", "updated", "deleted", "gap", "state"])
  document.addEventListener(`furniture:${name}`, ({ detail }) => {
    told.push([name, detail.furniture?.nombre ?? detail.state ?? null]);
  });
"""


@pytest.fixture
def site(start_server: Callable[..., Server]) -> Iterator[Site]:
    """Run the site with its broker."""
    with running(start_server(producer_keys=KEY, cors_origins="*")) as it:
        yield it


async def record_changes(browser: Browser, site: Site, url: str) -> list[list[Any]]:
    """Create, change and delete a piece while a page is open; return what its events told."""
    async with opened(browser, "about:blank") as page:
        await page.add_init_script(RECORD)
        await page.goto(url)
        await wait_for_state(page, "live")
        (mesa,) = await create("Mesa")
        await save(mesa, nombre="Mesita")
        await delete(mesa)
        await page.wait_for_function("told.some(([name]) => name === 'deleted')")
        told: list[list[Any]] = await page.evaluate("told")
    assert site.requests["parts"] == 0
    return told


CHANGES = [["created", "Mesa"], ["updated", "Mesita"], ["deleted", "Mesita"]]
CONNECTING, LIVE = ["state", "connecting"], ["state", "live"]


@in_browser
async def test_other_scripts_get_the_events_and_the_states(site: Site, browser: Browser) -> None:
    """A page without a list loads nothing again."""
    site.html = "<output data-furniture-state></output>"
    assert await record_changes(browser, site, site.url) == [CONNECTING, LIVE, *CHANGES]


@on_sqlite
@in_browser
async def test_a_page_without_live_is_told_of_a_gap(site: Site, browser: Browser) -> None:
    """What it shows may be older than the first event that it gets."""
    site.html = "<output data-furniture-state></output>"
    told = await record_changes(browser, site, f"{site.url}/late/")
    assert told == [CONNECTING, ["gap", None], LIVE, *CHANGES]


@on_sqlite
@in_browser
async def test_the_state_is_shown_in_the_words_of_the_site(site: Site, browser: Browser) -> None:
    """Or in English. An element with children keeps them, and CSS can use its attribute."""
    site.html = """<output data-furniture-state data-furniture-live="en directo"></output>
    <p data-furniture-state></p><div data-furniture-state><b>Piezas</b></div>"""
    async with opened(browser, site.url) as page:
        await page.get_by_text("en directo").wait_for()
        assert await page.locator("p").inner_text() == "live"
        assert await page.locator("div[data-furniture-state=live]").inner_text() == "Piezas"


@on_sqlite
@in_browser
@pytest.mark.parametrize(
    ("lang", "offline", "away", "back"),
    [
        (
            "es-MX",
            "sin conexión",
            r"desde hace \d+ s(eg)?",
            "2 eventos recuperados, ninguno perdido.",
        ),
        ("en", "offline", r"for \d+ sec", "2 missed events shown, none lost."),
    ],
)
async def test_a_page_says_since_when_it_is_offline_and_what_came_back(
    site: Site, browser: Browser, lang: str, offline: str, away: str, back: str
) -> None:
    """In the language of the page, and in an event for other scripts."""
    site.tag = f'<html lang="{lang}">{TAG}'
    site.html = """<output data-furniture-state></output> <span data-furniture-away></span>
    <p data-furniture-recovered></p>"""
    async with opened(browser, site.url) as page:
        await wait_for_state(page, "live")
        assert await page.locator("span, p").all_inner_texts() == ["", ""]
        await page.evaluate(
            "addEventListener('furniture:recovered', ({ detail }) => { window.came = detail; })"
        )
        await page.context.set_offline(True)
        await wait_for_state(page, "offline")
        assert await page.locator("output").inner_text() == offline
        await expect(page.locator("span")).to_have_text(re.compile(rf"^{away}"))
        await create("Mesa", "Silla")
        await page.context.set_offline(False)
        await wait_for_state(page, "live")
        await expect(page.locator("p")).to_contain_text(back)
        await expect(page.locator("span")).to_have_text("")
        came = await page.evaluate("came")
        assert came.pop("seconds") >= 1
        assert came == {"events": 2, "gap": False}


@on_sqlite
@in_browser
async def test_a_strict_policy_allows_the_page(site: Site, browser: Browser) -> None:
    """Only a script with the nonce runs, and only the site and the broker are connected to."""
    broker = live_script.describe_early(HttpRequest())["url"]
    assert broker is not None
    site.nonce = "a-nonce"
    _, _, policy = blocks("text", ROOT / "docs/django.md")
    policy = policy.strip().replace("https://events.example", broker)
    policy = policy.replace("wss://events.example", broker.replace("http", "ws"))
    policy = policy.replace("script-src 'self'", "script-src 'nonce-a-nonce'")
    site.headers["Content-Security-Policy"] = f"default-src 'none'; img-src data:; {policy}"
    async with opened(browser, site.url) as page:
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        await page.reload()
        await wait_for_state(page, "live")
        await create("Mesa")
        await page.get_by_text("Mesa").wait_for()
        assert problems == []


def tag(request: HttpRequest, **context: Any) -> str:
    """Return what the tag renders."""
    rendered: str = engines["django"].from_string(TAG).render(context, request)
    return rendered


@on_sqlite
def test_the_script_gets_the_nonce_of_the_page() -> None:
    """That of Django's context processor, or of django-csp. Both are made when they are read."""
    assert "nonce" not in tag(RequestFactory().get("/"))
    assert ' nonce="of-django"' in tag(
        RequestFactory().get("/"), csp_nonce=SimpleLazyObject(lambda: "of-django")
    )
    request = RequestFactory().get("/")
    request.csp_nonce = SimpleLazyObject(lambda: "of-django-csp")
    assert ' nonce="of-django-csp"' in tag(request)


@on_sqlite
def test_jinja2_has_the_same_functions() -> None:
    """With the extension of this package in the backend's options."""
    backend = Jinja2(
        {
            "NAME": "jinja2",
            "DIRS": [],
            "APP_DIRS": False,
            "OPTIONS": {"extensions": ["furniture_events.django.jinja.FurnitureEvents"]},
        }
    )
    request = RequestFactory().get("/")
    template = backend.from_string("{{ furniture_events_live() }}")
    assert template.render({"csp_nonce": "n"}, request) == tag(request, csp_nonce="n")
    script = backend.from_string("{{ furniture_events() }}").render({}, request)
    assert re.match(r'<script id="furniture-events" type="application/json">\{"url": ', script)
    with pytest.raises(ImproperlyConfigured, match="request"):
        template.render({})


@on_sqlite
def test_the_configuration_cannot_end_its_attribute() -> None:
    """It is escaped as Django does it."""
    with override_setting(PUBLIC_URL='https://broker.example/"><b>'):
        rendered = tag(RequestFactory().get("/"))
    assert (rendered.count("<"), rendered.count('"')) == (2, 4)


@on_sqlite
def test_a_page_with_a_token_needs_the_url_for_fresh_ones(autor: User) -> None:
    """The error says which line is missing. Without a token there is nothing to refresh."""
    request = RequestFactory().get("/")
    request.user = autor
    with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
        assert "data-refresh" not in tag(request)
        with override_setting(TOKEN_SECRET=SECRET):
            with pytest.raises(ImproperlyConfigured, match=r"include\(.furniture_events"):
                tag(request)


@on_sqlite
def test_a_checkout_without_the_script_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wheel always has it."""
    monkeypatch.setattr(live_script, "_FILE", tmp_path / "live.js")
    with pytest.raises(ImproperlyConfigured, match="make browser-client"):
        tag(RequestFactory().get("/"))
