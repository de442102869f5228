"""Saves and deletes publish their changes, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.signals import ModelSignal, post_delete, post_save, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Maker, Mueble, Pieza, Sofa
from tests.django.databases import on_servers, on_sqlite, smoke
from tests.django.pieces import mueble, summaries
from tests.django.test_mapping import VALUES
from tests.django.test_transactions import in_own_connection
from tests.support.server import TIMEOUT

pytestmark = smoke


@contextmanager
def receiving(
    signal: ModelSignal, receiver: Callable[[Any], object], sender: type[Any] = Mueble
) -> Iterator[None]:
    """Connect a receiver to a model's signal, and call it once, with the instance."""
    done = []

    def receive(instance: Any, **_: object) -> None:
        if not done:
            done.append(True)
            receiver(instance)

    signal.connect(receive, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receive, sender=sender)


def test_a_save_publishes_the_rows_values(autor: User) -> None:
    """Each event has the database's values, by the contract's names."""
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


@pytest.mark.parametrize(
    ("change", "update_fields"),
    [
        ({}, None),
        ({"notas": "rayada"}, None),
        ({"notas": "rayada", "material": "pino"}, ["notas"]),
        ({"altura": Decimal("75.501")}, None),
        ({"ancho": "120.00"}, None),
    ],
)
def test_a_save_that_changes_no_mapped_column_publishes_nothing(
    piece: Mueble, change: dict[str, object], update_fields: list[str] | None
) -> None:
    """Values are compared as the database stores them, not as they were assigned."""
    with capture_events() as events:
        for name, value in change.items():
            setattr(piece, name, value)
        piece.save(update_fields=update_fields)
    assert events == []


def test_a_save_of_unmapped_columns_makes_no_extra_query(piece: Mueble) -> None:
    """With ``update_fields`` of unmapped columns, there is only Django's own query."""
    with CaptureQueriesContext(connection) as queries:
        piece.save(update_fields=["notas"])
    assert len(queries) == 1


def test_a_rounded_value_is_published(autor: User) -> None:
    """The event has the column's value, not the assigned value."""
    with capture_events() as events:
        mueble(autor, altura=Decimal("75.506")).save()
    events.assert_published("furniture_created", altura=75.51)


@pytest.mark.parametrize("update_fields", [["autor"], ["autor_id"], ["notas", "autor"]])
def test_update_fields_with_a_mapped_column_publishes(
    piece: Mueble, update_fields: list[str]
) -> None:
    """A foreign key may have either of its names, and the event has the new author."""
    piece.autor = User.objects.create_user("ana")
    with capture_events() as events:
        piece.save(update_fields=update_fields)
    assert summaries(events, "autor_username") == [("updated", "ana")]


def test_deferred_columns_are_published(piece: Mueble) -> None:
    """An instance that was read in part publishes the whole row, if its save changes the row."""
    part = Mueble.objects.only("material").get()
    part.material = "pino"
    with capture_events() as events:
        part.save()
    assert summaries(events, "nombre", "material") == [("updated", "Mesa", "pino")]
    part = Mueble.objects.only("notas").get()
    with capture_events() as events:
        part.save()
    assert events == []


def test_a_stale_instance_publishes_the_row_after_its_save(piece: Mueble) -> None:
    """The event has the values of another writer. Writing back an old value is a change."""
    Mueble.objects.update(nombre="Escritorio", material="pino")
    with capture_events() as events:
        piece.save(update_fields=["material"])
    assert summaries(events, "nombre", "material") == [("updated", "Escritorio", "roble")]


def test_an_explicit_primary_key_creates_then_updates(autor: User) -> None:
    """An event is ``created`` if there was no row, even if the instance has a key."""
    with capture_events() as events:
        mueble(autor, pk=7).save()
        mueble(autor, pk=7, material="pino").save()
    assert summaries(events, "furniture_id") == [("created", "7"), ("updated", "7")]


def test_get_or_create_and_update_or_create_publish_their_changes(autor: User) -> None:
    """A call that changes no row publishes nothing."""
    values = {"altura": 1, "ancho": 1, "material": "roble", "autor": autor}
    with capture_events() as events:
        Mueble.objects.get_or_create(nombre="Silla", defaults=values)
        Mueble.objects.get_or_create(nombre="Silla", defaults={**values, "material": "pino"})
        Mueble.objects.update_or_create(nombre="Silla", defaults=values)
        Mueble.objects.update_or_create(nombre="Silla", defaults={"material": "pino"})
    assert summaries(events, "material") == [("created", "roble"), ("updated", "pino")]


def test_a_delete_publishes_each_deleted_piece(autor: User) -> None:
    """``QuerySet.delete`` and cascades publish one event a row, and none without a row."""
    first, second, third = (mueble(autor, nombre=nombre) for nombre in "abc")
    for each in (first, second, third):
        each.save()
    with capture_events() as events:
        Mueble.objects.filter(nombre="a").delete()
    assert summaries(events, "nombre") == [("deleted", "a")]
    stale = Mueble.objects.get(nombre="b")
    second.delete()
    with capture_events() as events:
        stale.delete()
    assert events == []
    with capture_events() as events:
        autor.delete()
    assert summaries(events, "nombre", "autor_username") == [("deleted", "c", "juan")]


def test_saves_in_receivers_are_one_event_with_the_final_state(autor: User) -> None:
    """Receivers that save the piece again, also as another instance, add no event."""

    def save_again(instance: Mueble) -> None:
        instance.material = "pino"
        instance.save()
        other = Mueble.objects.get(pk=instance.pk)
        other.ancho = 99
        other.save()

    with receiving(post_save, save_again), capture_events() as events:
        mueble(autor).save()
    assert summaries(events, "material", "ancho") == [("created", "pino", 99)]
    piece = Mueble.objects.get()
    piece.nombre = "Silla"
    with receiving(pre_save, lambda piece: Mueble.objects.update(ancho=7)):
        with receiving(post_save, save_again), capture_events() as events:
            piece.save()
    assert summaries(events, "nombre", "ancho") == [("updated", "Silla", 99)]


def test_a_receiver_that_saves_another_piece_publishes_both(autor: User) -> None:
    """Only nested saves of one piece are one event."""
    silla = mueble(autor, nombre="Silla")
    silla.save()

    def save_another(instance: Mueble) -> None:
        silla.material = "pino"
        silla.save()

    with receiving(post_save, save_another), capture_events() as events:
        mueble(autor).save()
    assert sorted(summaries(events, "nombre")) == [("created", "Mesa"), ("updated", "Silla")]


def test_a_receiver_that_raises_undoes_the_save_and_its_event(autor: User) -> None:
    """Also in autocommit, a save that raises writes no row and publishes no event."""
    with receiving(post_save, lambda piece: 1 / 0), capture_events() as events:
        with pytest.raises(ZeroDivisionError):
            mueble(autor).save()
    assert (events, Mueble.objects.count()) == ([], 0)


def test_a_receivers_error_that_is_caught_leaves_the_row_and_its_event(autor: User) -> None:
    """If the caller catches the error inside a transaction, both are committed."""
    with receiving(post_save, lambda piece: 1 / 0), capture_events() as events:
        with transaction.atomic():
            with pytest.raises(ZeroDivisionError):
                mueble(autor).save()
    assert summaries(events, "nombre") == [("created", "Mesa")]
    assert Mueble.objects.count() == 1


def test_a_receivers_own_error_is_raised(autor: User) -> None:
    """Even if the broken transaction takes no event any more."""

    def violate(instance: Mueble) -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (id, name) VALUES (1, NULL)")

    with receiving(post_save, violate), capture_events() as events:
        with transaction.atomic():
            with pytest.raises(IntegrityError), transaction.atomic():
                mueble(autor).save()
    assert (events, Mueble.objects.count()) == ([], 0)


def test_a_row_whose_event_fails_cannot_be_committed(
    autor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the caller catches the event's error, the row is rolled back."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("furniture_events.django.saving.record_changes", fail)
    with pytest.raises(DatabaseError), transaction.atomic():
        with pytest.raises(ZeroDivisionError):
            mueble(autor).save()
        Mueble.objects.count()
    assert Mueble.objects.count() == 0


def test_a_row_that_a_receiver_deletes_is_published_as_deleted(piece: Mueble) -> None:
    """A save whose receiver deletes the row publishes only the deletion."""
    piece.material = "pino"
    with receiving(post_save, lambda piece: Mueble.objects.filter(pk=piece.pk).delete()):
        with capture_events() as events:
            piece.save()
    assert summaries(events) == [("deleted",)]


def test_a_row_that_a_receiver_deletes_at_its_creation_is_not_published(autor: User) -> None:
    """Before and after the save there is no row, so nothing has changed."""
    with receiving(post_save, lambda piece: piece.delete()), capture_events() as events:
        mueble(autor).save()
    assert (events, Mueble.objects.count()) == ([], 0)


def test_a_row_that_a_receiver_deletes_and_creates_again_is_updated(piece: Mueble) -> None:
    """A row that exists after the save is not published as deleted."""

    def write_again(instance: Mueble) -> None:
        Mueble.objects.filter(pk=instance.pk).delete()
        mueble(instance.autor, pk=instance.pk, material="pino").save()

    with receiving(post_save, write_again), capture_events() as events:
        piece.save()
    assert summaries(events, "material") == [("updated", "pino")]


def test_a_receiver_that_makes_a_copy_leaves_the_row(piece: Mueble) -> None:
    """After the save the instance has another key, but its old row still exists."""

    def copy(instance: Mueble) -> None:
        instance.pk = None
        instance._state.adding = True
        instance.save()

    piece.material = "pino"
    key = str(piece.pk)
    with receiving(post_save, copy), capture_events() as events:
        piece.save()
    assert sorted(summaries(events, "furniture_id", "material")) == [
        ("created", str(piece.pk), "pino"),
        ("updated", key, "pino"),
    ]


def test_a_save_before_the_delete_is_published_before_it(piece: Mueble) -> None:
    """If a ``pre_delete`` receiver saves the piece, the last event is the deletion."""
    piece.material = "pino"
    with receiving(pre_delete, lambda piece: piece.save()), capture_events() as events:
        piece.delete()
    assert summaries(events) == [("updated",), ("deleted",)]


def test_a_save_after_the_delete_is_published_after_it(piece: Mueble) -> None:
    """If a ``post_delete`` receiver saves the piece, the last event is the creation."""
    with receiving(post_delete, lambda piece: piece.save()), capture_events() as events:
        piece.delete()
    assert summaries(events) == [("deleted",), ("created",)]
    assert Mueble.objects.count() == 1


def test_another_json_value_is_a_change(autor: User) -> None:
    """Values that are equal in Python may differ in JSON. The order of keys says nothing."""
    sofa = Sofa.objects.create(**VALUES, autor=autor, detalles={"cama": True, "largo": 1})
    with capture_events() as events:
        for detalles in (
            {"largo": 1, "cama": True},
            {"cama": 1, "largo": 1},
            {"cama": 1, "largo": 1.5},
            {"cama": 0, "largo": 1.5},
            {"cama": False, "largo": 1.5},
        ):
            sofa.detalles = detalles
            sofa.save()
    assert [repr(event["furniture"]["detalles"]["cama"]) for event in events] == [
        "1",
        "1",
        "0",
        "False",
    ]


def pieza(autor: User, **changes: Any) -> Pieza:
    """Return a piece with its own key, which can be saved."""
    maker, _ = Maker.objects.get_or_create(user=autor)
    values = {"name": "Atril", "height": 1, "width": 1, "material": "haya", "price": 1}
    return Pieza(**values | {"maker": maker} | changes)


def test_a_created_row_is_read_only_after_its_insert(autor: User) -> None:
    """``create`` inserts or fails, so there is no row to read before."""
    piece = pieza(autor)
    with CaptureQueriesContext(connection) as queries, capture_events() as events:
        piece.save(force_insert=True)
    selects = [each["sql"] for each in queries if each["sql"].startswith("SELECT")]
    assert len([each for each in selects if "catalog_pieza" in each]) == 1
    assert summaries(events) == [("created",)]


def test_a_failed_create_of_an_existing_row_publishes_nothing(autor: User) -> None:
    """It may fail before the insert, or at it."""
    existing = pieza(autor)
    existing.save()
    again = pieza(autor, pk=existing.pk, material="pino")
    with capture_events() as events:
        with receiving(pre_save, lambda piece: 1 / 0, Pieza), transaction.atomic():
            with pytest.raises(ZeroDivisionError):
                again.save(force_insert=True)
        with pytest.raises(IntegrityError):
            again.save(force_insert=True)
    assert events == []


@on_servers
def test_a_row_that_another_transaction_inserts_first_is_updated(
    autor: User, database: str
) -> None:
    """The first insert publishes ``created``, and the save after it ``updated``."""

    def insert_first(instance: Mueble) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_own_connection(mueble(autor, pk=7).save)).result(TIMEOUT)

    with receiving(pre_save, insert_first), capture_events() as events:
        mueble(autor, pk=7, material="pino").save()
    assert summaries(events, "material") == [("created", "roble"), ("updated", "pino")]


def test_a_create_after_a_read_finds_no_database_locked(autor: User) -> None:
    """A receiver may read the table before the insert, while others write."""

    def read_table(instance: Mueble, **_: object) -> None:
        Mueble.objects.count()

    def create() -> None:
        for _ in range(10):
            mueble(autor).save()

    pre_save.connect(read_table, sender=Mueble)
    try:
        with capture_events() as events, ThreadPoolExecutor(4) as pool:
            for creator in [pool.submit(in_own_connection(create)) for _ in range(4)]:
                creator.result(TIMEOUT)
    finally:
        pre_save.disconnect(read_table, sender=Mueble)
    assert summaries(events) == [("created",)] * 40


@on_sqlite
def test_a_save_locks_sqlite_before_its_receivers_read(autor: User, database: str) -> None:
    """SQLite refuses a write after a read if another connection has written in between."""

    def read(instance: Mueble) -> None:
        name = str(connection.settings_dict["NAME"])
        with closing(sqlite3.connect(name, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        seen.append(instance.nombre)

    seen: list[str] = []
    with receiving(pre_save, read):
        Mueble.objects.create(**VALUES, autor=autor)
    assert seen == [VALUES["nombre"]]
