"""Pieces of furniture to save, and summaries of their events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

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


def summaries(events: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return each event's type, without its prefix, and these fields of its furniture."""
    return [
        (event["type"].removeprefix("furniture_"), *(event["furniture"][name] for name in names))
        for event in events
    ]
