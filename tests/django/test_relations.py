"""A change of a many-to-many relation is published from both sides, once, and only if it is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_save
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Acabado, Armario, Coleccion, Herraje, Montaje
from tests.django.databases import smoke
from tests.django.overrides import override_setting
from tests.django.pieces import summaries
from tests.django.test_mapping import VALUES
from tests.django.test_saving import receiving

pytestmark = smoke

Things = dict[str, Any]


@pytest.fixture
def things(autor: User) -> Things:
    """Return two wardrobes, of which the first has the finish ``mate``, and two finishes."""
    values = {**VALUES, "autor": autor}
    one, two = (Armario.objects.create(**{**values, "nombre": name}) for name in ("uno", "dos"))
    mate, brillo = (Acabado.objects.create(nombre=name) for name in ("mate", "brillo"))
    one.acabados.add(mate)
    return {"one": one, "two": two, "mate": mate, "brillo": brillo}


def change(things: Things, work: Callable[..., object]) -> list[tuple[Any, ...]]:
    """Do the work; return the name and the finishes of each updated wardrobe."""
    with capture_events() as events:
        work(**things)
    found = summaries(events, "nombre", "acabados")
    assert all(kind == "updated" for kind, *_ in found), found
    return sorted(values for _, *values in found)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda one, brillo, **_: one.acabados.add(brillo), [["uno", ["brillo", "mate"]]]),
        (lambda one, mate, **_: one.acabados.add(mate), []),
        (lambda one, mate, **_: one.acabados.remove(mate), [["uno", []]]),
        (lambda one, brillo, **_: one.acabados.remove(brillo), []),
        (lambda one, **_: one.acabados.clear(), [["uno", []]]),
        (lambda one, brillo, **_: one.acabados.set([brillo.pk]), [["uno", ["brillo"]]]),
        (lambda one, brillo, **_: one.acabados.set([brillo], clear=True), [["uno", ["brillo"]]]),
        (lambda one, mate, **_: one.acabados.set(iter([mate])), []),
        (lambda one, mate, **_: one.acabados.set(objs=[mate], clear=True), []),
        (lambda one, **_: one.acabados.create(nombre="cera"), [["uno", ["cera", "mate"]]]),
    ],
)
def test_a_change_from_the_pieces_side_is_published(
    things: Things, work: Callable[..., object], expected: list[Any]
) -> None:
    """``set`` is one event, and a change of nothing is none."""
    assert change(things, work) == expected


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda two, mate, **_: mate.armario_set.add(two), [["dos", ["mate"]]]),
        (lambda one, mate, **_: mate.armario_set.add(one.pk), []),
        (lambda one, mate, **_: mate.armario_set.remove(one), [["uno", []]]),
        (lambda mate, **_: mate.armario_set.clear(), [["uno", []]]),
        (lambda two, mate, **_: mate.armario_set.set([two]), [["dos", ["mate"]], ["uno", []]]),
        (lambda mate, **_: mate.delete(), [["uno", []]]),
        (lambda **_: Acabado.objects.all().delete(), [["uno", []]]),
        (lambda brillo, **_: brillo.delete(), []),
    ],
)
def test_a_change_from_the_other_side_is_published(
    things: Things, work: Callable[..., object], expected: list[Any]
) -> None:
    """For each piece that it concerns, also if a row of the other side is deleted."""
    assert change(things, work) == expected


def test_rows_of_a_relation_without_a_model_of_its_own_are_published(things: Things) -> None:
    """A row that is saved and deleted by itself."""
    rows, ids = Armario.acabados.through.objects, {"acabado_id": things["brillo"].pk}
    work = [
        lambda two, **_: rows.create(armario_id=two.pk, **ids),
        lambda two, **_: rows.get(armario=two).delete(),
    ]
    assert [change(things, each) for each in work] == [[["dos", ["brillo"]]], [["dos", []]]]


def fittings(work: Callable[[], object]) -> list[tuple[Any, ...]]:
    """Do the work; return the name and the fittings of each event."""
    with capture_events() as events:
        work()
    return sorted(summaries(events, "nombre", "herrajes"))


def test_rows_of_a_relation_with_a_model_of_its_own_are_published(things: Things) -> None:
    """Their own columns, too. A row that moves to another piece changes both."""
    one, two = things["one"], things["two"]
    asa, riel = (Herraje.objects.create(nombre=name) for name in ("asa", "riel"))
    row = Montaje(armario=one, herraje=asa)
    assert fittings(row.save) == [("updated", "uno", ["1 asa"])]
    assert fittings(row.save) == []
    row.cantidad = 2
    assert fittings(row.save) == [("updated", "uno", ["2 asa"])]
    row.armario = two
    assert fittings(row.save) == [("updated", "dos", ["2 asa"]), ("updated", "uno", [])]
    assert fittings(lambda: two.herrajes.set([riel])) == [("updated", "dos", ["1 riel"])]
    assert fittings(lambda: two.herrajes.add(asa)) == [("updated", "dos", ["1 asa", "1 riel"])]
    assert fittings(riel.delete) == [("updated", "dos", ["1 asa"])]
    Montaje.objects.create(armario=two, herraje=asa)
    assert fittings(lambda: Montaje.objects.all().delete()) == [("updated", "dos", [])]


def test_both_sides_of_a_symmetrical_relation_are_published(things: Things) -> None:
    """A wardrobe that belongs to another one is changed, too."""
    one, two = things["one"], things["two"]

    def names(work: Callable[[], object]) -> list[tuple[Any, ...]]:
        with capture_events() as events:
            work()
        return sorted(summaries(events, "nombre", "conjunto"))

    expected = [("updated", "dos", ["uno"]), ("updated", "uno", ["dos"])]
    assert names(lambda: one.conjunto.add(two)) == expected
    assert names(one.conjunto.clear) == [("updated", "dos", []), ("updated", "uno", [])]
    one.conjunto.set([two])
    assert names(two.delete) == [("deleted", "dos", ["uno"]), ("updated", "uno", [])]


def test_a_relation_that_the_other_model_defines_is_published(things: Things) -> None:
    """The wardrobe has no field for it, but a manager."""
    one, two = things["one"], things["two"]
    nueva = Coleccion.objects.create(nombre="nueva")

    def collections(work: Callable[[], object]) -> list[tuple[Any, ...]]:
        with capture_events() as events:
            work()
        return sorted(summaries(events, "nombre", "colecciones"))

    assert collections(lambda: nueva.armarios.set([one])) == [("updated", "uno", ["nueva"])]
    assert collections(lambda: two.coleccion_set.add(nueva)) == [("updated", "dos", ["nueva"])]
    (former,) = serializers.deserialize("json", serializers.serialize("json", [nueva]))
    nueva.armarios.set([two])
    assert collections(former.save) == [("updated", "uno", ["nueva"])]
    assert collections(nueva.delete) == [("updated", "dos", []), ("updated", "uno", [])]


def test_a_row_that_a_serializer_has_read_is_published(things: Things) -> None:
    """Its save calls Django's own method, and not that of the relation's model."""
    herraje = Herraje.objects.create(nombre="asa")
    row = Montaje.objects.create(armario=things["one"], herraje=herraje)
    (former,) = serializers.deserialize("json", serializers.serialize("json", [row]))
    row.delete()
    assert fittings(former.save) == [("updated", "uno", ["1 asa"])]


def test_a_deleted_piece_is_only_deleted(things: Things) -> None:
    """The rows of its relations are deleted with it, and so may be the other side."""
    one, mate = things["one"], things["mate"]
    Montaje.objects.create(armario=one, herraje=Herraje.objects.create(nombre="asa"))
    assert fittings(one.delete) == [("deleted", "uno", ["1 asa"])]
    things["two"].acabados.add(mate)
    with capture_events() as events:
        things["two"].autor.delete()
    assert summaries(events, "acabados") == [("deleted", ["mate"])]


def test_a_relation_that_a_save_sets_is_published_with_the_save(things: Things) -> None:
    """A receiver sets it, and the event is that of the save. And the reverse."""

    def finish(instance: Model) -> None:
        instance.acabados.set([things["brillo"]])

    with receiving(post_save, finish, Armario), capture_events() as events:
        Armario.objects.create(**VALUES, autor=things["one"].autor)
    assert summaries(events, "acabados") == [("created", ["brillo"])]

    def save(instance: Model) -> None:
        instance.material = "pino"
        instance.save()

    through = Armario.acabados.through
    with receiving(m2m_changed, save, through), capture_events() as events:
        things["two"].acabados.add(things["mate"])
    assert summaries(events, "acabados", "material") == [("updated", ["mate"], "pino")]


@pytest.mark.parametrize("mode", ["outbox", "direct"])
def test_a_rolled_back_change_of_a_relation_publishes_nothing(things: Things, mode: str) -> None:
    """The event is part of the transaction, also without an open one."""
    with override_setting(MODE=mode), capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            things["one"].acabados.clear()
            raise ZeroDivisionError
        with receiving(m2m_changed, lambda _: 1 / 0, Armario.acabados.through):
            with pytest.raises(ZeroDivisionError):
                things["one"].acabados.clear()
        things["one"].acabados.set([things["brillo"]])
    assert summaries(events, "acabados") == [("updated", ["brillo"])]
