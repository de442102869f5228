"""The outbox's tables: append rows, read the oldest, delete or refuse them. It sends nothing."""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction
from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Length
from django.db.models.signals import post_migrate, pre_migrate
from django.utils import timezone

from furniture_events.django.conf import config
from furniture_events.django.events import ChangeEvent, fields_at_fault
from furniture_events.django.models import OutboxEvent, OutboxRevocation
from furniture_events.django.wakeups import wake_relay
from furniture_events.django.watching import Status

__all__ = [
    "append",
    "append_refused",
    "append_revocation",
    "check_migrated",
    "delete",
    "exists",
    "forget_trace",
    "log_refused",
    "oldest",
    "oldest_revocations",
    "refuse",
    "retry",
    "status",
    "waiting",
    "watch_migrations",
]

_logger = logging.getLogger("furniture_events.django")

_MODELS = (OutboxEvent, OutboxRevocation)

Row = OutboxEvent | OutboxRevocation

_LAST_MIGRATION = "0003_traceparent"

_UNDEFINED = {"42P01", "42703", 1146, 1054}
"""The codes of a missing table and of a missing column on PostgreSQL and MySQL, whose messages
depend on the server's language."""

_UNDEFINED_ON_SQLITE = re.compile("no such table|no such column|.* has no column named")

_migrating: set[str] = set()
"""The databases that ``migrate`` migrates now, until the outbox was seen there."""

_STATEMENT_ROWS = 500
"""How many rows one INSERT or DELETE has at most."""


def exists(using: str) -> bool:
    """Tell whether the database ``using`` is migrated, and has the outbox of this version."""
    introspection = connections[using].introspection
    names = introspection.table_names()
    if not all(model._meta.db_table in names for model in _MODELS):
        return False
    with connections[using].cursor() as cursor:
        found = introspection.get_table_description(cursor, OutboxEvent._meta.db_table)
    return {it.column for it in OutboxEvent._meta.local_fields} <= {it.name for it in found}


def watch_migrations(app: AppConfig) -> None:
    """Know when ``migrate`` runs, for ``check_migrated``."""
    pre_migrate.connect(_before_migrate, sender=app, dispatch_uid="furniture_events")
    post_migrate.connect(_after_migrate, sender=app, dispatch_uid="furniture_events")


def _before_migrate(using: str, **_: object) -> None:
    _migrating.add(using)


def _after_migrate(using: str, **_: object) -> None:
    _migrating.discard(using)


def check_migrated(using: str) -> None:
    """Raise if a migration is about to write a row before there is an outbox for its event.

    Call it before the row is written. SQLite's migrations hide an error that broke the transaction.

    Raises:
        ImproperlyConfigured: the migration needs a dependency.
    """
    if using in _migrating and config().mode == "outbox":
        if not exists(using):
            raise ImproperlyConfigured(_missing(using))
        _migrating.discard(using)


@contextmanager
def _explaining_missing_tables(using: str) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        cause = error.__cause__
        codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
        if codes & _UNDEFINED or _UNDEFINED_ON_SQLITE.match(str(error)):
            raise ImproperlyConfigured(_missing(using)) from error
        raise


def _missing(using: str) -> str:
    return (
        f"There is no outbox on the database {using!r} yet, or only an earlier version of it: run "
        "manage.py migrate. If a migration saves rows of mapped models, add "
        f"{(OutboxEvent._meta.app_label, _LAST_MIGRATION)} to its dependencies."
    )


def append(events: Sequence[ChangeEvent], using: str) -> None:
    """Add events to the transaction that is open on the database ``using``; wake the relay.

    The ids of the rows give the order. A transaction holds the lock of a piece when it appends an
    event of that piece, so the order of a piece's events is the order of the commits.
    """
    with _explaining_missing_tables(using), _creating(events) as traceparent:
        OutboxEvent.objects.using(using).bulk_create(
            [_row(event, traceparent) for event in events], batch_size=_STATEMENT_ROWS
        )
    wake_relay(using)


def _creating(events: Sequence[ChangeEvent]) -> AbstractContextManager[str | None]:
    """Make a span of a block, if tracing is on. The block gets the ``traceparent`` of its rows."""
    if not config().tracing:
        return nullcontext()
    from furniture_events._tracing import creating  # noqa: PLC0415 - it needs an extra

    return creating([event.encoded for event in events])


def append_refused(type: str, furniture_id: str, error: Exception, using: str) -> None:
    """Store an event whose furniture is not known, as refused."""
    furniture = {"furniture_id": _printable(furniture_id)}
    row = _row(ChangeEvent.encode_plain(type, furniture))
    row.error = _printable(f"{error.__class__.__name__}: {error}")
    with _explaining_missing_tables(using):
        row.save(using=using)
    log_refused(row, error)


def log_refused(row: OutboxEvent, error: Exception) -> None:
    """Log that an event was refused, with the names of the fields at fault and without values."""
    fields = fields_at_fault(error)
    _logger.error("event_refused row=%d reason=%s%s", row.pk, type(error).__name__, fields)


def append_revocation(sub: str, using: str) -> None:
    """Add a revocation to the transaction that is open on ``using``; wake the relay."""
    with _explaining_missing_tables(using):
        OutboxRevocation.objects.using(using).create(sub=sub)
    wake_relay(using)


def _printable(text: str) -> str:
    """Replace characters that a database refuses, such as NUL and lone surrogates."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _row(event: ChangeEvent, traceparent: str | None = None) -> OutboxEvent:
    return OutboxEvent(
        type=event.type,
        furniture_id=event.furniture_id,
        event=event.encoded.body.decode(),
        traceparent=traceparent,
    )


def waiting(using: str) -> "QuerySet[OutboxEvent]":
    """Return the events to send, the oldest first.

    Always from the first row, and never from a remembered id: a transaction can begin before others
    and commit after them. Its rows then stand before rows that were sent already.
    """
    return OutboxEvent.objects.using(using).filter(error="").order_by("id")


def oldest(using: str, max_events: int, max_characters: int) -> list[OutboxEvent]:
    """Return the oldest waiting events, within both bounds.

    If the oldest event is longer than ``max_characters``, it is returned alone.
    """
    rows = waiting(using)
    keys: list[int] = []
    total = 0
    for key, length in rows.values_list("pk", Length("event"))[:max_events]:
        total += length
        if keys and total > max_characters:
            break
        keys.append(key)
    return list(rows.filter(pk__in=keys))


def oldest_revocations(using: str, max_rows: int) -> list[OutboxRevocation]:
    """Return the oldest waiting revocations."""
    return list(OutboxRevocation.objects.using(using).filter(error="").order_by("id")[:max_rows])


def delete(rows: Collection[Row], using: str) -> None:
    """Delete rows of one table, and wait for no row of an open transaction."""
    keys = [row.pk for row in rows]
    for model in {type(row) for row in rows}:
        if connections[using].vendor != "mysql":
            model._base_manager.using(using).filter(pk__in=keys).delete()
            continue
        for start in range(0, len(keys), _STATEMENT_ROWS):
            _delete_by_join(model, keys[start : start + _STATEMENT_ROWS], using)


def _delete_by_join(model: type[Row], keys: Sequence[int], using: str) -> None:
    """Delete rows on MariaDB, which for ``IN`` reads the whole table and waits for locked rows."""
    connection = connections[using]
    table = connection.ops.quote_name(model._meta.db_table)
    chosen = " UNION ALL ".join(["SELECT %s AS id", *["SELECT %s"] * (len(keys) - 1)])
    join = f"({chosen}) AS chosen STRAIGHT_JOIN {table} ON {table}.id = chosen.id"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE {table} FROM {join}", keys)


def forget_trace(row: OutboxEvent, using: str) -> None:
    """Let an event wait without its trace, with which it is too large for the broker."""
    OutboxEvent.objects.using(using).filter(pk=row.pk).update(traceparent=None)


def refuse(row: Row, error: str, using: str) -> None:
    """Set a row aside that the broker refuses permanently."""
    type(row)._base_manager.using(using).filter(pk=row.pk).update(error=error)


def retry(rows: "QuerySet[Any]") -> int:
    """Let refused rows wait again, at their old place; return their number."""
    with transaction.atomic(using=rows.db):
        wake_relay(rows.db)
        return rows.exclude(error="").update(error="")


def status(using: str) -> Status:
    """Count the events and the revocations in the outbox."""
    rows = [model._base_manager.using(using) for model in _MODELS]
    waiting, oldest_waiting = _count([each.filter(error="") for each in rows])
    refused, oldest_refused = _count([each.exclude(error="") for each in rows])
    return Status(waiting, oldest_waiting, refused, oldest_refused)


def _count(rows: "Sequence[QuerySet[Any]]") -> tuple[int, timedelta | None]:
    found = [each.aggregate(number=Count("pk"), oldest=Min("created_at")) for each in rows]
    times = [each["oldest"] for each in found if each["oldest"] is not None]
    age = timezone.now() - min(times) if times else None
    return sum(each["number"] for each in found), age
