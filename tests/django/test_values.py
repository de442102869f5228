"""An event can have every value that Django's own JSON encoder takes, at every depth."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy
from furniture_events.django import publish
from furniture_events.django.mapping import mapper_of
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Lampara
from tests.django.pieces import summaries
from tests.django.showroom.models import Vitrina
from tests.django.test_mapping import VALUES
from tests.django.test_publishing import FURNITURE


class Acabado(Enum):
    """An enum that is no text."""

    MATE = "mate"


class Color(TextChoices):
    """Choices of Django, with lazy labels."""

    ROJO = "rojo", gettext_lazy("Tuesday")


DJANGOS = [
    date(2024, 1, 15),
    time(14, 30),
    timedelta(days=1, seconds=7384, microseconds=5),
    timedelta(seconds=-90),
    UUID(int=7),
    gettext_lazy("Tuesday"),
    Color.ROJO,
    Color.ROJO.label,
    {1: "a", None: "b"},
]
OWN = [
    (datetime(2024, 1, 15, 14, 30, tzinfo=UTC), "2024-01-15T14:30:00+00:00"),
    (Acabado.MATE, "mate"),
    (Decimal("1.50"), 1.5),
]


@pytest.mark.parametrize(
    ("value", "json_value"),
    [(value, json.loads(json.dumps(value, cls=DjangoJSONEncoder))) for value in DJANGOS] + OWN,
    ids=repr,
)
def test_such_a_value_is_published_at_every_depth(
    autor: User, value: object, json_value: object
) -> None:
    """By a function, and by hand. A save that writes the same value again publishes nothing."""
    furniture = {**FURNITURE, "uno": value, "hondo": [{"dos": (value,)}]}
    with mock.patch.object(mapper_of(Lampara), "_function", return_value=furniture):
        with capture_events() as events:
            lamp = Lampara.objects.create(**VALUES, vatios=1, autor=autor)
            lamp.save()
            publish("furniture_updated", furniture)
    expected: tuple[Any, ...] = (json_value, [{"dos": [json_value]}])
    assert summaries(events, "uno", "hondo") == [("created", *expected), ("updated", *expected)]


def test_a_column_with_a_duration_is_published(autor: User) -> None:
    """In the form of Django's own encoder."""
    with capture_events() as events:
        piece = Vitrina.objects.create(**VALUES, autor=autor)
        piece.montaje = timedelta(days=2)
        piece.save()
    assert summaries(events, "montaje") == [
        ("created", "P0DT01H30M00S"),
        ("updated", "P2DT00H00M00S"),
    ]
