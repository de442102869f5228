"""The functions of ``bulk`` publish changes for which Django sends no signals."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import F, Q, Subquery
from furniture_events.django import bulk, chunks, publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Banco, Maker, Mesa, Mueble, Pieza, Sofa
from tests.django.databases import on_postgres, smoke
from tests.django.pieces import mueble, summaries
from tests.django.test_mapping import VALUES
from tests.django.test_transactions import race

pytestmark = smoke


@pytest.fixture
def pieces(autor: User) -> list[Mueble]:
    """Return three pieces that are in the database, the last of which is a sofa."""
    Mueble.objects.bulk_create([mueble(autor, nombre=nombre) for nombre in "ab"])
    Sofa.objects.create(**{**VALUES, "nombre": "c"}, autor=autor)
    return list(Mueble.objects.order_by("pk"))


def test_djangos_own_bulk_changes_publish_nothing(autor: User, tmp_path: Path) -> None:
    """``bulk_create``, ``bulk_update``, ``update`` and fixtures send no signals."""
    with capture_events() as events:
        Mueble.objects.bulk_create([mueble(autor)])
        Mueble.objects.update(nombre="a")
        Mueble.objects.bulk_update(Mueble.objects.all(), ["nombre"])
        fixture = tmp_path / "pieces.json"
        fixture.write_text(serializers.serialize("json", Mueble.objects.all()))
        Mueble.objects.all()._raw_delete("default")
        call_command("loaddata", str(fixture), verbosity=0)
    assert (events, Mueble.objects.count()) == ([], 1)


def test_bulk_create_publishes_each_row(autor: User) -> None:
    """The instances have their keys, and the events have the database's values."""
    with capture_events() as events:
        created = bulk.bulk_create(
            Mueble.objects, [mueble(autor, nombre=nombre, altura="1.006") for nombre in "ab"]
        )
    assert summaries(events, "nombre", "altura") == [("created", "a", 1.01), ("created", "b", 1.01)]
    assert [event["furniture"]["furniture_id"] for event in events] == [
        str(piece.pk) for piece in created
    ]


def test_bulk_update_publishes_changed_rows(pieces: list[Mueble]) -> None:
    """A row that keeps its values is not published, even if its instance was stale."""
    Mueble.objects.filter(nombre="a").update(material="pino")
    pieces[2].material = "haya"
    with capture_events() as events:
        assert bulk.bulk_update(Mueble.objects, pieces, ["material", "notas"]) == 3
    assert summaries(events, "nombre", "material") == [
        ("updated", "a", "roble"),
        ("updated", "c", "haya"),
    ]
    assert events[1]["furniture"]["plazas"] == 2


def test_update_publishes_changed_rows(pieces: list[Mueble]) -> None:
    """Rows that no longer match the filter are published. Rows with the same value are not."""
    pieces[1].material = "pino"
    pieces[1].save()
    with capture_events() as events:
        rows = Mueble.objects.filter(Q(material="roble") | Q(nombre="b"))
        assert bulk.update(rows, material="pino") == 3
        assert bulk.update(Mueble.objects.filter(nombre="b"), ancho=F("ancho") + 1) == 1
        assert bulk.update(Mueble.objects, notas="rayada") == 3
    assert summaries(events, "nombre", "material", "ancho") == [
        ("updated", "a", "pino", 120),
        ("updated", "c", "pino", 2),
        ("updated", "b", "pino", 121),
    ]


def test_many_rows_are_read_in_chunks(autor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of every chunk is published once, in order."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    names = list("abcde")
    with capture_events() as events:
        pieces = bulk.bulk_create(Mueble.objects, [mueble(autor, nombre=name) for name in names])
        bulk.update(Mueble.objects, material="pino")
        for piece in pieces:
            piece.material = "haya"
        bulk.bulk_update(Mueble.objects, pieces, ["material"])
        assert bulk.publish_created(Mueble.objects) == 5
    assert summaries(events, "nombre", "material") == [
        *(("created", name, "roble") for name in names),
        *(("updated", name, "pino") for name in names),
        *(("updated", name, "haya") for name in names),
        *(("created", name, "haya") for name in names),
    ]


def test_existing_rows_can_be_published_as_created(pieces: list[Mueble]) -> None:
    """A queryset chooses the rows, and each row has its own model's mapping."""
    with capture_events() as events:
        assert bulk.publish_created(Mueble.objects.exclude(nombre="b")) == 2
    assert summaries(events, "nombre") == [("created", "a"), ("created", "c")]
    assert [event["furniture"].get("plazas") for event in events] == [None, 2]


def test_a_slice_can_be_published_as_created(pieces: list[Mueble]) -> None:
    """Such as the newest pieces."""
    with capture_events() as events:
        assert bulk.publish_created(Mueble.objects.order_by("-pk")[:2]) == 2
    assert summaries(events, "nombre") == [("created", "b"), ("created", "c")]


def test_a_childs_queryset_publishes_by_its_parents_mapping(autor: User) -> None:
    """The child has no mapping of its own."""
    Mesa.objects.create(**VALUES, autor=autor)
    with capture_events() as events:
        bulk.update(Mesa.objects.filter(patas=4), patas=3, material="pino")
    assert summaries(events, "material") == [("updated", "pino")]


def test_a_rolled_back_bulk_change_publishes_nothing(pieces: list[Mueble]) -> None:
    """The rows and the events are in the caller's transaction."""
    with capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            bulk.update(Mueble.objects, material="pino")
            raise ZeroDivisionError
    assert (events, Mueble.objects.filter(material="pino").count()) == ([], 0)


@pytest.mark.parametrize(
    "work",
    [
        lambda: bulk.bulk_create(User.objects, []),
        lambda: bulk.bulk_update(User.objects, [], ["username"]),
        lambda: bulk.update(User.objects, username="x"),
        lambda: bulk.publish_created(User.objects),
    ],
)
def test_a_model_that_is_not_mapped_is_refused(work: Any) -> None:
    """It would be written without an event."""
    with pytest.raises(ValueError, match=r"auth.User is not in FURNITURE_EVENTS\['MODELS'\]"):
        work()


def test_an_update_writes_only_rows_that_still_match(autor: User) -> None:
    """A row that another transaction has changed meanwhile is not changed again."""
    mueble(autor).save()
    changed: list[int] = []

    def change_material(material: str) -> None:
        changed.append(bulk.update(Mueble.objects.filter(material="roble"), material=material))

    with capture_events() as events:
        race(lambda: change_material("pino"), lambda: change_material("haya"))
    assert (changed, summaries(events, "material")) == ([1, 0], [("updated", "pino")])


def test_an_update_is_one_statement(pieces: list[Mueble], monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are read in chunks, and written in one statement from their old values."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)
    highest = Mueble.objects.order_by("-ancho").values("ancho")[:1]
    with capture_events() as events:
        bulk.update(Mueble.objects.annotate(most=Subquery(highest)), ancho=F("most") + F("id"))
    assert summaries(events, "ancho") == [("updated", 120 + piece.pk) for piece in pieces]


@pytest.fixture
def bound_by_the_server(database: str) -> Iterator[str]:
    """Return a second alias of the test's database. PostgreSQL itself binds its parameters."""
    settings = dict(connections.settings["default"])
    if database == "postgres":
        settings["OPTIONS"] = {**settings["OPTIONS"], "server_side_binding": True}
    connections.settings["bound"] = settings
    yield "bound"
    connections["bound"].close()
    del connections["bound"], connections.settings["bound"]


@on_postgres
def test_a_bulk_change_may_have_more_rows_than_a_statement_has_parameters(
    autor: User, database: str, bound_by_the_server: str
) -> None:
    """PostgreSQL allows 65,535 parameters, if it binds them itself."""
    maker = Maker.objects.create(user=autor)
    rows = Pieza.objects.using(bound_by_the_server)
    values = {"name": "Atril", "height": 1, "width": 1, "material": "haya", "price": 1}
    created = bulk.bulk_create(rows, [Pieza(**values, maker=maker) for _ in range(8_200)])
    assert OutboxEvent.objects.count() == len(created)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_pieza SELECT gen_random_uuid(), name, text, height, width,"
            " material, price, maker_id FROM catalog_pieza, generate_series(1, 7)"
        )
    OutboxEvent.objects.all()._raw_delete("default")
    assert bulk.update(rows, price=1) == 65_600
    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("chosen", [True, False])
def test_an_update_finds_rows_by_keys_of_every_kind(
    autor: User, bound_by_the_server: str, chosen: bool
) -> None:
    """Numbers, UUIDs, texts and links to a parent."""
    maker = Maker.objects.create(user=autor)
    Pieza.objects.create(name="x", height=1, width=1, material="roble", price=1, maker=maker)
    Banco.objects.create(**VALUES, autor=autor, codigo="b-1")
    Mesa.objects.create(**VALUES, autor=autor)
    Sofa.objects.create(**VALUES, autor=autor)
    for model in (Pieza, Banco, Mesa, Sofa, Mueble):
        rows = model.objects.using(bound_by_the_server)
        if not chosen:
            rows = rows.none()
        with capture_events() as events:
            count = bulk.update(rows, material=model.__name__)
        assert (count, bool(events)) == (len(events), chosen)


def test_keys_may_be_given_as_text(autor: User) -> None:
    """Django accepts a UUID as text, and so does ``bulk_create``."""
    key = str(uuid.uuid4())
    maker = Maker.objects.create(user=autor)
    piece = Pieza(id=key, name="x", height=1, width=1, material="m", price=1, maker=maker)
    with capture_events() as events:
        bulk.bulk_create(Pieza.objects, [piece])
        publish("furniture_updated", piece)
    assert summaries(events, "furniture_id") == [("created", key), ("updated", key)]
