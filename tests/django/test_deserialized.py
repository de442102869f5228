"""Objects that a serializer has read are published when they are saved; fixtures are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reversion
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.test import Client, override_settings
from django.urls import path
from furniture_events.django.testing import capture_events
from reversion.admin import VersionAdmin
from reversion.models import Version

from tests.django.catalog.models import Armario, Lampara, Mueble, Sofa
from tests.django.databases import smoke
from tests.django.pieces import mueble, summaries
from tests.django.test_admin import form, send
from tests.django.test_mapping import VALUES
from tests.django.test_saving import receiving

pytestmark = smoke

site = AdminSite(name="admin")
site.register(Mueble, VersionAdmin)
urlpatterns = [path("admin/", site.urls)]
PAGES = "/admin/catalog/mueble/"


def deserialized(*pieces: Any) -> list[Any]:
    """Return what a serializer reads from the pieces' text."""
    return list(serializers.deserialize("json", serializers.serialize("json", pieces)))


def test_a_deserialized_save_is_published(piece: Mueble) -> None:
    """Its row and its event are one transaction."""
    (former,) = deserialized(piece)
    piece.material = "pino"
    piece.save()
    with capture_events() as events:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            former.save()
            raise ZeroDivisionError
        former.save()
        former.save()
    assert summaries(events, "material") == [("updated", "roble")]
    piece.delete()
    with capture_events() as events:
        former.save()
    assert summaries(events, "material") == [("created", "roble")]


def test_a_deserialized_save_that_fails_writes_nothing(autor: User) -> None:
    """Without an open transaction, too: its function raises, so the row is not committed."""
    (former,) = deserialized(Lampara(**{**VALUES, "nombre": ""}, vatios=1, autor=autor, pk=1))
    with capture_events() as events, pytest.raises(ValueError, match="a lamp has no name"):
        former.save()
    assert (events, Lampara.objects.count()) == ([], 0)


def test_a_deserialized_child_is_an_update_of_its_parent(autor: User) -> None:
    """Such a save writes only the child's own table."""
    sofa = Sofa.objects.create(**VALUES, autor=autor)
    parent, child = deserialized(Mueble.objects.get(), sofa)
    sofa.delete()
    with capture_events() as events:
        parent.save()
        child.save()
    assert [(event["type"], event["furniture"].get("plazas")) for event in events] == [
        ("furniture_created", None),
        ("furniture_updated", 2),
    ]


def test_a_deserialized_object_has_its_relations(autor: User) -> None:
    """They are written in the same save, which publishes one event."""
    armario = Armario.objects.create(**VALUES, autor=autor)
    armario.acabados.create(nombre="mate")
    (former,) = deserialized(armario)
    armario.acabados.clear()
    with capture_events() as events:
        former.save()
    assert summaries(events, "acabados") == [("updated", ["mate"])]


def test_fixtures_are_not_published(piece: Mueble, tmp_path: Path) -> None:
    """Their rows have no order. Test cases load the rows of migrations in the same way."""
    fixture = tmp_path / "pieces.json"
    fixture.write_text(serializers.serialize("json", [piece, piece.autor]))
    piece.delete()
    with capture_events() as events:
        call_command("loaddata", str(fixture), verbosity=0)
        Mueble.objects.all()._raw_delete("default")
        connection.creation.deserialize_db_from_string(fixture.read_text())
    assert (events, Mueble.objects.count()) == ([], 1)


def test_a_receivers_save_while_a_fixture_is_loaded_is_published(
    piece: Mueble, tmp_path: Path
) -> None:
    """It is a save like any other."""
    other = mueble(piece.autor, nombre="Silla")
    fixture = tmp_path / "piece.json"
    fixture.write_text(serializers.serialize("json", [piece]))
    with receiving(post_save, lambda _: other.save()), capture_events() as events:
        call_command("loaddata", str(fixture), verbosity=0)
    assert summaries(events, "nombre") == [("created", "Silla")]


@pytest.fixture
def versions(piece: Mueble) -> list[Version]:
    """Return a version of the piece, whose material has changed since."""
    with reversion.create_revision():
        piece.save()
    piece.material = "pino"
    piece.save()
    return list(Version.objects.get_for_model(Mueble))


def test_a_revert_is_published_as_updated(versions: list[Version]) -> None:
    """A version of the same values publishes nothing."""
    with capture_events() as events:
        versions[0].revision.revert()
        versions[0].revert()
    assert summaries(events, "material") == [("updated", "roble")]


def test_a_recovered_piece_is_published_as_created(piece: Mueble, versions: list[Version]) -> None:
    """The row was deleted, and comes back with its former key."""
    key = str(piece.pk)
    piece.delete()
    with capture_events() as events:
        versions[0].revision.revert()
    assert summaries(events, "furniture_id", "material") == [("created", key, "roble")]


@pytest.mark.parametrize("first", ["piece", "author"])
def test_a_piece_that_is_recovered_with_its_author_is_published(piece: Mueble, first: str) -> None:
    """Whichever comes first: the database checks foreign keys at the end of the transaction."""
    author = piece.autor
    reversion.register(User)
    try:
        with reversion.create_revision():
            for each in [author, piece] if first == "piece" else [piece, author]:
                each.save()
        author.delete()
        with capture_events() as events:
            Version.objects.get_for_model(Mueble).get().revision.revert()
    finally:
        reversion.unregister(User)
    assert summaries(events, "autor_username") == [("created", "juan")]


@override_settings(ROOT_URLCONF=__name__)
def test_a_revert_and_a_recovery_in_the_admin_are_published(
    piece: Mueble, versions: list[Version]
) -> None:
    """The admin writes the former version, and then saves its form, which changes nothing."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    key, values = piece.pk, form(piece.autor, altura="75.50", ancho="120.00")
    with capture_events() as events:
        assert client.get(f"{PAGES}{key}/history/{versions[0].pk}/").status_code == 200
    assert events == []
    with capture_events() as events:
        send(client, f"{PAGES}{key}/history/{versions[0].pk}/", values)
    assert summaries(events, "material") == [("updated", "roble")]
    Mueble.objects.get().delete()
    with capture_events() as events:
        send(client, f"{PAGES}recover/{versions[0].pk}/", values)
    assert summaries(events, "furniture_id", "material") == [("created", str(key), "roble")]


def test_a_raw_save_is_published(autor: User) -> None:
    """Only fixtures are not."""
    with capture_events() as events:
        mueble(autor).save_base(raw=True)
    assert summaries(events) == [("created",)]
