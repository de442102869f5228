"""A child's row is also a row of its parent: each piece is published once, by one mapping."""

from __future__ import annotations

from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import post_save, pre_save
from furniture_events.django import bulk, mapping, publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Banco, Mesa, Mueble, Sofa
from tests.django.databases import smoke
from tests.django.pieces import summaries
from tests.django.test_mapping import VALUES
from tests.django.test_saving import receiving

pytestmark = smoke


@pytest.fixture
def sofa(autor: User) -> Sofa:
    """Return a sofa that is in the database."""
    return Sofa.objects.create(**VALUES, autor=autor)


def test_a_kept_parent_is_published_by_its_own_mapping(sofa: Sofa) -> None:
    """If both are mapped, the piece is updated, and loses the child's own fields."""
    key = str(sofa.pk)
    with capture_events() as events:
        sofa.delete(keep_parents=True)
    assert summaries(events, "furniture_id") == [("updated", key)]
    assert "plazas" not in events[0]["furniture"]
    assert (Mueble.objects.count(), Sofa.objects.count()) == (1, 0)
    with capture_events() as events:
        Mueble.objects.get().delete()
    assert summaries(events, "furniture_id") == [("deleted", key)]


def test_a_child_without_a_mapped_parent_is_deleted(sofa: Sofa) -> None:
    """The parent's row stays, but it is not published."""
    with mock.patch.dict(mapping._mappers), capture_events() as events:
        del mapping._mappers[Mueble]
        sofa.delete(keep_parents=True)
    assert summaries(events) == [("deleted",)]
    assert Mueble.objects.count() == 1


def test_a_kept_parent_of_an_unmapped_child_is_unchanged(autor: User) -> None:
    """The child's own columns are not published."""
    mesa = Mesa.objects.create(**VALUES, autor=autor)
    with capture_events() as events:
        mesa.delete(keep_parents=True)
    assert events == []
    assert (Mueble.objects.count(), Mesa.objects.count()) == (1, 0)


def test_a_deleted_child_is_published_once(sofa: Sofa) -> None:
    """Deleted by its own model or by its parent's, it has the child's mapping."""
    with capture_events() as events:
        sofa.delete()
    assert summaries(events, "plazas") == [("deleted", 2)]
    Sofa.objects.create(**VALUES, autor=sofa.autor)
    with capture_events() as events:
        Mueble.objects.all().delete()
    assert summaries(events, "plazas") == [("deleted", 2)]


def test_a_child_whose_receiver_saves_its_parents_row_is_created(autor: User) -> None:
    """The receiver updates a row that this save has just inserted."""
    with receiving(post_save, lambda mesa: Mueble.objects.get(pk=mesa.pk).save(), Mesa):
        with capture_events() as events:
            Mesa(**VALUES, autor=autor).save()
    assert summaries(events) == [("created",)]


def test_a_parent_that_is_kept_may_be_on_another_database(autor: User, other_site: str) -> None:
    """The event is in the parent's database, in each way to name that database."""
    author = User.objects.db_manager(other_site).create_user("ana")
    for delete in (
        lambda sofa: Sofa(id=sofa.pk, pk=sofa.pk).delete(using=other_site, keep_parents=True),
        lambda sofa: Sofa(id=sofa.pk, pk=sofa.pk).delete(other_site, keep_parents=True),
        lambda sofa: sofa.delete(keep_parents=True),
    ):
        sofa = Sofa(**VALUES, autor=author)
        sofa.save(using=other_site)
        with capture_events(other_site) as events:
            delete(sofa)
        assert summaries(events) == [("updated",)]


def banco(autor: User, codigo: str = "b-1") -> Banco:
    """Return a bench that can be saved."""
    return Banco(**VALUES, autor=autor, codigo=codigo)


def test_a_child_with_its_own_key_is_its_parents_piece(autor: User) -> None:
    """A save, a publish by hand and a delete have the parent's key."""
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


def test_bulk_changes_of_a_child_with_its_own_key_are_published(autor: User) -> None:
    """Its querysets change its parent's rows, which Django's own ``bulk_update`` cannot do."""
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


def test_two_instances_without_a_row_are_two_pieces(autor: User) -> None:
    """Both know their own keys, and neither knows its parent's."""
    with receiving(pre_save, lambda piece: banco(autor, "b-2").save(), Banco):
        with capture_events() as events:
            banco(autor).save()
    assert summaries(events) == [("created",)] * 2
    assert OutboxEvent.objects.values("furniture_id").distinct().count() == 2
