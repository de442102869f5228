"""A Django site in this process. ``databases.py`` says on which databases each test runs."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest

from tests.django.site_process import use_database  # isort: skip - it sets up Django

from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, connections
from furniture_events.django.wakeups import _socket_path

from tests.django.catalog.models import Mueble
from tests.django.databases import kinds_for
from tests.django.kills.options import reports
from tests.django.pieces import mueble
from tests.django.relays import Relay, site_environment
from tests.support.mariadb import MariaDB
from tests.support.parallel import add_section
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL that all tests share."""
    running = Postgres()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Run a MariaDB that all tests share."""
    running = MariaDB()
    running.start()
    yield running
    running.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on its kinds of databases."""
    if kinds := kinds_for(metafunc.definition):
        metafunc.parametrize("database", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def site_databases() -> dict[str, dict[str, Any]]:
    """Return the databases with the site's tables, by kind. ``database`` makes them."""
    return {}


@pytest.fixture(scope="session")
def database(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    site_databases: dict[str, dict[str, Any]],
) -> Iterator[str]:
    """Make the default database one of this kind, with the site's tables; return its kind.

    Its tables are created once. ``db`` empties them after each test.
    """
    kind: str = request.param
    before = dict(connections.settings["default"])
    if kind in site_databases:
        use_database(site_databases[kind])
    else:
        site_databases[kind] = _new_database(kind, request, tmp_path_factory.mktemp("site"))
        use_database(site_databases[kind])
        _migrate("default")
    yield kind
    use_database(before)


@pytest.fixture
def fresh(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return the entry of DATABASES for another database of this kind, without any table."""
    return _new_database(database, request, tmp_path)


def _new_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    if kind == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "site.db")}
    server: Postgres | MariaDB = request.getfixturevalue(kind)
    return server.create(f"site_{uuid.uuid4().hex}")


def _migrate(alias: str) -> None:
    """Create the site's tables in a database."""
    call_command("migrate", verbosity=0, database=alias)
    # The catalog, which refers to users.
    call_command("migrate", verbosity=0, database=alias, run_syncdb=True)


@pytest.fixture
def other(db: None, tmp_path: Path) -> Iterator[str]:
    """Return the alias of a second database, an empty SQLite."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "other.db")}
    connections.settings["other"] = connections.configure_settings(
        {"default": {}, "other": database}
    )["other"]
    yield "other"
    connections["other"].close()
    del connections["other"], connections.settings["other"]


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of an SQLite file with the site's tables, once ``other_site`` made it."""
    return tmp_path_factory.mktemp("empty") / "site.db"


@pytest.fixture
def other_site(other: str, empty_site: Path) -> str:
    """Return the alias of a second database, with the site's tables."""
    file = connections[other].settings_dict["NAME"]
    if empty_site.exists():
        shutil.copy(empty_site, file)
    else:
        _migrate(other)
        connections[other].close()
        shutil.copy(file, empty_site)
    return other


@pytest.fixture(autouse=True)
def db(database: str) -> Iterator[None]:
    """Give each test empty tables. A test's commits are real commits."""
    yield
    assert not connection.in_atomic_block
    tables = [
        model._meta.db_table
        for model in apps.get_models()
        if model._meta.app_label in _OURS and model is not Permission  # migrate creates them
    ]
    connection.ops.execute_sql_flush(
        connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
    )


_OURS = {"catalog", "showroom", "furniture_events", "auth", "sessions", "admin", "reversion"}


@pytest.fixture
def autor(db: None) -> User:
    """Return a user who is an author of furniture."""
    return User.objects.create_user("juan")


@pytest.fixture
def piece(autor: User) -> Mueble:
    """Return a piece that is in the database."""
    saved = mueble(autor)
    saved.save()
    return saved


@pytest.fixture
def start_relay(db: None) -> Iterator[Callable[..., Relay]]:
    """Return a function that starts relays of the test's database.

    It takes the command's options, and keys of the setting.
    """
    relays: list[Relay] = []

    def start(*options: str, **setting: object) -> Relay:
        database = connection.settings_dict
        relays.append(Relay(*options, environment=site_environment(database, **setting)))
        return relays[-1]

    yield start
    for relay in relays:
        relay.kill()
    Path(_socket_path("default")).unlink(missing_ok=True)  # left by a killed relay


@pytest.fixture
def broker() -> Iterator[loopback.Broker]:
    """Return a broker whose answers a test can script."""
    running = loopback.Broker()
    yield running
    running.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Show the reports of the runs that kill relays."""
    if reports:
        add_section(session.config, "relays killed", reports)
