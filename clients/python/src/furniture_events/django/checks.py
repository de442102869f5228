"""The system checks.

==== ==============================================================================
E001 no URL, or one that cannot be right
E002 no KEY, or one that cannot be right
E003 an unknown key in the setting, or a value that cannot be right
E004 a model that does not exist
E005 a function that cannot be imported, or what else maps nothing
E006 a lookup that leads to no column, so that a field of the furniture is not mapped
E007 `WAKE = "listen"` without PostgreSQL and psycopg 3.2
E008 a token that outlives the session of the user it is for
W001 an outbox that is not migrated
W002 a column that may be NULL where the contract needs a value
==== ==============================================================================
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import Warning as CheckWarning
from django.core.checks import register as register_check
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import connections, router
from django.db.models import Model

from furniture_events._encoding import FURNITURE_FIELDS
from furniture_events.django import outbox
from furniture_events.django.conf import Config, config, models, problems
from furniture_events.django.mapping import Lookups, MappingError, make_mapper
from furniture_events.django.models import OutboxEvent
from furniture_events.django.wake import can_listen

__all__ = ["register"]


def register() -> None:
    """Register the checks with Django."""
    register_check(check_setting)
    register_check(check_outbox, Tags.database)


def check_setting(**_: object) -> list[CheckMessage]:
    """Check `FURNITURE_EVENTS`, and what it names."""
    found: list[CheckMessage] = [_error(*problem) for problem in problems()]
    if not found:
        found += _check_together(config())
    for label, how in models().items():
        found += _check_model(label, how)
    return found


def check_outbox(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Check that there is an outbox on each of the databases that are asked about."""
    if not any(problems()) and config().mode == "direct":
        return []
    return [
        CheckWarning(
            f"The outbox is not migrated on the database {alias!r}.",
            hint=f"manage.py migrate --database {alias} makes it.",
            id="furniture_events.W001",
        )
        for alias in databases or ()
        if router.allow_migrate_model(alias, OutboxEvent) and not outbox.exists(alias)
    ]


def _check_model(label: object, how: object) -> Iterator[CheckMessage]:
    where = f"FURNITURE_EVENTS['MODELS'][{label!r}]"
    try:
        model = apps.get_model(str(label))
    except (LookupError, ValueError) as error:
        yield _error(
            4, f"{where} is no model: {error}", "Name it as in AUTH_USER_MODEL: app.Model."
        )
        return
    try:
        mapper = make_mapper(model, how)
    except MappingError as error:
        yield _error(
            5, f"{where}: {error}.", "Write a dict of lookups, or a function's dotted name."
        )
        return
    if isinstance(mapper, Lookups):
        for name, lookup in mapper.lookups.items():
            yield from _check_lookup(where, model, name, lookup)


def _check_lookup(where: str, model: type[Model], name: str, lookup: str) -> Iterator[CheckMessage]:
    fields = list(_fields(model, lookup))
    try:
        model._base_manager.values_list(lookup)
        many = any(field.one_to_many or field.many_to_many for field in fields)
    except FieldError:
        many = True
    if many:
        yield _error(
            6,
            f"{where}: {name} is not mapped: {lookup!r} is no column of {model.__name__}.",
            f"Map it, such as {{{name!r}: 'another_column'}}, or use a function.",
        )
    elif name in FURNITURE_FIELDS and any(field.null for field in fields):
        yield CheckWarning(
            f"{where}: {name} is required, and {lookup!r} may be NULL.",
            hint="Such events are refused by the broker: give a value with a function.",
            id="furniture_events.W002",
        )


def _fields(model: type[Model], lookup: str) -> Iterator[Any]:
    """Yield the fields that a lookup goes through, up to a transform or a key of JSON."""
    step: Any = model
    for part in lookup.split("__"):
        if step is None:
            return
        try:
            field = step._meta.pk if part == "pk" else step._meta.get_field(part)
        except FieldDoesNotExist:
            return
        yield field
        step = field.related_model


def _check_together(given: Config) -> Iterator[CheckMessage]:
    if given.wake == "listen" and not any(can_listen(connections[alias]) for alias in connections):
        yield _error(
            7,
            "FURNITURE_EVENTS['WAKE'] is 'listen', and no database can do that.",
            "It needs PostgreSQL with psycopg 3.2; 'socket' works with any on the same host.",
        )
    if given.token_secret is not None and given.token_seconds > settings.SESSION_COOKIE_AGE:
        yield _error(
            8,
            "FURNITURE_EVENTS['TOKEN_SECONDS'] is more than SESSION_COOKIE_AGE.",
            "A page's token would outlive the session of its user.",
        )


def _error(number: int, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"furniture_events.E00{number}")
