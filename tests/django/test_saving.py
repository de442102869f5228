"""A save, a delete and their transaction: what is published, and what is not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble


def mueble(autor: User, **changes: object) -> Mueble:
    """Return a piece that can be saved."""
    return Mueble(
        **{
            "nombre": "Mesa",
            "altura": Decimal("75.50"),
            "ancho": 120,
            "material": "roble",
            "autor": autor,
            **changes,
        }
    )


def test_a_save_publishes_what_the_row_holds(autor: User) -> None:
    """Each event has what the database has, by the contract's names."""
    with capture_events() as events:
        piece = mueble(autor)
        piece.save()
    assert events.assert_published("furniture_created")["furniture"] == {
        "furniture_id": str(piece.pk),
        "nombre": "Mesa",
        "descripcion": "",
        "altura": 75.5,
        "ancho": 120,
        "material": "roble",
        "autor_username": "juan",
    }
    with capture_events() as events:
        piece.ancho = F("ancho") + 1
        piece.save()
    events.assert_published("furniture_updated", ancho=121)
    with capture_events() as events:
        key = str(piece.pk)
        piece.delete()
    events.assert_published("furniture_deleted", furniture_id=key, ancho=121)


def test_a_rolled_back_save_publishes_nothing(autor: User) -> None:
    """What is not committed was never said."""
    with capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor).save()
            raise ZeroDivisionError
    assert events == []
