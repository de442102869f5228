"""The configuration that a page needs to stay live."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.asyncio import async_unsafe
from django.utils.decorators import method_decorator
from django.utils.functional import SimpleLazyObject
from django.views import View
from furniture_events import Producer
from furniture_events.django.page import describe, live, position

from tests.django.overrides import override_setting
from tests.django.test_publishing import FURNITURE
from tests.support.server import Server, wait_until

SECRET = "a secret that the broker knows as well"


def broker(server: Server, **changes: Any) -> override_settings:
    """Use this broker. By default a process asks for its position only once."""
    return override_setting(
        **{"URL": server.url, "POSITION_SECONDS": 1000, "POSITION_TIMEOUT": 10} | changes
    )


def published_since(server: Server, since: str | None) -> list[Any]:
    """Return the pieces whose events a page gets that begins at this position."""
    with urllib.request.urlopen(f"{server.url}/api/events?since={since}") as answer:
        return [event["furniture"]["furniture_id"] for event in json.load(answer)["events"]]


def publish(server: Server, furniture_id: str) -> None:
    """Put an event into the broker's log."""
    with Producer(server.url, key="a-key-of-a-producer") as producer:
        producer.furniture_updated({**FURNITURE, "furniture_id": furniture_id})


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """Return a broker whose log has an event."""
    started = start_server(producer_keys="a-key-of-a-producer")
    publish(started, "before")
    return started


during: list[Callable[[], None]] = []
"""Called while a view runs its query."""


def render(request: HttpRequest) -> HttpResponse:
    """Run a slow query, and render a page with the tag."""
    for action in during:
        action()
    template = engines["django"].from_string("{% load furniture_events %}{% furniture_events %}")
    return HttpResponse(template.render({}, request))


@live
async def render_async(request: HttpRequest) -> HttpResponse:
    """Do the same in an async view."""
    request.user = await request.auser()  # type: ignore[attr-defined]
    return render(request)


@method_decorator(live, name="dispatch")
class Page(View):
    """Does the same in a class."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Render."""
        return render(request)


class AsyncPage(View):
    """Does the same in a class with async handlers."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Render."""
        request.user = await request.auser()  # type: ignore[attr-defined]
        return render(request)


urlpatterns = [
    path("function/", live(render)),
    path("class/", Page.as_view()),
    path("async/", render_async),
    path("async-class/", live(AsyncPage.as_view())),
    path("late/", render),
]


def script(answer: HttpResponse) -> dict[str, Any]:
    """Return the configuration that the page's script reads."""
    found = re.fullmatch(
        r'<script id="furniture-events" type="application/json">(.*)</script>',
        answer.content.decode(),
    )
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("function", ["during", "after"]),
        ("class", ["during", "after"]),
        ("async", ["during", "after"]),
        ("async-class", ["during", "after"]),
        ("late", ["after"]),
    ],
)
def test_a_live_views_page_gets_every_event_after_its_query(
    server: Server, page: str, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its position is older than its query. Without ``live`` the tag reads a later position.

    An async view does not block its event loop to read the position.
    """
    monkeypatch.setattr("furniture_events.django.page.position", async_unsafe(position))
    during[:] = [lambda: publish(server, "during")]
    with broker(server):
        if page.startswith("async"):
            answer = async_to_sync(AsyncClient().get)(f"/{page}/")
        else:
            answer = Client().get(f"/{page}/")
    publish(server, "after")
    configuration = script(answer)
    assert published_since(server, configuration.pop("since")) == sent
    assert configuration == {"url": server.url, "token": None}


def test_the_position_is_cached_for_position_seconds(server: Server) -> None:
    """Pages share one position. After POSITION_SECONDS the site asks the broker again."""
    with broker(server):
        first = position()
        publish(server, "later")
        assert (position(), published_since(server, first)) == (first, ["later"])
    with broker(server, POSITION_SECONDS=0.001):
        first = position()
        publish(server, "latest")
        wait_until(lambda: position() != first, "the site asks for the position again")


def test_while_the_broker_is_down_the_last_position_is_used(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It is older, so that the page misses no event. Without any position it is None."""
    with broker(server, POSITION_SECONDS=0.001):
        known = position()
        server.kill()
        wait_until(lambda: position() and "position_unknown" in caplog.text, "it is asked again")
        assert position() == known
    with broker(server):
        assert position() is None


def request_of(user: Any) -> HttpRequest:
    """Return a user's request."""
    request = RequestFactory().get("/")
    request.user = user
    return request


def test_the_token_is_for_the_user_and_expires(server: Server, autor: User) -> None:
    """It names the user, allows only to subscribe, and has an expiry time."""
    with broker(server, TOKEN_SECRET=SECRET, TOKEN_SECONDS=60):
        begun = int(time.time())
        token = describe(request_of(autor))["token"]
        assert token is not None
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp"]})
        assert begun + 60 <= claims.pop("exp") <= time.time() + 60
        assert begun <= claims.pop("iat") <= time.time()
        assert claims == {"sub": str(autor.pk), "scope": "subscribe"}
        assert describe(request_of(AnonymousUser()))["token"] is None
        assert describe(RequestFactory().get("/"))["token"] is None
    with broker(server):
        assert describe(request_of(autor))["token"] is None


def rooms_of(user: Any) -> list[str]:
    """Return the rooms that a user may see."""
    return [f"author:{user.username}"]


def test_the_token_has_the_rooms_and_the_names_of_the_setting(server: Server, autor: User) -> None:
    """The rooms come from a function of the user."""
    settings = {
        "TOKEN_SECRET": SECRET,
        "TOKEN_ROOMS": f"{__name__}.rooms_of",
        "TOKEN_ISSUER": "https://site.example",
        "TOKEN_AUDIENCE": "catalogue",
    }
    with broker(server, **settings):
        token = describe(request_of(autor))["token"]
    assert token is not None
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["rooms"] == ["author:juan"]
    assert (claims["iss"], claims["aud"]) == ("https://site.example", "catalogue")


def test_a_page_with_a_token_is_private(server: Server, autor: User) -> None:
    """So that no cache gives it to another user. A page without one may be public."""

    @live
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("", headers={"Cache-Control": "public, max-age=60"})

    with broker(server, TOKEN_SECRET=SECRET):
        private, public = page(request_of(autor)), page(request_of(AnonymousUser()))
    assert set(private.headers["Cache-Control"].split(", ")) == {"max-age=60", "private"}
    assert public.headers["Cache-Control"] == "public, max-age=60"


@override_settings(ROOT_URLCONF=__name__)
def test_the_configuration_cannot_end_its_script(server: Server) -> None:
    """The URL is PUBLIC_URL, escaped as Django does it."""
    hostile = "https://broker.example/</script><b>&"
    during.clear()
    with broker(server, PUBLIC_URL=hostile):
        answer = Client().get("/function/")
    assert answer.content.count(b"<") == 2
    assert script(answer)["url"] == hostile


def test_a_slash_at_the_urls_end_is_removed(server: Server) -> None:
    """So a page can append a path to the URL."""
    with broker(server, PUBLIC_URL="https://broker.example/"):
        assert describe(HttpRequest())["url"] == "https://broker.example"


def test_the_configuration_is_served_as_json(server: Server, autor: User) -> None:
    """Single-page apps can read it. It is never cached, and has the signed-in user's token."""
    client = Client()
    client.force_login(autor)
    with broker(server, TOKEN_SECRET=SECRET):
        answer = client.get("/furniture-events/")
        assert answer.headers["Content-Type"] == "application/json"
        assert {"no-store", "private"} <= set(answer.headers["Cache-Control"].split(", "))
        configuration = answer.json()
        assert jwt.decode(configuration["token"], SECRET, algorithms=["HS256"])
        assert (configuration["url"], configuration["since"]) == (server.url, position())
        assert client.head("/furniture-events/").status_code == 200
        for method in (client.post, client.put, client.delete, client.options):
            assert method("/furniture-events/").status_code == 405


def test_the_first_pages_wait_for_one_answer(server: Server) -> None:
    """In a process that has just started, no page gets None instead of the position."""
    with broker(server), ThreadPoolExecutor(8) as threads:
        known = set(threads.map(lambda _: position(), range(8)))
    assert len(known) == 1
    assert known != {None}


@live
async def render_for_the_user(request: HttpRequest) -> HttpResponse:
    """Render a page without a query for the user."""
    return render(request)


def test_an_async_view_has_the_token(server: Server) -> None:
    """The user is read before the view, in a thread that may query the database."""
    request = RequestFactory().get("/")
    request.user = SimpleLazyObject(lambda: User.objects.create_user("ana"))
    with broker(server, TOKEN_SECRET=SECRET):
        answer = async_to_sync(render_for_the_user)(request)
    assert jwt.decode(script(answer)["token"], SECRET, algorithms=["HS256"])["sub"].isdigit()


def test_the_tag_needs_the_request() -> None:
    """The error names the setting that puts the request into the context."""
    template = engines["django"].from_string("{% load furniture_events %}{% furniture_events %}")
    with pytest.raises(ImproperlyConfigured, match="context processor"):
        template.render({})
