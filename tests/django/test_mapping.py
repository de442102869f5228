"""Each kind of mapped model becomes furniture."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test.utils import isolate_apps
from furniture_events.django.mapping import Lookups, MappingError, make_mapper
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Destacado, Lampara, Maker, Mesa, Mueble, Pieza, Sofa
from tests.django.overrides import override_mapping
from tests.django.pieces import mueble, summaries

VALUES = {"nombre": "Uno", "altura": 1, "ancho": 2, "material": "roble"}


def test_lookups_map_renamed_fields_joins_and_a_uuid(autor: User) -> None:
    """Each value comes from its lookup. The key becomes text, and decimals become numbers."""
    with capture_events() as events:
        piece = Pieza.objects.create(
            name="Atril",
            height=120,
            width=40.5,
            material="haya",
            price=Decimal("99.90"),
            maker=Maker.objects.create(user=autor),
        )
    assert isinstance(piece.pk, uuid.UUID)
    assert events.assert_published("furniture_created")["furniture"] == {
        "furniture_id": str(piece.pk),
        "nombre": "Atril",
        "descripcion": "",
        "altura": 120,
        "ancho": 40.5,
        "material": "haya",
        "autor_username": "juan",
        "precio": 99.9,
    }
    with capture_events() as events:
        piece.price = Decimal(100)
        piece.save(update_fields=["price"])
        piece.delete()
    assert summaries(events, "precio") == [("updated", 100), ("deleted", 100)]


def test_a_function_gets_an_instance_from_the_database(autor: User) -> None:
    """Its results for the row before and after a save are compared and published."""
    with capture_events() as events:
        lamp = Lampara.objects.create(**VALUES, vatios=40, autor=autor)
        lamp.nombre, lamp.altura = "UNO", Decimal("1.001")
        lamp.save()
        lamp.vatios = 60
        lamp.save(update_fields=["vatios"])
        lamp.delete()
    assert summaries(events, "nombre", "descripcion", "altura") == [
        ("created", "UNO", "40.0 W", 1),
        ("updated", "UNO", "60.0 W", 1),
        ("deleted", "UNO", "60.0 W", 1),
    ]


def test_a_proxy_has_its_models_mapping(autor: User) -> None:
    """A row that its proxy saves or deletes is published by the model's mapping."""
    with capture_events() as events:
        piece = Destacado.objects.create(**VALUES, autor=autor)
        piece.material = "pino"
        piece.save()
        Destacado.objects.all().delete()
    assert summaries(events, "material") == [
        ("created", "roble"),
        ("updated", "pino"),
        ("deleted", "pino"),
    ]


def test_a_child_without_a_mapping_is_published_as_its_parent(autor: User) -> None:
    """Its own columns are not published, and its deletion is published once."""
    with capture_events() as events:
        table = Mesa.objects.create(**VALUES, autor=autor)
        table.patas = 3
        table.save()
        table.material = "pino"
        table.save(update_fields=["material"])
        table.delete()
    assert summaries(events, "material") == [
        ("created", "roble"),
        ("updated", "pino"),
        ("deleted", "pino"),
    ]


def test_a_child_with_a_mapping_is_published_by_it(autor: User) -> None:
    """Also if the parent's instance is saved or deleted."""
    with capture_events() as events:
        sofa = Sofa.objects.create(**VALUES, autor=autor)
        sofa.plazas = 3
        sofa.save()
        parent = Mueble.objects.get()
        parent.material = "pino"
        parent.save()
        parent.delete()
    assert summaries(events, "material", "plazas") == [
        ("created", "roble", 2),
        ("updated", "roble", 3),
        ("updated", "pino", 3),
        ("deleted", "pino", 3),
    ]
    sofa = Sofa.objects.create(**VALUES, autor=autor)
    with capture_events() as events:
        sofa.delete()
    assert summaries(events, "plazas") == [("deleted", 2)]


def test_the_authors_name_comes_from_the_database(autor: User) -> None:
    """If the name was changed elsewhere, the new name is published."""
    piece = mueble(autor)
    piece.save()
    User.objects.update(username="ana")
    piece.material = "pino"
    with capture_events() as events:
        piece.save()
    assert summaries(events, "autor_username") == [("updated", "ana")]


@isolate_apps("tests.django.catalog")
def test_a_mapped_generated_column_may_change_with_any_field() -> None:
    """Every save of such a model may change the furniture."""

    class Plancha(models.Model):  # noqa: DJ008 - it is never shown
        largo = models.IntegerField()
        area = models.GeneratedField(
            expression=models.F("largo") * 2,
            output_field=models.IntegerField(),
            db_persist=True,
        )

        class Meta:
            app_label = "catalog"

    assert Lookups(Plancha, {"ancho": "area"}).concerns({"largo"})
    assert not Lookups(Plancha, {"ancho": "pk"}).concerns({"largo"})


@pytest.mark.parametrize(
    ("model", "mapping", "message"),
    [
        (Mueble, "tests.django.catalog.models.nothing", "cannot be imported"),
        (Mueble, "nothing", "cannot be imported"),
        (Mueble, "tests.django.test_mapping.VALUES", "is not a function"),
        (Mueble, {"nombre": 7}, "must be a dict of lookups"),
        (Mueble, None, "must be a dict of lookups"),
        (Destacado, {}, "is a proxy: map catalog.Mueble"),
    ],
)
def test_an_invalid_mapping_is_refused(
    model: type[models.Model], mapping: object, message: str
) -> None:
    """Each mistake has its own message."""
    with pytest.raises(MappingError, match=message):
        make_mapper(model, mapping)


def test_dates_become_text(autor: User) -> None:
    """The text is in the form of ISO 8601."""
    lookups = {
        "autor_username": "autor__username",
        "alta": "autor__date_joined",
        "furniture_id": "autor__date_joined",
    }
    with override_mapping(Mueble, lookups), capture_events() as events:
        mueble(autor).save()
    joined = autor.date_joined.isoformat()
    assert summaries(events, "alta", "furniture_id") == [("created", joined, joined)]
