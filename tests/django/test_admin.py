"""Changes in the admin are published, and the admin shows refused events."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.urls import path
from furniture_events.django import publish
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Armario, Destacado, Mueble
from tests.django.databases import smoke
from tests.django.pieces import mueble, summaries
from tests.django.test_mapping import VALUES
from tests.django.test_publishing import FURNITURE
from tests.django.test_saving import pieza

site = AdminSite(name="admin")
site.register([Mueble, Destacado, User])
urlpatterns = [path("admin/", site.urls)]

LIST = "/admin/furniture_events/outboxevent/"


@pytest.fixture
def client(db: None) -> Client:
    """Return a browser in which an administrator is signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def form(autor: User, **changes: object) -> dict[str, Any]:
    """Return the values of a piece's form."""
    values = {"nombre": "Mesa", "altura": "1.50", "ancho": "2", "material": "roble"}
    return {**values, "descripcion": "", "notas": "", "autor": autor.pk, **changes}


def send(client: Client, url: str, data: dict[str, Any]) -> None:
    """Send a form, which the admin answers with a redirect."""
    answer = client.post(url, data)
    assert answer.status_code == 302, answer.content.decode()


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize("model", ["mueble", "destacado"])
def test_changes_in_the_admin_are_published(client: Client, autor: User, model: str) -> None:
    """Also on a proxy's pages. A form that is sent unchanged publishes nothing."""
    pages = f"/admin/catalog/{model}/"
    with capture_events() as events:
        send(client, f"{pages}add/", form(autor))
        page = f"{pages}{Mueble.objects.get().pk}/"
        send(client, f"{page}change/", form(autor))
        send(client, f"{page}change/", form(autor, notas="rayada"))
        send(client, f"{page}change/", form(autor, material="pino"))
        send(client, f"{page}delete/", {"post": "yes"})
    assert summaries(events, "material", "altura") == [
        ("created", "roble", 1.5),
        ("updated", "pino", 1.5),
        ("deleted", "pino", 1.5),
    ]


@override_settings(ROOT_URLCONF=__name__)
def test_a_delete_of_several_pieces_is_published(client: Client, autor: User) -> None:
    """By the list's action, and by deleting an author, which deletes the author's pieces."""
    pieces = [mueble(autor, nombre=nombre) for nombre in "abc"]
    for piece in pieces:
        piece.save()
    chosen = {"action": "delete_selected", "_selected_action": [each.pk for each in pieces[:2]]}
    with capture_events() as events:
        send(client, "/admin/catalog/mueble/", {**chosen, "post": "yes"})
        send(client, f"/admin/auth/user/{autor.pk}/delete/", {"post": "yes"})
    assert sorted(summaries(events, "nombre")) == [
        ("deleted", "a"),
        ("deleted", "b"),
        ("deleted", "c"),
    ]


@pytest.fixture
def refused(db: None) -> OutboxEvent:
    """Return a refused event, with a waiting event beside it in the outbox."""
    publish("furniture_created", {**FURNITURE, "furniture_id": "x-bad"})
    publish("furniture_created", {**FURNITURE, "furniture_id": "x-good"})
    row = OutboxEvent.objects.get(furniture_id="x-bad")
    row.error = "furniture.altura: must be above 0"
    row.save()
    return row


def test_refused_events_are_shown_with_their_error(client: Client, refused: OutboxEvent) -> None:
    """The list can be filtered by state, and a row's page shows the whole event."""
    everything = client.get(LIST).content.decode()
    assert refused.error in everything
    assert "x-good" in everything
    only_refused = client.get(LIST, {"state": "refused"}).content.decode()
    assert ("x-bad" in only_refused, "x-good" in only_refused) == (True, False)
    only_waiting = client.get(LIST, {"state": "waiting"}).content.decode()
    assert ("x-bad" in only_waiting, "x-good" in only_waiting) == (False, True)
    assert "autor_username" in client.get(f"{LIST}{refused.pk}/change/").content.decode()
    assert "x-bad" in client.get(LIST, {"q": "x-bad"}).content.decode()


@smoke
def test_retrying_lets_refused_events_wait_again(client: Client, refused: OutboxEvent) -> None:
    """They keep their place and their id. Events that wait already are not counted."""
    rows = list(OutboxEvent.objects.values_list("pk", "event"))
    chosen = {"action": "retry", "_selected_action": [pk for pk, _ in rows]}
    answer = client.post(LIST, chosen, follow=True)
    assert "1 refused rows wait again." in answer.content.decode()
    assert not OutboxEvent.objects.exclude(error="").exists()
    assert list(OutboxEvent.objects.values_list("pk", "event")) == rows


def publish_as_now(client: Client, *rows: OutboxEvent) -> str:
    """Choose the action for these rows; return the page that comes then."""
    chosen = {"action": "publish_as_now", "_selected_action": [row.pk for row in rows]}
    return client.post(LIST, chosen, follow=True).content.decode()


def refuse_all() -> list[OutboxEvent]:
    """Let the broker have refused all events; return them."""
    OutboxEvent.objects.update(error="id_conflict")
    return list(OutboxEvent.objects.all())


@smoke
def test_a_refused_piece_is_published_as_it_is_now(client: Client, autor: User) -> None:
    """A save publishes nothing, because nothing has changed. The action replaces the events."""
    piece = mueble(autor)
    piece.save()
    piece.material = "pino"
    piece.save()
    rows = refuse_all()
    with capture_events() as events:
        piece.save()
    assert events == []
    with capture_events() as events:
        page = publish_as_now(client, *rows)
    assert "1 pieces are published as they are now." in page
    assert summaries(events, "furniture_id", "material") == [("created", str(piece.pk), "pino")]
    assert not OutboxEvent.objects.exclude(error="").exists()


@smoke
def test_refused_pieces_of_every_mapping_are_published_as_they_are_now(
    client: Client, autor: User
) -> None:
    """By another field than the key, and by a key to which a function adds a prefix."""
    wardrobe = Armario.objects.create(**VALUES, autor=autor)
    piece = pieza(autor)
    piece.save()
    OutboxEvent.objects.all().delete()
    publish("furniture_updated", wardrobe)
    publish("furniture_updated", piece)
    rows = refuse_all()
    with capture_events() as events:
        publish_as_now(client, *rows)
    assert summaries(events, "furniture_id") == [
        ("updated", f"armario-{wardrobe.pk}"),
        ("updated", str(piece.pk)),
    ]


@smoke
def test_a_refused_piece_is_found_by_its_very_id(client: Client, autor: User) -> None:
    """Another piece may have the same id in capitals, which to MariaDB is the same text."""
    wardrobe = Armario.objects.create(**VALUES, autor=autor)
    id = f"armario-{wardrobe.pk}"
    publish("furniture_updated", {**FURNITURE, "furniture_id": id.upper()})
    page = publish_as_now(client, *refuse_all())
    assert f"These pieces have no row that can be published: {id.upper()}." in page
    refused = OutboxEvent.objects.exclude(error="")
    assert [row.furniture_id for row in refused] == [id.upper()]


@smoke
def test_a_refused_piece_without_a_row_stays(
    client: Client, autor: User, refused: OutboxEvent
) -> None:
    """So does an event of a deletion, and an event that waits."""
    piece = mueble(autor)
    piece.save()
    publish("furniture_deleted", piece)
    OutboxEvent.objects.filter(type="furniture_deleted").update(error="no")
    before = list(OutboxEvent.objects.values_list("pk", "error"))
    page = publish_as_now(client, *OutboxEvent.objects.all())
    assert "These pieces have no row that can be published: x-bad." in page
    assert list(OutboxEvent.objects.values_list("pk", "error")) == before


def test_refused_events_are_deleted_together(client: Client, refused: OutboxEvent) -> None:
    """Django's own action deletes all refused events of the filtered list."""
    refused_only = f"{LIST}?state=refused"
    chosen = {"action": "delete_selected", "select_across": "1", "_selected_action": [refused.pk]}
    send(client, refused_only, {**chosen, "post": "yes"})
    assert [row.furniture_id for row in OutboxEvent.objects.all()] == ["x-good"]


def test_events_are_neither_added_nor_changed_by_hand(client: Client, refused: OutboxEvent) -> None:
    """They can only be deleted."""
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{refused.pk}/change/", {"event": "{}"}).status_code == 403
    send(client, f"{LIST}{refused.pk}/delete/", {"post": "yes"})
    assert [row.furniture_id for row in OutboxEvent.objects.all()] == ["x-good"]


def test_a_user_who_may_only_view_cannot_retry(refused: OutboxEvent) -> None:
    """A retry needs the permission to delete."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_outboxevent"))
    client = Client()
    client.force_login(user)
    assert client.get(LIST).status_code == 200
    client.post(LIST, {"action": "retry", "_selected_action": [refused.pk]})
    refused.refresh_from_db()
    assert refused.error != ""
