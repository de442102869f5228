"""The system checks.

==== ==============================================================================
E001 no URL, or an invalid one
E002 no KEY, or an invalid one
E003 an unknown key in the setting, or an invalid value
E004 a model that does not exist, or is named twice
E005 a function that cannot be imported, or another value that maps nothing
E006 a lookup that leads to no column, so that a field of the furniture is not mapped
E007 ``WAKE = "listen"`` without PostgreSQL and psycopg 3.2
E008 a token that is valid for longer than its user's session
E009 ``TOKEN_ROOMS`` cannot be imported
E010 a column whose values JSON cannot hold
E011 a model of ``RELATED`` that does not exist, or a lookup that leads to no mapped model
W001 an outbox that is not migrated, or that the routers do not allow
W002 a column that may be NULL, for a field that the contract requires
W003 models whose automatic primary keys give two pieces one ``furniture_id``
W004 browsers connect to their own machine (``check --deploy``)
W005 an https page connects to http (``check --deploy``)
W006 users whose tokens cannot be revoked, because there is no KEY
W007 a column whose class never keeps to the contract's rule for the field
W008 a column whose text may be blank or too long for the contract's rule
W009 a foreign key whose rows the database deletes, so that no event is published
W010 events wait, and no relay is active (``check --database``)
W011 MariaDB or MySQL with an isolation level in which a save may read an old row
==== ==============================================================================
"""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.core.checks import register as register_check
from django.db import Error as DatabaseError
from django.db import connections, router
from django.db import models as django_models
from django.db.models import AutoField, ForeignKey, Model
from django.utils.module_loading import import_string

from furniture_events.django import outbox
from furniture_events.django.column_checks import check_condition, check_lookup
from furniture_events.django.conf import Config, config, models, problems, related
from furniture_events.django.findings import error as _error
from furniture_events.django.findings import warning as _warning
from furniture_events.django.leadership import is_led
from furniture_events.django.lookups import fields_of
from furniture_events.django.mapping import Lookups, Mapper, MappingError, make_mapper
from furniture_events.django.models import OutboxEvent
from furniture_events.django.related import Related
from furniture_events.django.wakeups import can_listen

__all__ = ["is_this_machine", "register"]


def register() -> None:
    """Register the checks with Django."""
    register_check(check_setting)
    register_check(check_outbox, Tags.database)
    register_check(check_deployment, Tags.security, deploy=True)


def check_setting(**_: object) -> list[CheckMessage]:
    """Check ``FURNITURE_EVENTS``, and the models and functions that it names."""
    found: list[CheckMessage] = [_error(*problem) for problem in problems()]
    is_valid = not found
    mappers: dict[type[Model], Mapper] = {}
    for label, mapping in models().items():
        found += _check_model(label, mapping, mappers)
    found += _check_ids(mappers)
    if len(mappers) == len(models()) > 0:  # otherwise an invalid model is the cause
        found += _check_related(mappers)
    if is_valid:
        found += _check_together(config())
        found += _check_routes(config(), mappers)
        found += _check_isolation(mappers)
    return found


def check_outbox(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Check that each of these databases has an outbox.

    ``manage.py migrate`` also runs this check, just before it creates the outbox. Then it is
    skipped.
    """
    migrates = sys.argv[1:2] == ["migrate"]
    if migrates or (not any(problems()) and config().mode == "direct"):
        return []
    return [
        found
        for alias in databases or ()
        if router.allow_migrate_model(alias, OutboxEvent)
        for found in _check_table(alias)
    ]


def check_deployment(**_: object) -> list[CheckMessage]:
    """Check that browsers on other machines can use the URL that pages get."""
    if any(problems()):
        return []
    name = "URL" if config().public_url is None else "PUBLIC_URL"
    url = urlsplit(config().public_url or config().url)
    if is_this_machine(url.hostname or ""):
        return [
            _warning(
                4,
                f"FURNITURE_EVENTS[{name!r}] makes browsers connect to their own machine.",
                "Set PUBLIC_URL to the broker's URL for browsers.",
            )
        ]
    if url.scheme == "http" and (settings.SECURE_SSL_REDIRECT or settings.SESSION_COOKIE_SECURE):
        return [
            _warning(
                5,
                f"FURNITURE_EVENTS[{name!r}] is http, which browsers block on an https page.",
                "Set PUBLIC_URL to the https URL of a proxy that ends TLS before the broker.",
            )
        ]
    return []


def is_this_machine(host: str) -> bool:
    """Tell whether this host name or address always means the machine itself."""
    try:
        address = ip_address(host)
    except ValueError:
        name = host.rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _check_table(alias: str) -> Iterator[CheckMessage]:
    try:
        if not outbox.exists(alias):
            yield _warning(
                1,
                f"The outbox is not migrated on the database {alias!r}.",
                f"Run manage.py migrate --database {alias}.",
            )
        elif (waiting := outbox.status(alias).waiting) and not is_led(alias):
            yield _warning(
                10,
                f"{waiting} events wait in the outbox of the database {alias!r}, and no relay is "
                "active.",
                f"Run manage.py relay_furniture_events --database {alias} beside the site.",
            )
    except DatabaseError as error:
        yield _warning(
            1,
            f"It is unknown whether the outbox is migrated on the database {alias!r}.",
            f"The database does not answer: {error}",
        )


def _check_routes(setting: Config, mappers: Mapping[type[Model], Mapper]) -> Iterator[CheckMessage]:
    """Check that each database of a mapped model may have an outbox, for one transaction."""
    if setting.mode == "direct":
        return
    for alias in dict.fromkeys(router.db_for_write(model) for model in mappers):
        if not router.allow_migrate_model(alias, OutboxEvent):
            yield _warning(
                1,
                f"Mapped models are written to the database {alias!r}, and the routers allow no "
                "outbox there.",
                f"Make allow_migrate({alias!r}, 'furniture_events') return True, then migrate.",
            )


def _check_isolation(mappers: Mapping[type[Model], Mapper]) -> Iterator[CheckMessage]:
    """Check that a save reads the newest row. PostgreSQL makes the save fail otherwise."""
    for alias in dict.fromkeys(router.db_for_write(model) for model in mappers):
        connection = connections[alias]
        level = connection.settings_dict["OPTIONS"].get("isolation_level", "read committed")
        newest = str(level).lower() in {"read committed", "serializable"}
        if connection.vendor == "mysql" and not newest:
            yield _warning(
                11,
                f"DATABASES[{alias!r}] has the isolation_level {level!r}: a save may read a row as "
                "it was before another commit, and then not publish its change.",
                "Remove isolation_level from OPTIONS: Django's default is 'read committed'.",
            )


def _check_ids(mappers: Mapping[type[Model], Mapper]) -> Iterator[CheckMessage]:
    """Check that no two models number their pieces alike. A parent and its child share numbers."""
    counting: dict[type[Model], str] = {}
    for model, mapper in mappers.items():
        counter = _counter(mapper) if isinstance(mapper, Lookups) else None
        if counter is not None:
            counting.setdefault(counter, model._meta.label)
    if len(counting) > 1:
        yield _warning(
            3,
            f"FURNITURE_EVENTS['MODELS']: {' and '.join(counting.values())} each number their "
            "furniture_id from 1, and to the broker one furniture_id is one piece.",
            "Map furniture_id to a UUID, or use a function that adds a prefix.",
        )


def _counter(mapper: Lookups) -> type[Model] | None:
    """Return the model whose automatic primary key is the ``furniture_id``, if there is one."""
    lookup = mapper.lookups["furniture_id"]
    steps = list(fields_of(mapper.model, lookup))
    if len(steps) < len(lookup.split("__")):  # a transform changes the value
        return None
    field = steps[-1]
    while isinstance(field, ForeignKey):
        field = field.target_field
    return field.model if isinstance(field, AutoField) and field.primary_key else None


def _check_model(
    label: object, mapping: object, mappers: dict[type[Model], Mapper]
) -> Iterator[CheckMessage]:
    """Check a model's mapping. If it is valid, add its mapper to the mappers."""
    where = f"FURNITURE_EVENTS['MODELS'][{label!r}]"
    try:
        model = apps.get_model(str(label))
    except (LookupError, ValueError) as error:
        reason = error if isinstance(error, LookupError) else "it is not of the form app.Model."
        yield _error(
            4, f"{where} is not a model: {reason}", "Name it as in AUTH_USER_MODEL: app.Model."
        )
        return
    if model in mappers:
        yield _error(4, f"{where} names {model._meta.label} again.", "Name each model once.")
        return
    try:
        mapper = make_mapper(model, mapping)
    except MappingError as error:
        yield _error(
            5, f"{where}: {error}.", "Write a dict of lookups, or a function's dotted name."
        )
        return
    mappers[model] = mapper
    yield from _check_deletes(where, model)
    if isinstance(mapper, Lookups):
        for name, lookup in mapper.lookups.items():
            yield from check_lookup(where, model, name, lookup)
        if mapper.publish_if:
            yield from check_condition(where, model, mapper.publish_if)


def _check_related(mapped: Collection[type[Model]]) -> Iterator[CheckMessage]:
    for label, lookup in related():
        try:
            Related(label, lookup, mapped)
        except MappingError as error:
            yield _error(
                11,
                f"FURNITURE_EVENTS['RELATED'][{label!r}]: {error}.",
                "Name the relations from the model to the pieces as in a query, such as 'mueble' or"
                " 'coleccion__muebles'.",
            )


def _check_deletes(where: str, model: type[Model]) -> Iterator[CheckMessage]:
    """Check that Django deletes the pieces, and not the database (since Django 6.1)."""
    by_database = getattr(django_models, "DB_CASCADE", None)
    for field in model._meta.concrete_fields:
        on_delete = getattr(field.remote_field, "on_delete", None)
        if on_delete is not None and on_delete is by_database:
            yield _warning(
                9,
                f"{where}: the database deletes pieces with their {field.name} (DB_CASCADE), and "
                "no furniture_deleted is published.",
                f"Use CASCADE, or delete the pieces before their {field.name}.",
            )


def _check_together(setting: Config) -> Iterator[CheckMessage]:
    if setting.wake == "listen" and not any(
        can_listen(connections[alias]) for alias in connections
    ):
        yield _error(
            7,
            "FURNITURE_EVENTS['WAKE'] is 'listen', but no database can listen.",
            "It needs PostgreSQL with psycopg 3.2. 'socket' works with any database on one host.",
        )
    if setting.token_secret is not None and setting.token_seconds > settings.SESSION_COOKIE_AGE:
        yield _error(
            8,
            "FURNITURE_EVENTS['TOKEN_SECONDS'] is more than SESSION_COOKIE_AGE.",
            "A page's token would be valid for longer than its user's session.",
        )
    if setting.token_rooms is not None:
        try:
            import_string(setting.token_rooms)
        except ImportError as error:
            yield _error(
                9,
                f"FURNITURE_EVENTS['TOKEN_ROOMS'] cannot be imported: {error}.",
                "Name a function that gets a user and returns a list of rooms.",
            )
    if setting.token_secret is not None and setting.revoke_on and setting.key is None:
        yield _warning(
            6,
            "Without FURNITURE_EVENTS['KEY'] the broker takes no revocations.",
            "Set a key of the broker's SIO_PRODUCER_KEYS, or REVOKE_ON to [].",
        )
