"""An event has the site's language and time zone, not those of the user who saves."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy
from furniture_events.django import bulk, publish
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_mapping
from tests.django.pieces import mueble, summaries
from tests.django.showroom.models import Espejo, Florero, Jarron
from tests.django.test_publishing import FURNITURE

SIZE: dict[str, Any] = {"altura": 1, "ancho": 1, "material": "barro"}


def vase(autor: User) -> Jarron:
    """Return a vase with a name in both languages."""
    return Jarron(nombre_en="Vase", nombre_es="Jarrón", **SIZE, autor=autor)


def texts(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the texts of a vase's events."""
    return summaries(events, "nombre", "descripcion", "material", "dias")


def test_a_translated_field_is_published_in_the_sites_language(autor: User) -> None:
    """Translated columns and lazy texts would otherwise have the language of the request."""
    english = ("Vase", "Monday", "Tuesday", {"uno": ["Wednesday"]})
    with capture_events() as events, translation.override("es"):
        piece = vase(autor)
        piece.save()
        piece.altura = 2
        piece.save()
        bulk.update(Jarron.objects, ancho=2)
        publish("furniture_updated", piece)
        assert translation.get_language() == "es"
        piece.delete()
    assert texts(events) == [
        ("created", *english),
        *[("updated", *english)] * 3,
        ("deleted", *english),
    ]
    with override_settings(LANGUAGE_CODE="es"), capture_events() as events:
        vase(autor).save()
    assert texts(events) == [("created", "Jarrón", "lunes", "martes", {"uno": ["miércoles"]})]


def test_a_lookup_reads_the_column_of_the_sites_language(autor: User) -> None:
    """Of modeltranslation. Its original column has the language of the last save."""
    with capture_events() as events, translation.override("es"):
        piece = Florero(nombre_en="Vase", nombre_es="Jarrón", **SIZE, autor=autor)
        piece.save()
        piece.nombre = "Florero"
        piece.save(update_fields=["nombre_es"])
    piece.nombre = "Flower vase"
    with capture_events() as more:
        piece.save(update_fields=["nombre_en"])
    assert summaries(events + more, "nombre", "otro") == [
        ("created", "Vase", "Jarrón"),
        ("updated", "Vase", "Florero"),
        ("updated", "Flower vase", "Florero"),
    ]


def test_another_language_is_no_change(autor: User) -> None:
    """A visitor who saves without a change publishes nothing, in whatever language."""
    vase(autor).save()
    with capture_events() as events, translation.override("es"):
        Jarron.objects.get().save()
    assert events == []


def test_furniture_that_is_no_row_has_the_sites_language() -> None:
    """Also for texts that are translated only when the event is encoded."""
    with capture_events() as events, translation.override("es"):
        publish("furniture_updated", {**FURNITURE, "material": gettext_lazy("Tuesday")})
    assert summaries(events, "material") == [("updated", "Tuesday")]


def test_a_lookup_reads_in_the_sites_time_zone(autor: User) -> None:
    """The hour of a time would otherwise depend on the time zone of the request."""
    lookups = {"autor_username": "autor__username", "hora": "autor__date_joined__hour"}
    with override_mapping(Mueble, lookups), capture_events() as events:
        piece = mueble(autor)
        piece.save()
        with timezone.override("Asia/Tokyo"):
            piece.save()
            piece.material = "pino"
            piece.save()
    hour = timezone.localtime(autor.date_joined, timezone.get_default_timezone()).hour
    assert summaries(events, "hora") == [("created", hour), ("updated", hour)]


def test_translations_in_another_table_are_part_of_the_save(autor: User) -> None:
    """A model of parler has to write them in ``save_base``. Then no other column need change."""
    with capture_events() as events, translation.override("es"):
        mirror = Espejo.objects.create(nombre="Espejo")
    assert events == []  # it has no name in the site's language yet
    with capture_events() as events:
        mirror = Espejo.objects.get()
        mirror.nombre = "Mirror"
        mirror.save()
        mirror.nombre = "Round mirror"
        mirror.save()
        mirror.save()
        with translation.override("es"):
            spanish = Espejo.objects.get()
            spanish.nombre = "Espejo redondo"
            spanish.alto = 2
            spanish.save()
        mirror.delete()
    assert summaries(events, "nombre", "altura") == [
        ("created", "Mirror", 1),
        ("updated", "Round mirror", 1),
        ("updated", "Round mirror", 2),
        ("deleted", "Round mirror", 2),
    ]
