"""A manager and a queryset whose bulk changes publish, also if other code calls them."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import NotSupportedError
from furniture_events.django import bulk, paused
from furniture_events.django.managers import PublishingManager
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Masivo, Mueble, Nota
from tests.django.pieces import mueble, summaries


def piece(autor: User, **changes: object) -> Masivo:
    """Return a piece that can be saved."""
    values = {
        field.attname: getattr(mueble(autor, **changes), field.attname)
        for field in Mueble._meta.concrete_fields
    }
    return Masivo(**values)


def test_bulk_changes_publish_each_changed_row(autor: User) -> None:
    """Once: Django's ``bulk_update`` calls ``update``, and both are watched."""
    with capture_events() as events:
        Masivo.objects.bulk_create([piece(autor, nombre=nombre) for nombre in "ab"])
        Masivo.objects.filter(nombre="a").update(ancho=1)
        rows = list(Masivo.objects.order_by("pk"))
        rows[1].ancho = 2
        Masivo.objects.bulk_update(rows, ["ancho"])
    assert summaries(events, "nombre", "ancho") == [
        ("created", "a", 120),
        ("created", "b", 120),
        ("updated", "a", 1),
        ("updated", "b", 2),
    ]


def test_the_functions_of_bulk_publish_such_rows_once(autor: User) -> None:
    """They call the queryset's own methods."""
    with capture_events() as events:
        bulk.bulk_create(Masivo.objects, [piece(autor)])
        bulk.update(Masivo.objects, ancho=1)
        bulk.bulk_update(Masivo.objects, Masivo.objects.all(), ["ancho"])
    assert summaries(events, "ancho") == [("created", 120), ("updated", 1)]


def test_an_asynchronous_update_publishes(autor: User) -> None:
    """It calls the synchronous one in a thread."""
    piece(autor).save()
    with capture_events() as events:
        async_to_sync(Masivo.objects.filter(nombre="Mesa").aupdate)(ancho=3)
    assert summaries(events, "ancho") == [("updated", 3)]


@pytest.mark.parametrize(
    "options",
    [
        {"ignore_conflicts": True},
        {"update_conflicts": True, "unique_fields": ["id"], "update_fields": ["ancho"]},
    ],
)
def test_conflicts_cannot_be_published(autor: User, options: dict[str, object]) -> None:
    """Django does not say which rows it wrote. Without publishing, they work."""
    row = piece(autor)
    row.save()
    row.ancho = 7
    with capture_events() as events:
        with pytest.raises(NotSupportedError, match=r"paused\(\)"):
            Masivo.objects.bulk_create([row], **options)
        with paused():
            Masivo.objects.bulk_create([row], **options)
    assert events == []


def test_a_model_without_a_mapping_has_djangos_own_methods(autor: User) -> None:
    """The manager may be on an abstract base."""
    manager: PublishingManager = PublishingManager()
    manager.model = Nota
    with capture_events() as events:
        row = mueble(autor)
        row.save()
        manager.bulk_create([Nota(mueble=row)])
        assert manager.update(mueble=row) == 1
    assert [event["type"] for event in events] == ["furniture_created"]  # of the piece
