"""Rows that are rows of a parent model as well: each piece is told of once, as it is mapped."""

from __future__ import annotations

from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import post_save, pre_save
from furniture_events.django import bulk, mapping, publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Banco, Mesa, Mueble, Sofa
from tests.django.pieces import summaries
from tests.django.test_mapping import VALUES
from tests.django.test_saving import receiving


@pytest.fixture
def sofa(autor: User) -> Sofa:
    """Return a sofa that is in the database."""
    return Sofa.objects.create(**VALUES, autor=autor)


def test_a_parent_that_is_kept_stays_as_it_is_mapped(sofa: Sofa) -> None:
    """Where both are mapped the piece is there still, without what only the child has."""
    key = str(sofa.pk)
    with capture_events() as events:
        sofa.delete(keep_parents=True)
    assert summaries(events, "furniture_id") == [("updated", key)]
    assert "plazas" not in events[0]["furniture"]
    assert (Mueble.objects.count(), Sofa.objects.count()) == (1, 0)
    with capture_events() as events:
        Mueble.objects.get().delete()
    assert summaries(events, "furniture_id") == [("deleted", key)]


def test_a_child_that_is_mapped_alone_is_deleted(sofa: Sofa) -> None:
    """What stays of it is nothing that is published."""
    with mock.patch.dict(mapping._mappers), capture_events() as events:
        del mapping._mappers[Mueble]
        sofa.delete(keep_parents=True)
    assert summaries(events) == [("deleted",)]
    assert Mueble.objects.count() == 1


def test_a_parent_that_is_mapped_alone_stays_unchanged(autor: User) -> None:
    """What goes of it is nothing that is published."""
    mesa = Mesa.objects.create(**VALUES, autor=autor)
    with capture_events() as events:
        mesa.delete(keep_parents=True)
    assert events == []
    assert (Mueble.objects.count(), Mesa.objects.count()) == (1, 0)


def test_deleting_a_child_whole_is_told_once(sofa: Sofa) -> None:
    """By its own model or its parent's, as the child is mapped."""
    with capture_events() as events:
        sofa.delete()
    assert summaries(events, "plazas") == [("deleted", 2)]
    Sofa.objects.create(**VALUES, autor=sofa.autor)
    with capture_events() as events:
        Mueble.objects.all().delete()
    assert summaries(events, "plazas") == [("deleted", 2)]


def test_a_child_whose_receiver_saves_its_parents_row_is_created(autor: User) -> None:
    """An update of the row that was made just now does not tell that it was there before."""
    with receiving(post_save, lambda mesa: Mueble.objects.get(pk=mesa.pk).save(), Mesa):
        with capture_events() as events:
            Mesa(**VALUES, autor=autor).save()
    assert summaries(events) == [("created",)]


def test_a_parent_that_is_kept_may_be_on_another_database(autor: User, other_site: str) -> None:
    """It is told of where it stays, whichever way the database is named."""
    there = User.objects.db_manager(other_site).create_user("ana")
    for delete in (
        lambda sofa: Sofa(id=sofa.pk, pk=sofa.pk).delete(using=other_site, keep_parents=True),
        lambda sofa: Sofa(id=sofa.pk, pk=sofa.pk).delete(other_site, keep_parents=True),
        lambda sofa: sofa.delete(keep_parents=True),
    ):
        sofa = Sofa(**VALUES, autor=there)
        sofa.save(using=other_site)
        with capture_events(other_site) as events:
            delete(sofa)
        assert summaries(events) == [("updated",)]


def banco(autor: User, codigo: str = "b-1") -> Banco:
    """Return a bench that can be saved."""
    return Banco(**VALUES, autor=autor, codigo=codigo)


def test_a_child_with_a_key_of_its_own_is_its_parents_piece(autor: User) -> None:
    """It is published by its parent's key when it is saved, published by hand and deleted."""
    with capture_events() as events:
        piece = banco(autor)
        piece.save()
        key = str(piece.id)
        read = Banco.objects.get()
        read.material = "pino"
        read.save()
        publish("furniture_updated", read)
        read.delete()
    assert summaries(events, "furniture_id", "material") == [
        ("created", key, "roble"),
        ("updated", key, "pino"),
        ("updated", key, "pino"),
        ("deleted", key, "pino"),
    ]


def test_bulk_work_on_a_child_with_a_key_of_its_own(autor: User) -> None:
    """Its querysets lead to its parent's rows, which Django's own `bulk_update` cannot write."""
    pieces = [banco(autor, codigo) for codigo in ("b-2", "b-1")]
    for piece in pieces:
        piece.save()
    first, second = (str(piece.id) for piece in pieces)
    with capture_events() as events:
        assert bulk.update(Banco.objects.filter(codigo="b-1"), material="haya") == 1
        assert bulk.publish_created(Banco.objects.filter(codigo="b-2")) == 1
        Banco.objects.all().delete()
    assert summaries(events[:2], "furniture_id", "material") == [
        ("updated", second, "haya"),
        ("created", first, "roble"),
    ]
    assert sorted(summaries(events[2:], "furniture_id")) == sorted(
        [("deleted", first), ("deleted", second)]
    )


def test_two_that_have_no_row_yet_are_two_pieces(autor: User) -> None:
    """Also where both know their own keys, and neither its parent's."""
    with receiving(pre_save, lambda piece: banco(autor, "b-2").save(), Banco):
        with capture_events() as events:
            banco(autor).save()
    assert summaries(events) == [("created",)] * 2
    assert OutboxEvent.objects.values("furniture_id").distinct().count() == 2
