"""Run every Python block and every template of ``docs/django.md`` in a small site of its own.

The standard input is a JSON object with the texts of the blocks: ``python`` and ``html``. The
working directory has the site's package ``catalog``. Nothing is published: the site has an outbox
and no broker.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import sys
import unittest
from types import ModuleType
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import engines
from django.test import Client, RequestFactory, TestCase
from django.test.utils import isolate_apps
from django.urls import include, path

sys.path.insert(0, "")
BLOCKS = json.load(sys.stdin)
USED = set()
os.environ["FURNITURE_EVENTS_KEY"] = "a-long-producer-key"

FURNITURE = {
    "nombre": "Mesa",
    "descripcion": "",
    "altura": 75,
    "ancho": 120,
    "material": "pino",
}


def block(*words: str) -> str:
    """Return the Python block with these words."""
    (found,) = (it for it in BLOCKS["python"] if all(word in it for word in words))
    USED.add(found)
    return found


def members(text: str) -> dict[str, Any]:
    """Return the members of a dict that a block shows without its braces."""
    value = ast.literal_eval(f"{{{text}}}")
    assert isinstance(value, dict)
    return value


def configure() -> None:
    """Set the site up as the page says, with all of its settings together."""
    names: dict[str, Any] = {}
    for text in (block("# settings.py"), block("TEMPLATES = "), block("LOGGING = ")):
        exec(text, names)
    setting = names["FURNITURE_EVENTS"]
    for text in (block('"MODELS": {', "PUBLISH_IF"), block('"RELATED": {')):
        setting |= members(text)
    setting |= {"URL": "http://127.0.0.1:9", "TOKEN_SECRET": "a-secret-of-at-least-32-bytes-long"}
    urls = ModuleType("urls")
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("muebles/<int:key>/", change),
        path("furniture-events/", include("furniture_events.django.urls")),
    ]
    installed = [it for it in names["INSTALLED_APPS"] if it is not ...]
    settings.configure(
        DEBUG_PROPAGATE_EXCEPTIONS=True,
        ALLOWED_HOSTS=["testserver"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        FURNITURE_EVENTS=setting,
        INSTALLED_APPS=[
            *("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"),
            *("django.contrib.staticfiles", "parler", "safedelete", "catalog"),
            *installed,
        ],
        LANGUAGES=[("es", "Español")],
        LANGUAGE_CODE="es",
        LOGGING=names["LOGGING"],
        ROOT_URLCONF=urls,
        STATIC_URL="/static/",
        TEMPLATES=[*names["TEMPLATES"], TEMPLATES],
        USE_TZ=True,
    )
    django.setup()


TEMPLATES = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "OPTIONS": {
        "context_processors": ["django.template.context_processors.request"],
        "loaders": [
            ("django.template.loaders.locmem.Loader", {"catalogue.html": BLOCKS["html"][0]})
        ],
    },
}


def change(request: HttpRequest, key: int) -> HttpResponse:
    """Save a piece, as a view of a site does."""
    from catalog.models import Mueble  # type: ignore[import-not-found]

    piece = Mueble.objects.get(pk=key)
    piece.material = request.POST["material"]
    piece.save()
    return HttpResponse()


def run(text: str, **names: Any) -> dict[str, Any]:
    """Run a block with these names; return all names."""
    exec(text, names)
    return names


def run_models() -> None:
    """The classes of the page: models with a manager and with translations, and a configuration."""
    from furniture_events.django.managers import PublishingManager
    from parler.models import TranslatableModel

    with isolate_apps("catalog"):
        made = run(block("objects = PublishingManager()"), models=models, __name__="catalog.models")
        assert isinstance(made["Mueble"].objects, PublishingManager)
    with isolate_apps("catalog"):
        translated = block("TranslatableModel")
        run(translated, TranslatableModel=TranslatableModel, __name__="catalog.models")
    made = run(block("publish_on_m2m"), AppConfig=AppConfig)
    made["CatalogConfig"]("catalog", sys.modules["catalog"]).ready()


def run_changes() -> None:
    """Publish by hand, and end the tokens of a user."""
    from catalog.models import Mueble
    from django.contrib.auth.models import User
    from furniture_events.django.models import OutboxEvent, OutboxRevocation

    user = User.objects.create_user("eva")
    mueble = Mueble.objects.create(**FURNITURE, autor=user, publicado=True)
    before = OutboxEvent.objects.count()
    furniture = {**FURNITURE, "furniture_id": "7", "autor_username": "eva"}
    run(block("import publish\n"), mueble=mueble, furniture=furniture)
    assert OutboxEvent.objects.count() == before + 2
    run(block("import revoke"), User=User, user=user)
    assert OutboxRevocation.objects.count() == 1
    view = run(block("import live"), render=render, Mueble=Mueble)["catalogue"]
    request = RequestFactory().get("/")
    request.user = user
    assert "<li data-furniture-id=" in view(request).content.decode()
    context = {"muebles": [mueble], "events": {"url": "http://127.0.0.1:9", "since": "a-1"}}
    for text in BLOCKS["html"]:
        assert engines["django"].from_string(text).render(context, request)
    page = engines["jinja2"].from_string("{{ furniture_events_live() }}")
    assert "live.js" in page.render({}, request)


def run_test() -> None:
    """The test of the page, as a method of a real test case."""
    from catalog.models import Mueble
    from django.contrib.auth.models import User

    def set_up(case: Any) -> None:
        case.client = Client()
        author = User.objects.create_user("ana")
        case.mesa = Mueble.objects.create(**FURNITURE, autor=author, publicado=True)

    name = "test_a_new_material_is_published"
    test = run(block("capture_events"))[name]
    case: Any = type("Case", (TestCase,), {"setUp": set_up, name: test})
    result = unittest.TextTestRunner(stream=sys.stderr).run(case(name))
    assert result.wasSuccessful()


if __name__ == "__main__":
    configure()
    assert logging.getLogger("furniture_events").handlers, "LOGGING names the logger"
    found = [it for it in checks.run_checks() if str(it.id).startswith("furniture_events")]
    assert not found, found
    call_command("migrate", verbosity=0, run_syncdb=True)
    run_models()
    run_changes()
    run_test()
    assert set(BLOCKS["python"]) == USED, "each block must be run here"
