"""A row of which nothing can be said can be mended and deleted, and does not go in silence."""

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

UNSAYABLE = (InvalidFurniture, ValueError, TypeError)  # no JSON, the function's own, SQLite's


def lampara(autor: User) -> Lampara:
    """Return a lamp that can be saved."""
    return Lampara(**VALUES, vatios=40, autor=autor)


def spoil(piece: Any) -> None:
    """Write by SQL what cannot be mapped (a lamp, and SQLite's decimals), or what is no JSON."""
    column, value = {
        Lampara: ("nombre", ""),
        Mueble: ("altura", "NaN"),
        Pieza: ("width", float("inf")),
    }[type(piece)]
    table = piece._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [value])


@pytest.fixture(params=[lampara, mueble, pieza])
def spoilt(request: pytest.FixtureRequest, autor: User) -> Any:
    """Return a sound instance of a row of which nothing can be said."""
    piece = request.param(autor)
    piece.save()
    spoil(piece)
    OutboxEvent.objects.all().delete()
    return piece


def refused() -> list[tuple[str, str]]:
    """Return of what is kept as refused the type and the piece."""
    return list(OutboxEvent.objects.exclude(error="").values_list("type", "furniture_id"))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the words before the first number or reason of what was logged as errors."""
    return [each.message.split()[0] for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("by_queryset", [False, True])
def test_it_can_be_deleted(
    spoilt: Any, by_queryset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The event that would have said so is kept among the refused, with the reason."""
    model, key = type(spoilt), str(spoilt.pk)
    with capture_events() as events:
        if by_queryset:
            model.objects.only("pk").delete()
        else:
            spoilt.delete()
    assert not model.objects.exists()
    assert events == []
    assert refused() == [("furniture_deleted", key)]
    assert key in OutboxEvent.objects.get().event
    assert errors(caplog) == ["event_refused"]


def test_a_save_that_mends_it_is_published(spoilt: Any) -> None:
    """As an update, with what can be said now."""
    with capture_events() as events:
        spoilt.save()
    assert summaries(events, "furniture_id") == [("updated", str(spoilt.pk))]
    assert refused() == []


def test_a_save_that_leaves_it_so_raises(spoilt: Any) -> None:
    """What would be committed cannot be said: nothing is."""
    with capture_events() as events, pytest.raises(UNSAYABLE):
        spoilt.save(update_fields=["material"])
    assert events == []


@pytest.mark.parametrize(
    "mend",
    [
        lambda piece: bulk.update(type(piece).objects, **values_of(piece)),
        lambda piece: bulk.bulk_update(type(piece).objects, [piece], list(values_of(piece))),
    ],
)
def test_bulk_work_mends_it(spoilt: Any, mend: Callable[[Any], int]) -> None:
    """And tells of it as of any other row."""
    with capture_events() as events:
        assert mend(spoilt) == 1
    assert summaries(events, "furniture_id") == [("updated", str(spoilt.pk))]


def values_of(piece: Any) -> dict[str, Any]:
    """Return the values that `spoil` has spoilt."""
    names = {Lampara: "nombre", Mueble: "altura", Pieza: "width"}
    name = names[type(piece)]
    return {name: getattr(piece, name)}


def test_it_keeps_others_from_nothing(autor: User) -> None:
    """Of rows that are written or deleted together with it, those that change are published."""
    bad, good, other = (lampara(autor) for _ in range(3))
    bad.save()
    spoil(bad)
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


def test_without_an_outbox_it_is_lost(
    spoilt: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged and counted, once the deletion is committed."""
    monkeypatch.setattr(direct, "counts", Counter())
    key = spoilt.pk
    with override_setting(MODE="direct"):
        with transaction.atomic():
            spoilt.delete()
            transaction.set_rollback(True)
        assert (direct.counts, errors(caplog)) == ({}, [])
        spoilt.pk = key
        spoilt.delete()
    assert (direct.counts, errors(caplog)) == ({"lost": 1}, ["event_lost"])
    assert not OutboxEvent.objects.exists()


def test_an_error_of_the_database_is_raised(autor: User) -> None:
    """The transaction may take nothing more: the row stays, and nothing is said."""
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
def test_what_no_text_can_hold_vetoes_nothing(
    autor: User, function: dict[str, Any], furniture_id: str | None
) -> None:
    """Neither in the error nor in the piece's id."""
    lamp = lampara(autor)
    lamp.save()
    key = str(lamp.pk)
    with mock.patch.object(mapper_of(Lampara), "_function", **function):
        lamp.delete()
    assert refused() == [("furniture_deleted", furniture_id or key)]


def test_a_piece_that_gets_another_id_leaves_one_that_cannot_be_said(autor: User) -> None:
    """The one that it was is kept as refused, the one that it is is published."""
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


def test_by_hand_it_is_refused_at_once(spoilt: Any) -> None:
    """Who publishes it hears why."""
    with pytest.raises(UNSAYABLE):
        publish("furniture_deleted", spoilt)
    assert refused() == []
