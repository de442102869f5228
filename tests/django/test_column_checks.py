"""Each mapped column that cannot be right has its check."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.db import models
from django.test.utils import isolate_apps
from furniture_events.django.checks import check_setting
from furniture_events.django.column_checks import check_lookup

from tests.django.overrides import override_setting
from tests.django.test_checks import AUTHOR, only


def generated(output: Any) -> Any:
    """Return a column that the database computes."""
    return models.GeneratedField(expression=models.F("id"), output_field=output, db_persist=True)


def check_column(name: str, column: Any) -> list[CheckMessage]:
    """Check a model in which the furniture's field ``name`` is this column."""
    meta = type("Meta", (), {"app_label": "catalog"})
    values = {"columna": column.clone(), "Meta": meta, "__module__": __name__}
    model = type("Raro", (models.Model,), values)
    return list(check_lookup("it", model, name, "columna"))


@isolate_apps("tests.django.catalog")
@pytest.mark.parametrize(
    ("name", "column", "problem"),
    [
        (
            "altura",
            models.CharField(max_length=9),
            "number ≥ 0, but its column is of the class CharField",
        ),
        (
            "ancho",
            models.DurationField(),
            "number ≥ 0, but its column is of the class DurationField",
        ),
        ("ancho", models.BooleanField(), "number ≥ 0, but its column is of the class BooleanField"),
        ("nombre", models.CharField(max_length=300), "255 characters, but its column may have 300"),
        ("material", models.TextField(blank=True), "255 characters, but its column may be blank"),
        (
            "descripcion",
            models.BigIntegerField(),
            "10000 characters, but its column is of the class BigInt",
        ),
        (
            "material",
            models.BooleanField(),
            "255 characters, but its column is of the class BooleanField",
        ),
        ("furniture_id", models.CharField(max_length=129), "128 characters, but its column may"),
        (
            "altura",
            generated(models.TextField()),
            "number ≥ 0, but its column is of the class TextField",
        ),
    ],
)
def test_a_column_that_breaks_a_rule_of_the_contract_is_found(
    name: str, column: Any, problem: str
) -> None:
    """W007 for a class, W008 for a text, before the broker refuses the events."""
    id, message, hint = only(check_column(name, column))
    expected = "W007" if "of the class" in problem else "W008"
    assert (id, f"{name} must be" in message) == (expected, True)
    assert problem in message
    assert hint == "The broker refuses such events. Map another column, or use a function."


@isolate_apps("tests.django.catalog")
@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("descripcion", models.TextField(blank=True, max_length=10_000)),
        ("altura", models.PositiveSmallIntegerField()),
        ("altura", models.JSONField()),
        ("ancho", models.FloatField()),
        ("nombre", models.CharField(max_length=255)),
        ("nombre", models.JSONField()),
        ("nombre", models.UUIDField()),
        ("material", models.DateField()),
        ("furniture_id", models.IntegerField()),
        ("other", models.CharField(max_length=300, blank=True)),
        ("other", models.DurationField()),
        ("altura", generated(models.IntegerField())),
    ],
)
def test_a_column_that_can_be_right_has_no_finding(name: str, column: Any) -> None:
    """Also if not every value of it is right."""
    assert check_column(name, column) == []


@isolate_apps("tests.django.catalog")
@pytest.mark.parametrize("column", [models.BinaryField(), generated(models.BinaryField())])
def test_a_column_that_json_cannot_hold_is_found(column: Any) -> None:
    """E010, because every save of the model would raise an error."""
    id, message, _ = only(check_column("foto", column))
    assert (id, "a BinaryField, which JSON cannot hold" in message) == ("E010", True)


def test_a_foreign_key_stands_for_the_key_that_it_holds() -> None:
    """The author's number is no name, and a column of a related model has its own class."""
    with override_setting(MODELS={"catalog.Mueble": {"autor_username": "autor"}}):
        id, message, _ = only(check_setting())
    assert (id, "its column is of the class AutoField: 'autor'" in message) == ("W007", True)
    lookups = {**AUTHOR, "nombre": "autor__first_name", "altura": "autor__date_joined__year"}
    with override_setting(MODELS={"catalog.Mueble": lookups}):
        id, message, _ = only(check_setting())
    assert (id, "nombre" in message, "may be blank" in message) == ("W008", True, True)


@pytest.mark.parametrize(
    ("condition", "id"),
    [
        ("publicada", None),
        ("autor__is_active", None),
        ("montaje__isnull", None),
        ("tests.django.showroom.models.is_wide", None),
        ("tests.django.showroom.models.nothing", "E005"),
        ("tests.django.showroom.models.uuid", "E005"),
        ("nada", "E006"),
        ("publicada__nada", "E006"),
        ("nombre", "E006"),
        ("autor", "E006"),
        ("autor__groups__isnull", "E006"),
        ("autor__date_joined__gt", "E006"),
    ],
)
def test_a_condition_that_is_not_true_or_false_is_found(condition: str, id: str | None) -> None:
    """A function's errors are those of other functions."""
    with override_setting(MODELS={"showroom.Vitrina": {**AUTHOR, "PUBLISH_IF": condition}}):
        found = check_setting()
    assert [str(each.id).removeprefix("furniture_events.") for each in found] == [id] * bool(id)
