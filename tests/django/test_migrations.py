"""A migration that saves rows of a mapped model needs the outbox's migration."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from furniture_events.django import outbox, publish, revoke
from furniture_events.django.models import OutboxEvent, OutboxRevocation
from furniture_events.django.outbox import _LAST_MIGRATION

from tests.django.catalog.models import Mueble
from tests.django.databases import smoke
from tests.django.pieces import mueble
from tests.django.relays import site_environment
from tests.django.test_publishing import FURNITURE
from tests.support.server import ROOT, TIMEOUT, python_path

SETTINGS = """
from tests.django.settings import *

INSTALLED_APPS = ["furniture_events.django", "almacen"]
ROOT_URLCONF = "furniture_events.django.urls"
FURNITURE_EVENTS |= {"MODELS": {"almacen.Caja": {}}, "RELATED": {}}
"""

MODELS = """
from django.db import models


class Caja(models.Model):
    nombre = models.TextField()
    descripcion = models.TextField()
    material = models.TextField()
    autor_username = models.TextField()
    altura = models.IntegerField()
    ancho = models.IntegerField()
"""

INITIAL = """
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Caja",
            [
                ("id", models.BigAutoField(primary_key=True)),
                *((name, models.TextField()) for name in ("nombre", "descripcion", "material")),
                ("autor_username", models.TextField()),
                *((name, models.IntegerField()) for name in ("altura", "ancho")),
            ],
        )
    ]
"""

MIGRATION = """
from django.db import migrations


def create(apps, schema_editor):
    from almacen.models import Caja

    Caja.objects.create(nombre="a", material="b", autor_username="c", altura=1, ancho=1)


class Migration(migrations.Migration):
    dependencies = [("almacen", "0001_initial"), %s]
    operations = [migrations.RunPython(create)]
"""


def site_with(dependency: str, folder: Path) -> None:
    """Write a site whose second migration saves a piece."""
    app = folder / "almacen"
    (app / "migrations").mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "models.py").write_text(MODELS)
    (app / "migrations" / "__init__.py").touch()
    (app / "migrations" / "0001_initial.py").write_text(INITIAL)
    (app / "migrations" / "0002_caja.py").write_text(MIGRATION % dependency)
    (folder / "store_settings.py").write_text(SETTINGS)


def manage(
    folder: Path, database: dict[str, object], *command: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the site."""
    return subprocess.run(
        [sys.executable, "-m", "django", *command],
        env=site_environment(database)
        | {"DJANGO_SETTINGS_MODULE": "store_settings", "PYTHONPATH": python_path(folder, ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )


def test_a_migration_without_the_dependency_says_what_is_missing(
    fresh: dict[str, object], tmp_path: Path
) -> None:
    """The error names the dependency, and nothing hides it."""
    site_with("", tmp_path)
    done = manage(tmp_path, fresh, "migrate")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: There is no outbox on the database 'default' "
        "yet, or only an earlier version of it: run manage.py migrate. If a migration saves rows "
        f"of mapped models, add ('furniture_events', '{_LAST_MIGRATION}') to its dependencies."
    )


@smoke
def test_a_migration_with_the_dependency_publishes(
    fresh: dict[str, object], tmp_path: Path
) -> None:
    """Its event waits in the outbox."""
    site_with(f'("furniture_events", "{_LAST_MIGRATION}")', tmp_path)
    done = manage(tmp_path, fresh, "migrate")
    assert done.returncode == 0, done.stderr
    status = manage(tmp_path, fresh, "relay_furniture_events", "--status")
    assert status.stdout.startswith("waiting=1 "), status.stderr


def test_the_named_migration_is_the_last_one() -> None:
    """A new migration of the outbox has to be named, too."""
    leaves = MigrationLoader(None).graph.leaf_nodes("furniture_events")
    assert leaves == [("furniture_events", _LAST_MIGRATION)]


@pytest.fixture
def no_outbox(db: None) -> Iterator[None]:
    """Let the database have no outbox."""
    tables = [model._meta.db_table for model in (OutboxEvent, OutboxRevocation)]

    def rename(prefix: str, to: str) -> None:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE {prefix}{table} RENAME TO {to}{table}")

    rename("", "no_")
    yield
    rename("no_", "")


@smoke
def test_a_database_without_an_outbox_is_named(autor: User, no_outbox: None) -> None:
    """By each way to write into the outbox. The row is rolled back."""
    for work in (
        lambda: mueble(autor).save(),
        lambda: publish("furniture_created", FURNITURE),
        lambda: revoke(autor),
    ):
        with pytest.raises(ImproperlyConfigured, match="no outbox on the database 'default' yet"):
            work()
    assert not Mueble.objects.exists()


@pytest.fixture
def earlier_outbox(db: None) -> Iterator[None]:
    """Let the outbox be that of the version before tracing."""
    table = OutboxEvent._meta.db_table

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} {statement}")

    execute("RENAME COLUMN traceparent TO later")
    yield
    execute("RENAME COLUMN later TO traceparent")


@smoke
def test_an_outbox_of_an_earlier_version_is_named(autor: User, earlier_outbox: None) -> None:
    """By a save, whose row is rolled back, and by the relay."""
    with pytest.raises(ImproperlyConfigured, match="only an earlier version of it: run"):
        mueble(autor).save()
    assert not Mueble.objects.exists()
    with pytest.raises(CommandError, match="there is no outbox on"):
        call_command("relay_furniture_events", "--once")


@smoke
def test_a_site_of_the_version_before_tracing_writes_into_the_new_outbox(db: None) -> None:
    """During an upgrade it still runs after the migration. It does not know the new column."""
    table = OutboxEvent._meta.db_table
    row = ("furniture_created", "1", "{}", "2026-01-31 08:00:00", "")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (type, furniture_id, event, created_at, error) "
            "VALUES (%s, %s, %s, %s, %s)",
            row,
        )
    (found,) = outbox.oldest("default", 1, 1)
    assert (found.furniture_id, found.traceparent) == ("1", None)
