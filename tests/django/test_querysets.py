"""The app reads and locks rows by Django's own query, whatever the model's managers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models
from furniture_events.django import bulk, publish
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Estante, Silla
from tests.django.databases import smoke
from tests.django.pieces import summaries
from tests.django.test_mapping import VALUES

pytestmark = smoke

MODELS = pytest.mark.parametrize("model", [Silla, Estante])


@MODELS
def test_a_model_with_a_query_of_its_own_is_published(autor: User, model: type[Any]) -> None:
    """An aggregating and distinct base manager, and the renamed columns of modeltranslation."""
    with capture_events() as events:
        piece = model.objects.create(**VALUES, autor=autor)
        piece.material = "pino"
        piece.save()
        publish("furniture_updated", piece)
        piece.delete()
    assert summaries(events, "nombre", "material") == [
        ("created", "Uno", "roble"),
        ("updated", "Uno", "pino"),
        ("updated", "Uno", "pino"),
        ("deleted", "Uno", "pino"),
    ]


def bulk_update(rows: models.Manager[Any]) -> None:
    """Change all rows by their instances."""
    pieces = list(rows.all())
    for piece in pieces:
        piece.material = "pino"
    bulk.bulk_update(rows, pieces, ["material"])


@MODELS
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: bulk.update(rows, material="pino"), ("updated", "pino")),
        (bulk_update, ("updated", "pino")),
        (lambda rows: bulk.publish_created(rows.filter(material="roble")), ("created", "roble")),
        (lambda rows: rows.all().delete(), ("deleted", "roble")),
    ],
)
def test_bulk_changes_of_such_a_model_are_published(
    autor: User, model: type[Any], change: Callable[[Any], object], expected: tuple[str, str]
) -> None:
    """Its own queryset chooses the rows."""
    with capture_events():
        bulk.bulk_create(model.objects, [model(**VALUES, autor=autor) for _ in "ab"])
    with capture_events() as events:
        change(model.objects)
    assert summaries(events, "material") == [expected, expected]
