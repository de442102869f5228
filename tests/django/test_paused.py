"""In a block of ``paused`` nothing is published."""

from __future__ import annotations

from threading import Thread

from django.contrib.auth.models import User
from django.db import connection
from furniture_events.django import bulk, paused, publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries


def change_everything(autor: User) -> None:
    """Create, update and delete pieces in each way that publishes."""
    row = mueble(autor)
    row.save()
    row.nombre = "Otra"
    row.save()
    publish("furniture_updated", row)
    bulk.bulk_create(Mueble.objects, [mueble(autor)])
    bulk.update(Mueble.objects, ancho=5)
    bulk.publish_created(Mueble.objects)
    row.delete()
    Mueble.objects.all().delete()


def test_a_pause_publishes_nothing(autor: User) -> None:
    """Neither to the outbox nor in direct mode. Afterwards everything is published again."""
    for mode in ("outbox", "direct"):
        with override_setting(MODE=mode), capture_events() as events:
            with paused():
                change_everything(autor)
            assert events == []
            mueble(autor, nombre="despues").save()
        assert summaries(events, "nombre") == [("created", "despues")]


def test_a_pause_reads_and_locks_nothing(autor: User) -> None:
    """An import is as fast as without the app."""
    row = mueble(autor)
    row.save()
    row.nombre = "Otra"
    with paused(), connection.execute_wrapper(_fail_on_select):
        row.save()
        row.save(update_fields=["nombre"])


def _fail_on_select(execute: object, sql: str, *arguments: object) -> object:
    assert not sql.startswith("SELECT"), sql
    return execute(sql, *arguments)  # type: ignore[operator]


def test_a_pause_belongs_to_its_thread(autor: User) -> None:
    """Requests in other threads publish."""

    def save() -> None:
        mueble(autor, nombre="hilo").save()
        connection.close()

    with paused():
        thread = Thread(target=save)
        thread.start()
        thread.join()
    assert [row.event.count("hilo") for row in OutboxEvent.objects.all()] == [1]


def test_pauses_can_be_nested(autor: User) -> None:
    """The outer one lasts."""
    with capture_events() as events, paused():
        with paused():
            mueble(autor).save()
        mueble(autor).save()
    assert events == []
