"""A change of a row that ``RELATED`` names publishes the pieces that it reaches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete
from django.test.utils import CaptureQueriesContext
from furniture_events.django import chunks, paused
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Acabado, Armario
from tests.django.pieces import summaries
from tests.django.showroom.models import (
    Biombo,
    Ebanisteria,
    Encargo,
    Escuela,
    Espejo,
    Premio,
    Taller,
    Tapiz,
)
from tests.django.test_mapping import VALUES
from tests.django.test_saving import receiving
from tests.django.test_transactions import race


@pytest.fixture
def taller(autor: User) -> Taller:
    """Return the workshop ``norte``."""
    return Taller.objects.create(nombre="norte")


def screen(taller: Taller, nombre: str = "biombo", **values: object) -> Biombo:
    """Create a piece of a workshop."""
    autor = User.objects.get()
    return Biombo.objects.create(
        **{**VALUES, "nombre": nombre, "autor": autor, "taller": taller, **values}
    )


def tapestry(taller: Taller) -> Tapiz:
    """Create a piece that is deleted with its workshop."""
    return Tapiz.objects.create(**VALUES, autor=User.objects.get(), taller=taller)


def changes(work: Callable[[], object], *names: str) -> list[tuple[Any, ...]]:
    """Do the work; return the type and these fields of each event."""
    with capture_events() as events:
        work()
    return sorted(summaries(events, *names))


def rename(row: Any, nombre: str = "sur") -> None:
    """Save a row with another name."""
    row.nombre = nombre
    row.save()


def test_a_renamed_row_publishes_its_pieces(taller: Taller) -> None:
    """Only its own pieces, and only if the name has changed."""
    screen(taller, "a"), screen(taller, "b")
    screen(Taller.objects.create(nombre="otro"), "c")
    assert changes(lambda: rename(taller), "nombre", "taller") == [
        ("updated", "a", "sur"),
        ("updated", "b", "sur"),
    ]
    assert changes(taller.save) == []


def test_a_piece_that_is_reached_twice_is_published_once(taller: Taller) -> None:
    """Over two lookups, also if its row is deleted."""
    screen(taller, revisor=taller)
    assert changes(lambda: rename(taller), "taller", "revisor") == [("updated", "sur", "sur")]
    assert changes(taller.delete, "taller", "revisor") == [("updated", None, None)]


def test_a_lookup_may_have_several_steps(taller: Taller) -> None:
    """The school is two relations away."""
    school = Escuela.objects.create(nombre="vieja")
    taller.escuela = school
    taller.save()
    screen(taller)
    assert changes(lambda: rename(school, "nueva"), "escuela") == [("updated", "nueva")]
    assert changes(school.delete, "escuela") == [("updated", None)]


def test_a_row_that_refers_to_a_piece_publishes_it(taller: Taller) -> None:
    """Created, changed, deleted, and moved to another piece, which changes both."""
    one, two = tapestry(taller), tapestry(taller)

    def orders(work: Callable[[], object]) -> list[tuple[Any, ...]]:
        return changes(work, "furniture_id", "encargos")

    first, second = f"tapiz-{one.pk}", f"tapiz-{two.pk}"
    row = Encargo(tapiz=one, texto="rojo")
    assert orders(row.save) == [("updated", first, ["rojo"])]
    row.texto = "azul"
    assert orders(row.save) == [("updated", first, ["azul"])]
    row.tapiz = two
    assert orders(lambda: row.save(update_fields=["tapiz"])) == [
        ("updated", first, []),
        ("updated", second, ["azul"]),
    ]
    assert orders(Encargo.objects.all().delete) == [("updated", second, [])]


def test_a_deleted_row_publishes_the_pieces_that_stay(taller: Taller) -> None:
    """The others are deleted with it, and only deleted."""
    screen(taller), tapestry(taller)
    Encargo.objects.create(tapiz=Tapiz.objects.get(), texto="rojo")
    with capture_events() as events:
        taller.delete()
    assert sorted(summaries(events, "taller")) == [("deleted", "norte"), ("updated", None)]


def test_rows_of_several_models_are_deleted_with_one_event_for_each_piece(taller: Taller) -> None:
    """The event comes after the last row of the last model."""
    piece, school = tapestry(taller), Escuela.objects.create(nombre="vieja")
    Encargo.objects.create(tapiz=piece, texto="rojo", escuela=school)
    Premio.objects.create(tapiz=piece, escuela=school)
    assert changes(school.delete, "encargos", "premios") == [("updated", [], 0)]


def test_rows_of_one_queryset_are_deleted_with_one_event_for_each_piece(taller: Taller) -> None:
    """The event comes after the last row, and has the values of the end."""
    other = Taller.objects.create(nombre="este")
    screen(taller, revisor=other)
    assert changes(Taller.objects.all().delete, "taller", "revisor") == [("updated", None, None)]


def test_a_delete_that_fails_can_be_repeated(taller: Taller) -> None:
    """The first one leaves nothing behind."""
    piece = screen(taller)
    with receiving(pre_delete, lambda _: 1 / 0, Taller), pytest.raises(ZeroDivisionError):
        taller.delete()
    piece.material = "pino"
    piece.save()
    assert changes(taller.delete, "material", "taller") == [("updated", "pino", None)]


def test_a_save_of_fields_that_no_mapping_reads_reads_no_piece(taller: Taller) -> None:
    """Such as the time of a user's last login. But a function may read any field."""
    screen(taller)
    with CaptureQueriesContext(connection) as queries:
        taller.save(update_fields=["telefono"])
    read = {name for name in ("biombo", "tapiz") for each in queries if name in each["sql"]}
    assert read == {"tapiz"}
    taller.nombre = "sur"
    saved = changes(lambda: taller.save(update_fields=["nombre"]), "taller")
    assert saved == [("updated", "sur")]


def test_a_many_to_many_relation_may_be_related_too(autor: User) -> None:
    """It sees a renamed finish, and ``publish_on_m2m`` the rows. A delete is one event."""
    mate = Acabado.objects.create(nombre="mate")
    armario = Armario.objects.create(**VALUES, autor=autor)
    armario.acabados.add(mate)
    assert changes(lambda: rename(mate, "brillo"), "acabados") == [("updated", ["brillo"])]
    assert changes(mate.delete, "acabados") == [("updated", [])]


def test_a_piece_may_be_a_related_row_of_other_pieces(autor: User) -> None:
    """Its own change is published, and those of the pieces that it reaches."""
    one, two = (
        Armario.objects.create(**{**VALUES, "nombre": nombre}, autor=autor) for nombre in "ab"
    )
    one.conjunto.add(two)
    assert changes(lambda: rename(one, "c"), "nombre", "conjunto") == [
        ("updated", "b", ["c"]),
        ("updated", "c", ["b"]),
    ]
    assert changes(one.delete, "nombre", "conjunto") == [
        ("deleted", "c", ["b"]),
        ("updated", "b", []),
    ]


def test_children_of_the_related_model_are_related(taller: Taller) -> None:
    """Saves, deletes, and objects that a serializer has read. Also the parent's own row."""
    child = Ebanisteria.objects.create(nombre="norte")
    screen(child)
    text = serializers.serialize("json", [Taller.objects.get(pk=child.pk), child])
    assert changes(lambda: rename(child), "taller") == [("updated", "sur")]
    assert changes(lambda: child.save(update_fields=["premios"])) == []
    assert changes(lambda: rename(Taller.objects.get(pk=child.pk), "este"), "taller") == [
        ("updated", "este")
    ]
    former = list(serializers.deserialize("json", text))
    assert changes(lambda: [each.save() for each in former], "taller") == [("updated", "norte")]
    assert changes(child.delete, "taller") == [("updated", None)]


def test_a_translation_in_another_table_may_be_related(taller: Taller) -> None:
    """It is published with the piece's own save, and if it is saved or deleted by itself."""
    with capture_events() as events:
        mirror = Espejo.objects.create(nombre="Mirror")
    assert summaries(events, "nombre") == [("created", "Mirror")]
    text = mirror.translations.get()
    assert changes(lambda: rename(text, "Round mirror"), "nombre") == [("updated", "Round mirror")]
    assert changes(text.delete, "nombre") == [("deleted", "Round mirror")]


def test_a_save_of_a_piece_within_the_change_publishes_nothing_by_itself(taller: Taller) -> None:
    """A receiver saves a piece, and the event has both changes."""
    piece = screen(taller)

    def save_piece(_: Model) -> None:
        piece.material = "pino"
        piece.save()

    with receiving(post_save, save_piece, Taller):
        found = changes(lambda: rename(taller), "taller", "material")
    assert found == [("updated", "sur", "pino")]


def test_a_rolled_back_change_publishes_nothing(taller: Taller) -> None:
    """The events are part of the transaction of the save, also without an open one."""
    screen(taller)
    with capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            rename(taller)
            raise ZeroDivisionError
        with receiving(post_save, lambda _: 1 / 0, Taller), pytest.raises(ZeroDivisionError):
            rename(taller)
    assert events == []
    taller.refresh_from_db()
    assert taller.nombre == "norte"


def test_many_pieces_are_read_in_chunks(taller: Taller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is published once."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    for nombre in "abcde":
        screen(taller, nombre)
    expected = [("updated", nombre, "sur") for nombre in "abcde"]
    assert changes(lambda: rename(taller), "nombre", "taller") == expected


def test_several_thousand_pieces_can_be_published(taller: Taller) -> None:
    """No statement has too many parameters, and the number of queries is bounded."""
    values = {**VALUES, "autor": User.objects.get(), "taller": taller}
    Biombo.objects.bulk_create([Biombo(**values) for _ in range(4_000)], batch_size=500)
    with CaptureQueriesContext(connection) as queries:
        rename(taller)
    assert OutboxEvent.objects.count() == 4_000
    assert len(queries) < 70


def test_bulk_changes_of_related_rows_pass_by(taller: Taller) -> None:
    """They send no signals."""
    screen(taller)
    taller.nombre = "sur"
    with capture_events() as events:
        Taller.objects.bulk_update([taller], ["nombre"])
        Taller.objects.update(nombre="este")
    assert events == []


def test_a_pause_publishes_nothing_and_reads_no_piece(taller: Taller) -> None:
    """Neither in a save nor in a delete."""
    screen(taller)
    with capture_events() as events, paused():
        with CaptureQueriesContext(connection) as queries:
            rename(taller)
        taller.delete()
    assert events == []
    assert not [each for each in queries if "biombo" in each["sql"]]


def test_a_deserialized_row_publishes_and_a_fixture_does_not(
    taller: Taller, tmp_path: Path
) -> None:
    """As for pieces: a revert is published."""
    screen(taller)
    text = serializers.serialize("json", [taller])
    rename(taller)
    (former,) = serializers.deserialize("json", text)
    assert changes(former.save, "taller") == [("updated", "norte")]
    rename(taller, "este")
    fixture = tmp_path / "taller.json"
    fixture.write_text(text)
    assert changes(lambda: call_command("loaddata", str(fixture), verbosity=0)) == []
    assert Taller.objects.get().nombre == "norte"


def test_a_related_row_in_another_database_publishes_there(taller: Taller, other_site: str) -> None:
    """The pieces and the outbox of that database."""
    author = User.objects.db_manager(other_site).create_user("ana")
    there = Taller.objects.using(other_site).create(nombre="norte")
    Biombo.objects.using(other_site).create(**VALUES, autor=author, taller=there)
    screen(taller)
    with capture_events() as here_events, capture_events(other_site) as events:
        rename(there)
    assert (here_events, summaries(events, "taller")) == ([], [("updated", "sur")])


def test_a_row_that_two_transactions_move_changes_each_piece(taller: Taller) -> None:
    """The second one waits, and sees where the first one has moved the row."""
    one, two, three = (tapestry(taller) for _ in range(3))
    row = Encargo.objects.create(tapiz=one, texto="rojo")

    def move_to(tapiz: Tapiz) -> Callable[[], None]:
        moved = Encargo.objects.get(pk=row.pk)
        moved.tapiz = tapiz
        return moved.save

    with capture_events() as events:
        race(move_to(two), move_to(three))
    last = {each["furniture"]["furniture_id"]: each["furniture"]["encargos"] for each in events}
    assert last == {f"tapiz-{one.pk}": [], f"tapiz-{two.pk}": [], f"tapiz-{three.pk}": ["rojo"]}


def test_a_save_of_a_piece_and_of_its_row_keep_the_order_of_commits(taller: Taller) -> None:
    """The piece is locked before it is read."""
    piece = screen(taller)
    piece.material = "pino"
    with capture_events() as events:
        race(piece.save, lambda: rename(taller))
    assert summaries(events, "material", "taller") == [
        ("updated", "pino", "norte"),
        ("updated", "pino", "sur"),
    ]
