"""Each mistake in the setting has its check, and none of them stops the site from starting."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, registry, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from django.test import override_settings
from furniture_events.django.checks import check_deployment, check_outbox, check_setting
from furniture_events.django.conf import Config, config
from furniture_events.django.related import watch

from tests.django.databases import on_mariadb, on_sqlite
from tests.django.overrides import override_setting
from tests.django.relays import Relay, site_environment
from tests.support.server import ROOT, TIMEOUT, python_path

AUTHOR = {"autor_username": "autor__username"}


def only(found: list[CheckMessage]) -> tuple[str, str, str]:
    """Return the short id, the message and the hint of the only finding."""
    (finding,) = found
    return str(finding.id).removeprefix("furniture_events."), finding.msg, str(finding.hint)


def without(name: str) -> override_settings:
    """Remove a key from the setting."""
    rest = {key: value for key, value in settings.FURNITURE_EVENTS.items() if key != name}
    return override_settings(FURNITURE_EVENTS=rest)


def test_a_correct_setting_has_no_findings() -> None:
    """Neither the test site's setting nor one with every key has a finding."""
    complete = override_setting(
        KEY=None,
        MODE="direct",
        WAKE="poll",
        WAKE_SOCKET="/" + "é" * 51,
        TIMEOUT=1,
        DIRECT_TIMEOUT=0.5,
        BATCH_EVENTS=1,
        BATCH_BYTES=1,
        PUBLIC_URL="https://broker.example",
        TOKEN_SECRET="x" * 32,
        TOKEN_SECONDS=settings.SESSION_COOKIE_AGE,
        TOKEN_ROOMS="tests.django.test_page.rooms_of",
        TOKEN_ISSUER="https://site.example",
        TOKEN_AUDIENCE="catalogue",
        REVOKE_ON=[],
    )
    with complete:
        assert (check_setting(), config().timeout) == ([], 1)
    assert (check_setting(), check_outbox(databases=["default"])) == ([], [])
    assert {check_setting, check_outbox} <= registry.registry.registered_checks


@pytest.mark.parametrize("nonsense", [None, "http://127.0.0.1:8765", []])
def test_a_missing_setting_is_found(nonsense: object) -> None:
    """E001, also if the setting is no dict."""
    with override_settings(FURNITURE_EVENTS=nonsense):
        id, message, hint = only(check_setting())
    assert (id, message) == ("E001", "FURNITURE_EVENTS is missing.")
    assert hint == "Set it to a dict with URL, KEY and MODELS."


@pytest.mark.parametrize(
    ("name", "id", "hint"),
    [("URL", "E001", "http://127.0.0.1:8765"), ("KEY", "E002", "SIO_PRODUCER_KEYS")],
)
def test_a_missing_required_key_is_found(name: str, id: str, hint: str) -> None:
    """E001 and E002; ``config`` fails with the same problem."""
    with without(name):
        found = only(check_setting())
        with pytest.raises(ImproperlyConfigured, match=f"has no {name}"):
            config()
    assert found[0] == id
    assert hint in found[2]


@pytest.mark.parametrize(
    ("name", "value", "id", "hint"),
    [
        ("URL", "127.0.0.1:8765", "E001", "http:// or https://"),
        ("URL", None, "E001", "not a NoneType"),
        ("PUBLIC_URL", "", "E001", "http:// or https://"),
        ("PUBLIC_URL", "https://user@broker.example", "E001", "not in the URL"),
        ("KEY", "", "E002", "printable ASCII"),
        ("KEY", ["a"], "E002", "not a list"),
        ("URLS", "x", "E003", "Known are URL, KEY, MODELS"),
        (7, "x", "E003", "Known are URL, KEY, MODELS"),
        ("MODELS", ["catalog.Mueble"], "E003", "docs/django.md"),
        ("RELATED", ["catalog.Mueble"], "E003", "docs/django.md"),
        ("RELATED", {"auth.User": 1}, "E003", "docs/django.md"),
        ("RELATED", {"auth.User": ["mueble", None]}, "E003", "docs/django.md"),
        ("MODE", "fast", "E003", "docs/django.md"),
        ("MODE", ["direct"], "E003", "docs/django.md"),
        ("WAKE", None, "E003", "docs/django.md"),
        ("WAKE_SOCKET", "", "E003", "docs/django.md"),
        ("WAKE_SOCKET", "relay.sock", "E003", "docs/django.md"),
        ("WAKE_SOCKET", "/relay\0.sock", "E003", "docs/django.md"),
        ("WAKE_SOCKET", "/x" + "é" * 51, "E003", "docs/django.md"),
        ("WAKE_SOCKET", Path("/run/x"), "E003", "docs/django.md"),
        ("TOKEN_SECRET", b"x" * 32, "E003", "docs/django.md"),
        ("TOKEN_SECRET", "x" * 31, "E003", "docs/django.md"),
        ("TOKEN_ROOMS", "rooms_of", "E003", "docs/django.md"),
        ("TOKEN_ROOMS", print, "E003", "docs/django.md"),
        ("TOKEN_ISSUER", "", "E003", "docs/django.md"),
        ("TOKEN_AUDIENCE", 5, "E003", "docs/django.md"),
        ("REVOKE_ON", "logout", "E003", "docs/django.md"),
        ("REVOKE_ON", ["login"], "E003", "docs/django.md"),
        ("TOKEN_SECRET", "\ud800" * 32, "E003", "docs/django.md"),
        ("BATCH_EVENTS", 0, "E003", "docs/django.md"),
        ("BATCH_EVENTS", 1001, "E003", "docs/django.md"),
        ("BATCH_BYTES", 1.5, "E003", "docs/django.md"),
        ("BATCH_BYTES", True, "E003", "docs/django.md"),
        ("TIMEOUT", 0, "E003", "docs/django.md"),
        ("DIRECT_TIMEOUT", "1", "E003", "docs/django.md"),
        ("POLL_SECONDS", None, "E003", "docs/django.md"),
        ("BACKOFF_SECONDS", -1, "E003", "docs/django.md"),
        ("BACKOFF_MAX_SECONDS", float("inf"), "E003", "docs/django.md"),
        ("LEASE_SECONDS", float("nan"), "E003", "docs/django.md"),
        ("POSITION_SECONDS", True, "E003", "docs/django.md"),
        ("POSITION_TIMEOUT", 0, "E003", "docs/django.md"),
        ("TOKEN_SECONDS", -1, "E003", "docs/django.md"),
        ("TIMEOUT", 10**400, "E003", "docs/django.md"),
    ],
)
def test_an_invalid_value_is_found(name: Any, value: object, id: str, hint: str) -> None:
    """The finding names the key and never the value; ``config`` fails with the same problem."""
    with override_settings(FURNITURE_EVENTS={**settings.FURNITURE_EVENTS, name: value}):
        found = only(check_setting())
        with pytest.raises(ImproperlyConfigured) as failure:
            config()
    assert found[0] == id
    assert str(name) in found[1]
    assert hint in found[2]
    assert str(failure.value) == f"{found[1]} {found[2]}"


@pytest.mark.parametrize(
    "name", [each.name.upper() for each in dataclasses.fields(Config) if each.type is float]
)
def test_a_time_over_two_weeks_is_found(name: str) -> None:
    """E003 names the bound; two weeks exactly are valid."""
    with override_setting(**{name: 1_209_600}):
        assert check_setting() == []
    with override_setting(**{name: 1e300}):
        id, message, _ = only(check_setting())
    assert id == "E003"
    assert message.endswith("must be a number of seconds above 0, and 1209600 (two weeks) at most.")


@pytest.mark.parametrize(
    "flawed",
    [
        {"URL": "http://user:unspeakable@broker.example"},
        {"PUBLIC_URL": "http://unspeakable@broker.example"},
        {"KEY": "unspeakable "},
        {"KEY": b"unspeakable"},
        {"TOKEN_SECRET": "unspeakable"},
        {"TOKEN_SECERT": "unspeakable"},
    ],
)
def test_a_finding_holds_no_secret(flawed: dict[str, object]) -> None:
    """Neither the finding nor the error of ``config`` repeats a secret."""
    with override_setting(**flawed):
        (found,) = check_setting()
        with pytest.raises(ImproperlyConfigured) as failure:
            config()
    assert "unspeakable" not in f"{found} {failure.value}"


@pytest.mark.parametrize("label", ["catalog.Nothing", "nowhere.Mueble", "Mueble", "a.b.c"])
def test_a_model_that_does_not_exist_is_found(label: str) -> None:
    """E004 names the label, and shows no Python error."""
    with override_setting(MODELS={label: AUTHOR}):
        id, message, hint = only(check_setting())
    assert (id, label in message, "unpack" in message) == ("E004", True, False)
    assert hint == "Name it as in AUTH_USER_MODEL: app.Model."


def test_a_model_that_is_named_twice_is_found() -> None:
    """E004: Django accepts a model's name in any case, so two keys can name one model."""
    with override_setting(MODELS={"catalog.mueble": AUTHOR}):
        assert check_setting() == []
    with override_setting(MODELS={"catalog.mueble": AUTHOR, "catalog.Mueble": AUTHOR}):
        id, message, hint = only(check_setting())
    assert (id, hint) == ("E004", "Name each model once.")
    assert message == "FURNITURE_EVENTS['MODELS']['catalog.Mueble'] names catalog.Mueble again."


@pytest.mark.parametrize(
    "mapping",
    ["catalog.nothing", "tests.django.settings.MIDDLEWARE", {"a": 1}, "", ".", ".models.as_piece"],
)
def test_an_invalid_mapping_is_found(mapping: object) -> None:
    """E005 names the model."""
    with override_setting(MODELS={"catalog.Mueble": mapping}):
        id, message, hint = only(check_setting())
    assert (id, "'catalog.Mueble'" in message) == ("E005", True)
    assert hint == "Write a dict of lookups, or a function's dotted name."


@pytest.mark.parametrize(
    ("lookups", "name"),
    [
        ({}, "autor_username"),
        ({**AUTHOR, "nombre": "name"}, "nombre"),
        ({"autor_username": "autor__nickname"}, "autor_username"),
        ({**AUTHOR, "grupos": "autor__groups__name"}, "grupos"),
        ({**AUTHOR, "nombre": "nombre; --"}, "nombre"),
        ({**AUTHOR, "furniture_id": "number"}, "furniture_id"),
    ],
)
def test_a_lookup_that_leads_to_no_column_is_found(lookups: dict[str, str], name: str) -> None:
    """E006 names the field. A relation to many rows is not a column, either."""
    with override_setting(MODELS={"catalog.Mueble": lookups}):
        id, message, hint = only(check_setting())
    assert (id, f"{name} is not mapped" in message) == ("E006", True)
    assert hint == f"Map it, such as {{{name!r}: 'another_column'}}, or use a function."


@pytest.mark.parametrize(
    ("related", "reason"),
    [
        ({"auth.Nobody": "mueble"}, "there is no model 'auth.Nobody'"),
        ({"User": "mueble"}, "there is no model 'User'"),
        ({"auth.User": "mueble_set"}, "'mueble_set' is not a relation of auth.User"),
        ({"auth.User": ["mueble", "maker__"]}, "'maker__' is not a relation of auth.User"),
        ({"auth.User": ""}, "'' is not a relation of auth.User"),
        ({"auth.User": "username"}, "'username' is not a relation of auth.User"),
        ({"auth.User": "maker"}, "'maker' leads to catalog.Maker, which is not in MODELS"),
    ],
)
def test_a_related_model_that_leads_to_no_piece_is_found(
    related: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """E011 says why. The site starts, and logs the same."""
    with override_setting(RELATED=related):
        id, message, hint = only(check_setting())
        watch()
    assert (id, message.endswith(f"]: {reason}.")) == ("E011", True)
    assert "'coleccion__muebles'" in hint
    (record,) = caplog.records
    assert reason in record.getMessage()


def test_related_models_are_not_checked_beside_an_invalid_model() -> None:
    """Its own finding is enough."""
    mapped = {"catalog.Mueble": "catalog.nothing"}
    with override_setting(MODELS=mapped, RELATED={"auth.User": "mueble"}):
        assert only(check_setting())[0] == "E005"
    with override_setting(MODELS={"catalog.Mueble": AUTHOR}, RELATED={"auth.User": ("mueble",)}):
        assert check_setting() == []


def test_listening_without_postgresql_is_found(database: str) -> None:
    """E007 if no database can listen."""
    with override_setting(WAKE="listen"):
        found = check_setting()
    if database == "postgres":
        assert found == []
    else:
        id, _, hint = only(found)
        assert id == "E007"
        assert hint == (
            "It needs PostgreSQL with psycopg 3.2. 'socket' works with any database on one host."
        )


def test_a_token_that_outlives_the_session_is_found() -> None:
    """E008, also beside other findings. Without a secret there are no tokens."""
    nullable = {"catalog.Mueble": {**AUTHOR, "material": "autor__last_login"}}
    with override_settings(SESSION_COOKIE_AGE=299):
        assert check_setting() == []
        with override_setting(TOKEN_SECRET="x" * 32):
            id, _, hint = only(check_setting())
        with override_setting(TOKEN_SECRET="x" * 32, MODELS=nullable):
            assert {str(each.id)[-4:] for each in check_setting()} == {"E008", "W002"}
    assert id == "E008"
    assert hint == "A page's token would be valid for longer than its user's session."


@pytest.mark.parametrize("name", ["tests.django.test_page.nothing", "nowhere.rooms_of"])
def test_a_function_for_rooms_that_cannot_be_imported_is_found(name: str) -> None:
    """E009."""
    with override_setting(TOKEN_ROOMS=name):
        id, message, hint = only(check_setting())
    assert (id, "TOKEN_ROOMS" in message) == ("E009", True)
    assert hint == "Name a function that gets a user and returns a list of rooms."


def test_revocations_without_a_key_are_found() -> None:
    """W006, if there are tokens."""
    with override_setting(KEY=None):
        assert check_setting() == []
    with override_setting(KEY=None, TOKEN_SECRET="x" * 32):
        assert only(check_setting())[0] == "W006"


def test_an_outbox_that_is_not_migrated_is_found(other: str) -> None:
    """W001 for each checked database. Without ``--database`` no database is checked."""
    id, message, hint = only(check_outbox(databases=["default", other]))
    assert (id, "'other'" in message) == ("W001", True)
    with override_setting(MODE="direct"):
        assert check_outbox(databases=[other]) == []
    assert hint == "Run manage.py migrate --database other."
    call_command("migrate", "furniture_events", verbosity=0, database=other)
    assert check_outbox(databases=["default", other]) == []
    assert check_outbox() == []


def test_a_database_that_does_not_answer_is_found(other: str, tmp_path: Path) -> None:
    """W001 with the reason: it is unknown whether there is an outbox."""
    connections[other].settings_dict["NAME"] = str(tmp_path / "missing" / "site.db")
    id, message, hint = only(check_outbox(databases=[other]))
    assert (id, "'other'" in message) == ("W001", True)
    assert hint == "The database does not answer: unable to open database file"


class Catalog:
    """A router: the catalog has its own database, which allows no other app."""

    apps = ("catalog",)

    def db_for_write(self, model: type[Model], **_: object) -> str | None:
        """Return the database for writes."""
        return "other" if model._meta.app_label == "catalog" else None

    def allow_migrate(self, db: str, app_label: str, **_: object) -> bool | None:
        """Allow only these apps in the catalog's database."""
        return app_label in self.apps if db == "other" else None


class CatalogWithOutbox(Catalog):
    """A router that also allows the outbox there."""

    apps = ("catalog", "furniture_events")


def test_a_router_that_allows_no_outbox_beside_a_model_is_found(other: str) -> None:
    """W001 without a query. If the router allows the outbox, W001 comes until it is migrated."""
    with override_settings(DATABASE_ROUTERS=[Catalog()]):
        id, message, hint = only(check_setting())
        with override_setting(MODE="direct"):
            assert check_setting() == []
    assert (id, "the database 'other'" in message) == ("W001", True)
    assert hint == "Make allow_migrate('other', 'furniture_events') return True, then migrate."
    with override_settings(DATABASE_ROUTERS=[CatalogWithOutbox()]):
        assert check_setting() == []
        assert only(check_outbox(databases=[other]))[0] == "W001"


def test_models_with_the_same_numbers_are_found() -> None:
    """W003, also for a child, which has its parent's numbers.

    Not if the ids are no automatic numbers, or if a parent and its child share them.
    """
    for counting in ("Mueble", "Sofa"):
        with override_setting(MODELS={f"catalog.{counting}": AUTHOR, "catalog.Lampara": AUTHOR}):
            id, message, hint = only(check_setting())
        assert id == "W003"
        assert f"catalog.{counting} and catalog.Lampara each number their furniture_id" in message
        assert hint == "Map furniture_id to a UUID, or use a function that adds a prefix."
    dated = {**AUTHOR, "furniture_id": "autor__date_joined"}
    for models in (
        {"catalog.Mueble": AUTHOR, "catalog.Sofa": AUTHOR, "catalog.Mesa": AUTHOR},
        {"catalog.Mueble": AUTHOR, "catalog.Lampara": dated},
    ):
        with override_setting(MODELS=models):
            assert check_setting() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8765",
        "https://LOCALHOST",
        "http://broker.localhost.",
        "http://[::1]:8765",
        "http://[::ffff:127.0.0.1]",
        "http://0.0.0.0:8765",
    ],
)
def test_a_url_of_the_browsers_own_machine_is_found(url: str) -> None:
    """W004 comes only with ``check --deploy``, for PUBLIC_URL or else for URL."""
    with override_setting(URL=url):
        id, message, hint = only(check_deployment())
    with override_setting(PUBLIC_URL=url, URL="http://broker.example"):
        deployment = run_checks(tags=["security"], include_deployment_checks=True)
        assert only([each for each in deployment if "furniture_events" in str(each.id)])[0] == id
        assert check_setting() == []
    with override_setting(PUBLIC_URL="http://192.0.2.7", URL=url):
        assert check_deployment() == []
    assert (id, "['URL']" in message) == ("W004", True)
    assert hint == "Set PUBLIC_URL to the broker's URL for browsers."


@pytest.mark.parametrize("secure", ["SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE"])
def test_an_http_url_for_https_pages_is_found(secure: str) -> None:
    """W005 with ``check --deploy``, if the site's settings say that pages are https."""
    with override_setting(PUBLIC_URL="HTTP://broker.example"):
        assert check_deployment() == []
        with override_settings(**{secure: True}):
            id, message, hint = only(check_deployment())
    with override_setting(PUBLIC_URL="https://broker.example"), override_settings(**{secure: True}):
        assert check_deployment() == []
    assert (id, "['PUBLIC_URL']" in message) == ("W005", True)
    assert hint == "Set PUBLIC_URL to the https URL of a proxy that ends TLS before the broker."


def test_a_broken_setting_is_found_once() -> None:
    """``check --deploy`` does not repeat the finding."""
    with without("URL"):
        assert check_deployment() == []


def test_a_nullable_column_for_a_required_field_is_found() -> None:
    """W002 for a field of the contract. Another field may be NULL."""
    with override_setting(MODELS={"catalog.Mueble": {**AUTHOR, "material": "autor__last_login"}}):
        id, message, hint = only(check_setting())
    assert (id, "'autor__last_login' may be NULL" in message) == ("W002", True)
    assert hint == "The broker refuses such events. Use a function that always returns a value."
    with override_setting(MODELS={"catalog.Mueble": {**AUTHOR, "entrada": "autor__last_login"}}):
        assert check_setting() == []


@on_mariadb
@pytest.mark.parametrize("level", ["REPEATABLE READ", None])
def test_an_isolation_level_that_hides_commits_is_found(database: str, level: str | None) -> None:
    """W011. With None the server has its own, which is REPEATABLE READ by default."""
    with mock.patch.dict(connections["default"].settings_dict["OPTIONS"], isolation_level=level):
        id, message, hint = only(check_setting())
    assert (id, f"the isolation_level {level!r}" in message) == ("W011", True)
    assert hint == "Remove isolation_level from OPTIONS: Django's default is 'read committed'."
    with mock.patch.dict(
        connections["default"].settings_dict["OPTIONS"], isolation_level="serializable"
    ):
        assert check_setting() == []


@on_sqlite
@pytest.mark.parametrize(
    ("given", "id"),
    [
        ('"http://127.0.0.1:8765"', "E001"),
        ('{"URL": "http://127.0.0.1:8765", "KEY": None, "MODELS": ["catalog.Mueble"]}', "E003"),
        ('{"URL": "http://127.0.0.1:8765", "KEY": None, "MODELS": {7: {}}}', "E004"),
        ('{"URL": "http://127.0.0.1:8765", "KEY": None, "MODELS": {"catalog.No": {}}}', "E004"),
        ('{"URL": "http://127.0.0.1:8765", "KEY": None, "MODELS": {"catalog.Mueble": 7}}', "E005"),
        (
            '{"URL": "http://127.0.0.1:8765", "KEY": None, "MODELS": {"catalog.Mueble": "no.py"}}',
            "E005",
        ),
    ],
)
def test_the_command_line_shows_the_finding(given: str, id: str, tmp_path: Path) -> None:
    """``manage.py check`` fails with the id and not with a traceback, so the site can start."""
    module = f"from tests.django.settings import *\nFURNITURE_EVENTS = {given}\n"
    (tmp_path / "mistaken.py").write_text(module)
    (tmp_path / "no.py").write_text("no Python")
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "mistaken", "PYTHONPATH": python_path(tmp_path, ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert f"(furniture_events.{id})" in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_does_not_warn_about_the_missing_outbox(tmp_path: Path) -> None:
    """``manage.py migrate`` is about to create the outbox. ``check`` warns until then."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "site.db")}

    def output_of(*command: str) -> str:
        done = Relay(program=("-m", "django", *command), environment=site_environment(database))
        assert done.wait() == 0, done.output
        return done.output

    assert "furniture_events.W001" in output_of("check", "--database", "default")
    assert output_of("migrate", "--verbosity", "0") == ""
    assert "no issues" in output_of("check", "--database", "default")
