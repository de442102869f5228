"""A mapping function reads from the database that was written, and not from a replica."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import override_settings
from furniture_events.django import bulk, publish
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Lampara
from tests.django.pieces import summaries
from tests.django.test_mapping import VALUES


class Replicas:
    """A router that writes to one database and reads from the other."""

    def db_for_read(self, model: type[Model], **_: object) -> str:
        """Return the replica."""
        return "other"

    def db_for_write(self, model: type[Model], **_: object) -> str:
        """Return the primary database."""
        return "default"


class Users(Replicas):
    """A router that has the users in a database of their own."""

    def db_for_write(self, model: type[Model], **_: object) -> str:
        """Return the users' database."""
        return "other" if model is User else "default"


@pytest.mark.parametrize("replica", [[], ["old"]])
def test_a_function_reads_related_rows_from_the_primary_database(
    autor: User, other_site: str, replica: list[str]
) -> None:
    """In a replica, the author may be missing, or have a former name."""
    for username in replica:
        User(pk=autor.pk, username=username).save(using=other_site)
    with override_settings(DATABASE_ROUTERS=[Replicas()]), capture_events() as events:
        lamp = Lampara.objects.create(**VALUES, vatios=40, autor=autor)
        lamp.material = "pino"
        lamp.save()
        bulk.update(Lampara.objects.using("default"), material="haya")
        publish("furniture_updated", lamp)
        assert User.objects.db == other_site, "other reads are the site's business"
        Lampara.objects.using("default").delete()
    assert summaries(events, "autor_username", "material") == [
        ("created", "juan", "roble"),
        ("updated", "juan", "pino"),
        ("updated", "juan", "haya"),
        ("updated", "juan", "haya"),
        ("deleted", "juan", "haya"),
    ]


def lamp_by_id(autor: User) -> dict[str, Any]:
    """Return the values of a lamp that knows only its author's key."""
    return {**VALUES, "vatios": 40, "autor_id": autor.pk}


def test_a_function_reads_a_model_of_another_database_there(autor: User, other_site: str) -> None:
    """The router for writes says where a model is."""
    User.objects.using(other_site).create(pk=autor.pk, username="ana")
    with override_settings(DATABASE_ROUTERS=[Users()]), capture_events() as events:
        Lampara(**lamp_by_id(autor)).save()
    assert summaries(events, "autor_username") == [("created", "ana")]


def test_a_function_reads_from_the_database_that_a_save_names(other_site: str) -> None:
    """Even if the router has another one for writes."""
    author = User.objects.db_manager(other_site).create_user("ana")
    routers = [type("Replica", (Replicas,), {"db_for_read": lambda *_, **__: "default"})()]
    with override_settings(DATABASE_ROUTERS=routers), capture_events(other_site) as events:
        Lampara(**lamp_by_id(author)).save(using=other_site)
    assert summaries(events, "autor_username") == [("created", "ana")]
