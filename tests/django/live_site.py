"""A site with live pages, in a thread of the test's process, and a browser that opens them.

The pieces are published at the commit (direct mode), so that no relay is needed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial, wraps
from typing import Any

from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import override_settings
from django.test.testcases import QuietWSGIRequestHandler
from django.urls import include, path
from furniture_events.django.page import describe, live
from playwright.async_api import Browser, Page

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.support.browser import windows
from tests.support.server import TIMEOUT, Server

KEY = "a-key-of-a-producer"
SECRET = "a secret that the site and the broker know"

ICON = '<link rel="icon" href="data:,">'
TAG = "{% load furniture_events %}{% furniture_events_live %}"
STATE = '<output data-furniture-state data-furniture-live="en directo"></output>'
LIST = """
<ul data-furniture-list>
  {% for mueble in muebles %}
  <li data-furniture-id="{{ mueble.pk }}" class="{{ mueble.material }}">
    <b>{{ mueble.nombre }}</b><span>{{ mueble.material }}</span>
    <form>{% csrf_token %}<input name="nota" value="{{ mueble.notas }}"></form>
  </li>
  {% empty %}<li>No hay muebles</li>
  {% endfor %}
</ul>
"""


class Site:
    """The running site: what its pages contain, and which requests they have made."""

    def __init__(self) -> None:
        self.tag = TAG
        self.html = STATE + LIST
        self.headers: dict[str, str] = {}
        self.nonce: str | None = None
        self.order = "nombre"
        self.status = 200
        self.requests: Counter[str] = Counter()
        self.during: Callable[[], None] = lambda: None
        self.url = ""

    def render(self, request: HttpRequest) -> HttpResponse:
        """Answer with the page. A part that a script has asked for is counted."""
        is_part = request.headers.get("X-Furniture-Fragment") == "1"
        self.requests["parts" if is_part else "pages"] += 1
        muebles = list(Mueble.objects.order_by(self.order))
        if is_part:
            self.during()
        template = engines["django"].from_string(
            f"<!doctype html><title>M</title>{ICON}{self.tag}{self.html}"
        )
        page = template.render(
            {"muebles": muebles, "csp_nonce": self.nonce, "events": describe(request)}, request
        )
        return HttpResponse(page, status=self.status, headers=self.headers)


site = Site()


def late(request: HttpRequest) -> HttpResponse:
    """Answer with the page, without reading a position."""
    return site.render(request)


urlpatterns = [
    path("", live(late)),
    path("late/", late),
    path("furniture-events/", include("furniture_events.django.urls")),
]


@contextmanager
def running(broker: Server, **setting: Any) -> Iterator[Site]:
    """Run the site with this broker, and keys of its setting."""
    site.__init__()  # type: ignore[misc]
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietWSGIRequestHandler)
    server.daemon_threads = False
    server.block_on_close = True
    defaults = {"MODE": "direct", "DIRECT_TIMEOUT": TIMEOUT, "POSITION_TIMEOUT": TIMEOUT}
    chosen = {"URL": broker.url, "KEY": KEY} | defaults | setting
    with override_settings(ROOT_URLCONF=__name__), override_setting(**chosen):
        server.set_app(StaticFilesHandler(WSGIHandler()))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@asynccontextmanager
async def opened(browser: Browser, url: str, user: str | None = None) -> AsyncIterator[Page]:
    """Open a page in a window of its own, in which a user is signed in."""
    async with windows(browser, 1) as (page,):
        page.set_default_timeout(TIMEOUT * 1000)
        if user is not None:
            cookie = await _session_of(user)
            await page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": url}])
        await page.goto(url)
        yield page


async def wait_for_state(page: Page, state: str) -> None:
    """Wait until the page tells this state."""
    await page.locator(f"[data-furniture-state={state}]").wait_for()


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let an async test call a function that uses the database. It gets a connection of its own."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections["default"].close()
            del connections["default"]  # the next test may have another kind of database

    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        work = partial(call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(None, work)

    return run


@in_thread
def _session_of(username: str) -> str:
    from django.test import Client

    client = Client()
    client.force_login(User.objects.get(username=username))
    return client.cookies["sessionid"].value


@in_thread
def create(*names: str) -> list[Mueble]:
    """Save a new piece for each name."""
    autor, _ = User.objects.get_or_create(username="juan")
    pieces = [mueble(autor, nombre=name) for name in names]
    for piece in pieces:
        piece.save()
    return pieces


@in_thread
def save(piece: Mueble, **changes: Any) -> None:
    """Change a piece."""
    for name, value in changes.items():
        setattr(piece, name, value)
    piece.save()


@in_thread
def delete(piece: Mueble) -> None:
    """Delete a piece."""
    piece.delete()


@in_thread
def write_silently(**changes: Any) -> None:
    """Change all rows without an event."""
    Mueble.objects.update(**changes)
