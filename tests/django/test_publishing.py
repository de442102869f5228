"""``publish`` publishes by hand, as part of the transaction."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.functional import SimpleLazyObject
from furniture_events import InvalidFurniture
from furniture_events.django import publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.publishing import record_changes
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble
from tests.django.pieces import mueble, summaries

FURNITURE: dict[str, Any] = {
    "furniture_id": "x-1",
    "nombre": "Mesa",
    "descripcion": "",
    "altura": Decimal("75.5"),
    "ancho": 120,
    "material": "roble",
    "autor_username": "juan",
}


@dataclass
class Taburete:
    """A piece that is not a model, with one field that the contract does not have."""

    furniture_id: str = "x-1"
    nombre: str = "Mesa"
    descripcion: str = ""
    altura: Decimal = Decimal("75.5")
    ancho: int = 120
    material: str = "roble"
    autor_username: str = "juan"
    patas: int = 3


@pytest.mark.parametrize(
    ("furniture", "extra"),
    [
        (FURNITURE, {}),
        ({**FURNITURE, "patas": 3}, {"patas": 3}),
        (Taburete(), {"patas": 3}),
        (SimpleNamespace(**FURNITURE, patas=3), {}),
    ],
)
def test_furniture_of_each_kind_is_published(furniture: object, extra: dict[str, int]) -> None:
    """A mapping, a dataclass and an object with the seven attributes, as for a producer."""
    with capture_events() as events:
        publish("furniture_updated", furniture)
    (event,) = events
    assert event["furniture"] == {**FURNITURE, "altura": 75.5} | extra


def test_a_mapped_instance_is_published_as_its_row(piece: Mueble) -> None:
    """Values that were assigned and not saved are not published. An instance may be lazy."""
    piece.material = "pino"
    with capture_events() as events:
        publish("furniture_updated", piece)
        publish("furniture_deleted", SimpleLazyObject(lambda: piece))
    assert summaries(events, "material") == [("updated", "roble"), ("deleted", "roble")]


def test_the_id_is_the_idempotency_key() -> None:
    """The event has the given id, or else a new one."""
    with capture_events() as events:
        publish("furniture_updated", FURNITURE, id="mine")
        publish("furniture_updated", FURNITURE)
        publish("furniture_updated", FURNITURE)
    assert events[0]["id"] == "mine"
    assert len({event["id"] for event in events}) == 3


def test_events_are_in_the_order_of_the_calls() -> None:
    """Within one transaction and over several."""
    with capture_events() as events:
        with transaction.atomic():
            publish("furniture_created", FURNITURE)
            publish("furniture_updated", FURNITURE)
        publish("furniture_deleted", FURNITURE)
    assert summaries(events) == [("created",), ("updated",), ("deleted",)]
    assert [row.furniture_id for row in OutboxEvent.objects.all()] == ["x-1"] * 3


@pytest.mark.parametrize(
    ("type", "furniture", "error"),
    [
        ("furniture_painted", FURNITURE, ValueError),
        ("furniture_updated", {"nombre": "Mesa"}, InvalidFurniture),
        ("furniture_updated", {**FURNITURE, "altura": float("nan")}, InvalidFurniture),
        ("furniture_updated", mueble(User(username="juan")), InvalidFurniture),
    ],
)
def test_an_event_that_cannot_be_published_raises(
    type: str, furniture: object, error: type[Exception]
) -> None:
    """The open transaction can continue."""
    with capture_events() as events, transaction.atomic():
        with pytest.raises(error):
            publish(type, furniture)
        publish("furniture_created", FURNITURE)
    assert summaries(events) == [("created",)]


def test_another_furniture_id_is_another_piece() -> None:
    """Pages that show the old piece get its deletion."""
    with capture_events() as events:
        record_changes({1: FURNITURE}, {1: {**FURNITURE, "furniture_id": "new"}}, "default")
    assert summaries(events, "furniture_id") == [
        ("deleted", FURNITURE["furniture_id"]),
        ("created", "new"),
    ]


def test_two_pieces_that_swap_their_ids_both_exist_afterwards() -> None:
    """All deletions are published before the creations."""
    one, other = FURNITURE, {**FURNITURE, "furniture_id": "x-2"}
    with capture_events() as events:
        record_changes({1: one, 2: other}, {1: other, 2: one}, "default")
    assert summaries(events, "furniture_id") == [
        ("deleted", "x-1"),
        ("deleted", "x-2"),
        ("created", "x-2"),
        ("created", "x-1"),
    ]
