"""A row that its mapping hides is not there for consumers: a draft, or a soft delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from furniture_events.django import bulk, publish
from furniture_events.django.testing import capture_events
from safedelete.config import HARD_DELETE

from tests.django.catalog.models import Lampara, Mueble, Sofa
from tests.django.databases import smoke
from tests.django.overrides import override_mapping
from tests.django.pieces import mueble, summaries
from tests.django.showroom.models import Baul, Vitrina
from tests.django.test_mapping import VALUES

pytestmark = smoke

AUTHOR = {"autor_username": "autor__username"}
Make = Callable[[User], Any]


def lamp(autor: User) -> Lampara:
    """Return a draft that a function hides."""
    return Lampara(**VALUES, vatios=0, autor=autor)


def cabinet(autor: User) -> Vitrina:
    """Return a draft that the lookup of ``PUBLISH_IF`` hides."""
    return Vitrina(**VALUES, publicada=False, autor=autor)


def flag_of(piece: Any) -> str:
    """Return the name of the column that shows or hides a piece."""
    return "vatios" if isinstance(piece, Lampara) else "publicada"


@pytest.fixture(params=[lamp, cabinet])
def make(request: pytest.FixtureRequest) -> Make:
    """Return a function that makes drafts."""
    return request.param  # type: ignore[no-any-return]


def test_a_draft_is_created_when_it_is_shown_and_deleted_when_it_is_hidden(
    autor: User, make: Make
) -> None:
    """Saves and the delete of a hidden row publish nothing."""
    piece = make(autor)
    with capture_events() as events:
        piece.save()
        piece.material = "pino"
        piece.save()
    assert events == []
    with capture_events() as events:
        for shown in (True, False, True):
            setattr(piece, flag_of(piece), shown)
            piece.save(update_fields=[flag_of(piece)])
        piece.material = "haya"
        piece.save()
    assert summaries(events, "material") == [
        ("created", "pino"),
        ("deleted", "pino"),
        ("created", "pino"),
        ("updated", "haya"),
    ]
    setattr(piece, flag_of(piece), False)
    piece.save()
    with capture_events() as events:
        piece.delete()
    assert events == []


def test_a_piece_may_be_created_and_deleted_while_it_is_shown(autor: User, make: Make) -> None:
    """Then it is published like any other."""
    piece = make(autor)
    setattr(piece, flag_of(piece), True)
    with capture_events() as events:
        piece.save()
        piece.delete()
    assert summaries(events) == [("created",), ("deleted",)]


def test_bulk_changes_see_drafts(autor: User) -> None:
    """They publish the shown rows, and the rows that are shown or hidden by the change."""
    draft, shown = cabinet(autor), cabinet(autor)
    shown.publicada = True
    with capture_events() as events:
        bulk.bulk_create(Vitrina.objects, [draft, shown])
        assert bulk.publish_created(Vitrina.objects) == 1
        bulk.update(Vitrina.objects, material="pino")
    created = ("created", str(shown.pk))
    assert summaries(events, "furniture_id") == [created, created, ("updated", str(shown.pk))]
    draft.publicada, shown.publicada = True, False
    with capture_events() as events:
        bulk.bulk_update(Vitrina.objects, [draft, shown], ["publicada"])
        bulk.update(Vitrina.objects.filter(publicada=False), publicada=True)
    assert sorted(summaries(events[:2], "furniture_id")) == [
        ("created", str(draft.pk)),
        ("deleted", str(shown.pk)),
    ]
    assert summaries(events[2:], "furniture_id") == [created]


def test_publishing_a_draft_by_hand_publishes_nothing(autor: User, make: Make) -> None:
    """So a receiver of the site need not know which pieces are drafts."""
    piece = make(autor)
    piece.save()
    with capture_events() as events:
        publish("furniture_updated", piece)
    assert events == []


def test_a_function_can_be_the_condition(autor: User) -> None:
    """It gets the instance. Any column may be part of its answer."""
    condition = {"PUBLISH_IF": "tests.django.showroom.models.is_wide"}
    with override_mapping(Vitrina, AUTHOR | condition), capture_events() as events:
        piece = cabinet(autor)
        piece.save()
        piece.ancho = 100
        piece.save(update_fields=["ancho"])
        piece.ancho = 99
        piece.save(update_fields=["ancho"])
    assert summaries(events, "ancho") == [("created", 100), ("deleted", 100)]
    assert "PUBLISH_IF" not in events[0]["furniture"]


def test_a_condition_may_be_about_a_related_row(autor: User) -> None:
    """A change of that row hides the piece, and publishes nothing by itself."""
    with (
        override_mapping(Vitrina, AUTHOR | {"PUBLISH_IF": "autor__is_active"}),
        capture_events() as events,
    ):
        piece = cabinet(autor)
        piece.save()
        User.objects.update(is_active=False)
        piece.delete()
    assert summaries(events, "material") == [("created", "roble")]


def test_a_child_is_shown_or_hidden_by_its_own_mapping(autor: User) -> None:
    """The mapping of its parent does not count."""
    with (
        override_mapping(Sofa, AUTHOR | {"PUBLISH_IF": "detalles__listo"}),
        capture_events() as events,
    ):
        sofa = Sofa.objects.create(**VALUES, autor=autor)
        parent = Mueble.objects.get()
        parent.material = "pino"
        parent.save()
        sofa.delete(keep_parents=True)
        mueble(autor).save()
    assert summaries(events, "material") == [("created", "pino"), ("created", "roble")]


def test_a_soft_delete_is_a_delete_for_consumers(autor: User) -> None:
    """A delete of safedelete only marks the row. Its later hard delete publishes nothing."""
    with capture_events() as events:
        piece = Baul(**VALUES, autor=autor)
        piece.save()
        piece.delete()
        piece.undelete()
        Baul.objects.all().delete()
    assert Baul.all_objects.count() == 1
    assert summaries(events) == [("created",), ("deleted",), ("created",), ("deleted",)]
    with capture_events() as events:
        Baul.all_objects.get().delete(force_policy=HARD_DELETE)
    assert (events, Baul.all_objects.count()) == ([], 0)
