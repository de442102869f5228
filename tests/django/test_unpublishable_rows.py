"""A row that cannot be published can be repaired and deleted, and its deletion is recorded."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from furniture_events import InvalidFurniture
from furniture_events.django import bulk, direct, publish
from furniture_events.django.mapping import mapper_of
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Lampara, Mueble, Pieza
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries
from tests.django.test_mapping import VALUES
from tests.django.test_publishing import FURNITURE
from tests.django.test_saving import pieza

# JSON cannot hold the value; the mapping's function raised; SQLite's decimal cannot be read.
MAPPING_ERRORS = (InvalidFurniture, ValueError, TypeError)


def lampara(autor: User) -> Lampara:
    """Return a lamp that can be saved."""
    return Lampara(**VALUES, vatios=40, autor=autor)


def corrupt(piece: Any) -> None:
    """Write a value with SQL that cannot be mapped, or that JSON cannot hold."""
    column, value = {
        Lampara: ("nombre", ""),
        Mueble: ("altura", "NaN"),
        Pieza: ("width", float("inf")),
    }[type(piece)]
    table = piece._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [value])


@pytest.fixture(params=[lampara, mueble, pieza])
def corrupt_row(request: pytest.FixtureRequest, autor: User) -> Any:
    """Return a valid instance whose row cannot be published."""
    piece = request.param(autor)
    piece.save()
    corrupt(piece)
    OutboxEvent.objects.all().delete()
    return piece


def refused() -> list[tuple[str, str]]:
    """Return the type and the piece of each refused event."""
    return list(OutboxEvent.objects.exclude(error="").values_list("type", "furniture_id"))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the event names of the log's errors."""
    return [each.message.split()[0] for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("by_queryset", [False, True])
def test_such_a_row_can_be_deleted(
    corrupt_row: Any, by_queryset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ``furniture_deleted`` is stored as refused, with the reason."""
    model, key = type(corrupt_row), str(corrupt_row.pk)
    with capture_events() as events:
        if by_queryset:
            model.objects.only("pk").delete()
        else:
            corrupt_row.delete()
    assert not model.objects.exists()
    assert events == []
    assert refused() == [("furniture_deleted", key)]
    assert key in OutboxEvent.objects.get().event
    assert errors(caplog) == ["event_refused"]


def test_a_save_that_repairs_the_row_is_published(corrupt_row: Any) -> None:
    """The event is an update with the row's new values."""
    with capture_events() as events:
        corrupt_row.save()
    assert summaries(events, "furniture_id") == [("updated", str(corrupt_row.pk))]
    assert refused() == []


def test_a_save_that_does_not_repair_the_row_raises(corrupt_row: Any) -> None:
    """The row could not be published, so the save is rolled back."""
    with capture_events() as events, pytest.raises(MAPPING_ERRORS):
        corrupt_row.save(update_fields=["material"])
    assert events == []


@pytest.mark.parametrize(
    "repair",
    [
        lambda piece: bulk.update(type(piece).objects, **values_of(piece)),
        lambda piece: bulk.bulk_update(type(piece).objects, [piece], list(values_of(piece))),
    ],
)
def test_a_bulk_change_that_repairs_the_row_is_published(
    corrupt_row: Any, repair: Callable[[Any], int]
) -> None:
    """The event is an update, as for any other row."""
    with capture_events() as events:
        assert repair(corrupt_row) == 1
    assert summaries(events, "furniture_id") == [("updated", str(corrupt_row.pk))]


def values_of(piece: Any) -> dict[str, Any]:
    """Return the valid value of the column that ``corrupt`` has overwritten."""
    names = {Lampara: "nombre", Mueble: "altura", Pieza: "width"}
    name = names[type(piece)]
    return {name: getattr(piece, name)}


def test_such_a_row_does_not_stop_other_rows(autor: User) -> None:
    """Other rows of the same bulk change or delete are published."""
    bad, good, other = (lampara(autor) for _ in range(3))
    bad.save()
    corrupt(bad)
    good.nombre = "Dos"
    good.save()
    other.save()
    with capture_events() as events:
        bulk.update(Lampara.objects, nombre="Dos")
    assert summaries(events, "furniture_id") == [("updated", str(each.pk)) for each in (bad, other)]
    Lampara.objects.filter(pk=bad.pk).update(nombre="")
    Lampara.objects.all().delete()
    deleted = OutboxEvent.objects.filter(type="furniture_deleted")
    assert {row.furniture_id: bool(row.error) for row in deleted} == {
        str(bad.pk): True,
        str(good.pk): False,
        str(other.pk): False,
    }
    assert OutboxEvent.objects.get(furniture_id=bad.pk, type="furniture_deleted").error == (
        "ValueError: a lamp has no name"
    )


def test_in_direct_mode_the_deletion_is_lost(
    corrupt_row: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted when the deletion is committed."""
    monkeypatch.setattr(direct, "counts", Counter())
    key = corrupt_row.pk
    with override_setting(MODE="direct"):
        with transaction.atomic():
            corrupt_row.delete()
            transaction.set_rollback(True)
        assert (direct.counts, errors(caplog)) == ({}, [])
        corrupt_row.pk = key
        corrupt_row.delete()
    assert (direct.counts, errors(caplog)) == ({"lost": 1}, ["event_lost"])
    assert not OutboxEvent.objects.exists()


def test_an_error_of_the_database_is_raised(autor: User) -> None:
    """The transaction may be broken, so the row stays and no event is stored."""
    lamp = lampara(autor)
    lamp.save()
    OutboxEvent.objects.all().delete()
    with mock.patch.object(mapper_of(Lampara), "_function", side_effect=OperationalError):
        with pytest.raises(OperationalError):
            lamp.delete()
    assert (Lampara.objects.count(), OutboxEvent.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("function", "furniture_id"),
    [
        ({"side_effect": ValueError("a\0b\ud800")}, None),
        ({"return_value": {"furniture_id": "a\0b\ud800"}}, "a�b�"),
    ],
)
def test_characters_that_a_database_refuses_stop_no_delete(
    autor: User, function: dict[str, Any], furniture_id: str | None
) -> None:
    """They are replaced, in the error and in the piece's id."""
    lamp = lampara(autor)
    lamp.save()
    key = str(lamp.pk)
    with mock.patch.object(mapper_of(Lampara), "_function", **function):
        lamp.delete()
    assert refused() == [("furniture_deleted", furniture_id or key)]


def test_a_row_with_a_new_id_publishes_the_new_piece(autor: User) -> None:
    """The old piece cannot be published, so its deletion is stored as refused."""
    lamp = lampara(autor)
    lamp.save()
    rows = [
        {**FURNITURE, "furniture_id": "old", "altura": float("nan")},
        {**FURNITURE, "furniture_id": "new"},
    ]
    with mock.patch.object(mapper_of(Lampara), "_function", side_effect=rows):
        lamp.save()
    assert refused() == [("furniture_deleted", "old")]
    last = OutboxEvent.objects.filter(error="").latest("pk")
    assert (last.type, last.furniture_id) == ("furniture_created", "new")


def test_publishing_such_a_row_by_hand_raises(corrupt_row: Any) -> None:
    """The caller gets the error, and no event is stored."""
    with pytest.raises(MAPPING_ERRORS):
        publish("furniture_deleted", corrupt_row)
    assert refused() == []
