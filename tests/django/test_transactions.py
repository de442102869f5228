"""The row and its event are one transaction: both are committed, or neither is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from furniture_events.django import bulk, outbox, publish
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble, Nota, Sofa
from tests.django.databases import on_postgres, on_servers, smoke
from tests.django.pieces import mueble, summaries
from tests.support.server import TIMEOUT, wait_until

pytestmark = smoke


def test_a_rolled_back_save_publishes_nothing(autor: User) -> None:
    """A save that is not committed publishes no event."""
    with capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor).save()
            raise ZeroDivisionError
    assert events == []


def test_a_rolled_back_savepoint_publishes_nothing(autor: User) -> None:
    """The events before and after it in the transaction are published."""
    with capture_events() as events, transaction.atomic():
        mueble(autor, nombre="a").save()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor, nombre="b").save()
            publish("furniture_updated", Mueble.objects.get(nombre="a"))
            raise ZeroDivisionError
        mueble(autor, nombre="c").save()
    assert summaries(events, "nombre") == [("created", "a"), ("created", "c")]


def save_and_answer(request: HttpRequest, status: int) -> HttpResponse:
    """Save a piece, and fail with a status of 500."""
    mueble(User.objects.get()).save()
    if status == 500:
        raise ZeroDivisionError
    return HttpResponse(status=status)


async def save_and_delete(request: HttpRequest) -> HttpResponse:
    """Save, change and delete a piece, as an async view does."""
    piece = mueble(await User.objects.aget())
    await piece.asave()
    piece.material = "pino"
    await piece.asave(update_fields=["material"])
    await piece.adelete()
    return HttpResponse()


urlpatterns = [path("save/<int:status>/", save_and_answer), path("async/", save_and_delete)]


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(("atomic", "committed"), [(True, 0), (False, 1)])
def test_a_failed_view_publishes_its_committed_saves(
    autor: User, atomic: bool, committed: int
) -> None:
    """With ATOMIC_REQUESTS it commits nothing. Without it, it commits its earlier saves."""
    client = Client(raise_request_exception=False)
    with mock.patch.dict(connections.settings["default"], ATOMIC_REQUESTS=atomic):
        with capture_events() as events:
            assert client.get("/save/500/").status_code == 500
        assert (len(events), Mueble.objects.count()) == (committed, committed)
        with capture_events() as events:
            assert client.get("/save/200/").status_code == 200
    assert summaries(events) == [("created",)]


@override_settings(ROOT_URLCONF=__name__)
def test_an_async_view_publishes(autor: User) -> None:
    """``asave`` and ``adelete`` publish like ``save`` and ``delete``."""
    with capture_events() as events:
        assert async_to_sync(AsyncClient().get)("/async/").status_code == 200
    assert summaries(events, "material") == [
        ("created", "roble"),
        ("updated", "pino"),
        ("deleted", "pino"),
    ]


def in_own_connection(work: Callable[[], object]) -> Callable[[], None]:
    """Wrap work for another thread, which closes its own connections."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return run


_COUNTING_WAITS = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'",
}


def race(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Do the second in another thread, while the first has written and not committed."""

    def is_blocked() -> bool:
        if connection.vendor == "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute(_COUNTING_WAITS[connection.vendor])
            return int(cursor.fetchone()[-1]) > 0

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            other = pool.submit(in_own_connection(second))
            wait_until(lambda: other.done() or is_blocked(), "the second waits for the first")
        other.result(TIMEOUT)


def change(model: type[Any], **values: object) -> Callable[[], None]:
    """Read a piece now; return a function that changes it and saves all of it."""
    piece = model.objects.get()

    def save() -> None:
        for name, value in values.items():
            setattr(piece, name, value)
        piece.save()

    return save


@pytest.mark.parametrize(("one", "other"), [(Mueble, Mueble), (Mueble, Sofa), (Sofa, Mueble)])
def test_the_order_of_commits_is_the_order_of_events(
    autor: User, one: type[Any], other: type[Any]
) -> None:
    """A save that waited for another one overwrites it, and its event comes after it."""
    Sofa.objects.create(nombre="Sofá", altura=1, ancho=1, material="roble", autor=autor)
    with capture_events() as events:
        race(change(one, material="pino"), change(other, material="roble"))
    assert summaries(events, "material", "plazas") == [
        ("updated", "pino", 2),
        ("updated", "roble", 2),
    ]


def test_publishing_by_hand_waits_for_a_transaction_that_changes_the_piece(autor: User) -> None:
    """Otherwise it would publish an older state after the newer one."""
    piece = mueble(autor)
    piece.save()
    with capture_events() as events:
        race(change(Mueble, material="pino"), lambda: publish("furniture_updated", piece))
    assert summaries(events, "material") == [("updated", "pino"), ("updated", "pino")]


def test_many_writers_of_one_piece_publish_in_the_order_of_commits(autor: User) -> None:
    """Each save publishes an event, and no writer finds the database locked."""
    mueble(autor, ancho=0).save()

    def widen() -> None:
        for _ in range(5):
            piece = Mueble.objects.get()
            piece.ancho = F("ancho") + 1
            piece.save(update_fields=["ancho"])

    with capture_events() as events, ThreadPoolExecutor(4) as pool:
        for writer in [pool.submit(in_own_connection(widen)) for _ in range(4)]:
            writer.result(TIMEOUT)
    assert [event["furniture"]["ancho"] for event in events] == list(range(1, 21))


@on_servers
def test_a_late_commit_is_read_from_the_outbox(autor: User, database: str) -> None:
    """The outbox is read from its start, so a row before an earlier read one is found."""
    with transaction.atomic():
        mueble(autor, nombre="late").save()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_own_connection(mueble(autor, nombre="early").save)).result(TIMEOUT)
            seen = pool.submit(lambda: [row.pk for row in outbox.waiting("default")])
            (early,) = seen.result(TIMEOUT)
            pool.submit(connections.close_all).result(TIMEOUT)
    late, last = outbox.waiting("default")
    assert (late.pk < early, last.pk) == (True, early)


@on_servers
def test_the_outbox_is_drained_while_a_transaction_is_open(autor: User, database: str) -> None:
    """The relay waits for no row that is not committed yet, whatever it deletes."""
    for _ in range(3):
        mueble(autor).save()

    def drain() -> None:
        outbox.delete(outbox.oldest("default", 10, 10_000), "default")

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        mueble(autor, nombre="late").save()
        pool.submit(in_own_connection(drain)).result(TIMEOUT)
    assert [row.furniture_id for row in outbox.waiting("default")] == [
        str(Mueble.objects.get(nombre="late").pk)
    ]


def test_each_database_has_its_own_outbox(autor: User, other_site: str) -> None:
    """A change with ``using=`` is published in that database, in its transaction."""
    author = User.objects.db_manager(other_site).create_user("ana")
    with capture_events() as here_events, capture_events(other_site) as events:
        with transaction.atomic():
            piece = mueble(author)
            piece.save(using=other_site)
            transaction.set_rollback(True)  # of the default database
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=other_site):
            mueble(author).save(using=other_site)
            raise ZeroDivisionError
        publish("furniture_updated", piece)  # in the database of its save
        bulk.update(Mueble.objects.using(other_site), material="pino")
        bulk.bulk_create(Mueble.objects.using(other_site), [mueble(author, nombre="Silla")])
        piece.delete()
    assert summaries(events, "nombre", "material", "autor_username") == [
        ("created", "Mesa", "roble", "ana"),
        ("updated", "Mesa", "roble", "ana"),
        ("updated", "Mesa", "pino", "ana"),
        ("created", "Silla", "roble", "ana"),
        ("deleted", "Mesa", "pino", "ana"),
    ]
    assert here_events == []


@on_postgres
def test_a_row_that_refers_to_a_locked_piece_can_be_written(autor: User, database: str) -> None:
    """A save locks its row like an UPDATE, and no stronger."""
    piece = mueble(autor)
    piece.save()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        piece.save()
        pool.submit(in_own_connection(lambda: Nota.objects.create(mueble=piece))).result(TIMEOUT)


@on_servers
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda piece: piece.delete(), "deleted"),
        (lambda piece: bulk.bulk_update(Mueble.objects, [piece], ["altura"]), "updated"),
        (lambda piece: publish("furniture_updated", piece), "updated"),
    ],
)
def test_a_change_that_waited_for_a_row_sees_its_new_author(
    piece: Mueble, database: str, change: Callable[[Mueble], object], expected: str
) -> None:
    """A row that another transaction gives to another author is found after the wait."""
    stale = Mueble.objects.get()
    stale.altura = Decimal(9)
    piece.autor = User.objects.create_user("ana")
    with capture_events() as events:
        race(piece.save, lambda: change(stale))
    assert summaries(events, "autor_username") == [("updated", "ana"), (expected, "ana")]
