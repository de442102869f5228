"""Every class of a mapped model is published, whenever and however it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.test.utils import isolate_apps
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Cama, Divan, Mueble, Sofa, Vigilado
from tests.django.pieces import summaries
from tests.django.relays import site_environment
from tests.django.test_mapping import VALUES
from tests.support.server import ROOT, TIMEOUT, python_path


@pytest.mark.parametrize("model", [Vigilado, Cama])
def test_a_class_with_a_tracker_of_its_own_is_published(autor: User, model: type[Any]) -> None:
    """The tracker's ``save_base`` calls the method that the parent had before the hook."""
    with capture_events() as events:
        piece = model.objects.create(**VALUES, autor=autor)
        piece.material = "pino"
        assert piece.tracker.has_changed("material")
        piece.save()
        assert not piece.tracker.has_changed("material")
        piece.delete()
    assert summaries(events, "material") == [
        ("created", "roble"),
        ("updated", "pino"),
        ("deleted", "pino"),
    ]


def test_a_class_with_a_delete_of_its_own_publishes_a_kept_parent(autor: User) -> None:
    """Its ``delete`` is Django's own, and not the parent's."""
    Sofa.objects.create(**VALUES, autor=autor)
    with capture_events() as events:
        Divan.objects.get().delete(keep_parents=True)
    assert summaries(events) == [("updated",)]
    assert "plazas" not in events[0]["furniture"]


@isolate_apps("tests.django.catalog")
def test_a_class_that_is_made_later_is_published(autor: User) -> None:
    """Its own methods may be Django's."""

    class Oferta(Mueble):
        save_base = models.Model.save_base

        class Meta:
            proxy = True
            app_label = "catalog"

    with capture_events() as events:
        piece = Oferta.objects.create(**VALUES, autor=autor)
        piece.material = "pino"
        piece.save()
        Oferta.objects.all().delete()
    assert summaries(events, "material") == [
        ("created", "roble"),
        ("updated", "pino"),
        ("deleted", "pino"),
    ]


SETTINGS = """
from tests.django.settings import *

INSTALLED_APPS = ["furniture_events.django", *INSTALLED_APPS, "tienda"]
INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))
"""

ADMIN = """
from django.contrib import admin
from tests.django.catalog.models import Mueble


class Rebajado(Mueble):
    class Meta:
        proxy = True
        app_label = "tienda"


admin.site.register(Rebajado)
"""

SCRIPT = """
import django
django.setup()

from django.contrib.auth.models import User
from furniture_events.django.testing import capture_events
from tests.django.test_mapping import VALUES
from tienda.admin import Rebajado

Rebajado.objects.create(**VALUES, autor=User.objects.get())
with capture_events() as events:
    Rebajado.objects.get().delete()
events.assert_published("furniture_deleted")
"""


def test_a_proxy_of_an_admin_module_is_published(autor: User, tmp_path: Path) -> None:
    """The admin imports these modules when its own app is ready, possibly after this app."""
    app = tmp_path / "tienda"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "admin.py").write_text(ADMIN)
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=site_environment(connection.settings_dict)
        | {"DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": python_path(tmp_path, ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
