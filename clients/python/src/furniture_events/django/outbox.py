"""The outbox's table: what appends to it, reads from it and takes from it. It sends nothing."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import Min, QuerySet
from django.db.models.functions import Length
from django.utils import timezone

from furniture_events._encoding import EncodedEvent
from furniture_events._ids import new_event_id
from furniture_events.django.models import OutboxEvent
from furniture_events.django.wake import wake_relay

__all__ = [
    "Status",
    "append",
    "append_refused",
    "exists",
    "page",
    "refuse",
    "retry",
    "status",
    "take",
    "waiting",
]

_logger = logging.getLogger("furniture_events.django")

_ROWS = 500
"""How many events one INSERT has at most."""


class Status(NamedTuple):
    """How many events wait, and how many were refused; of each how old the oldest is, if any."""

    waiting: int
    oldest: timedelta | None
    refused: int
    oldest_refused: timedelta | None


def exists(using: str) -> bool:
    """Tell whether the database `using` is migrated, so that it has an outbox."""
    return OutboxEvent._meta.db_table in connections[using].introspection.table_names()


def append(events: Sequence[EncodedEvent], using: str) -> None:
    """Add events to the transaction that is open on the database `using`, and wake the relay.

    Their order is the rows' ids. Rows of one piece are appended by one transaction at a time,
    which holds the lock of the piece: so it is the order of the commits as well.
    """
    OutboxEvent.objects.using(using).bulk_create(
        [_row(json.loads(event.body), event.body.decode()) for event in events],
        batch_size=_ROWS,
    )
    wake_relay(using)


def append_refused(type: str, furniture_id: str, error: Exception, using: str) -> None:
    """Keep an event that cannot be said, as far as it is known, among those refused."""
    furniture_id = _plain(furniture_id)
    event = {"type": type, "furniture": {"furniture_id": furniture_id}, "id": new_event_id()}
    row = _row(event, json.dumps(event, ensure_ascii=False))
    row.error = _plain(f"{error.__class__.__name__}: {error}")
    row.save(using=using)
    _logger.error("event_refused row=%d reason=%s", row.pk, error.__class__.__name__)


def _plain(text: str) -> str:
    """Replace what a database does not take, such as NUL and lone surrogates."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _row(event: Mapping[str, Any], text: str) -> OutboxEvent:
    return OutboxEvent(
        type=event["type"], furniture_id=str(event["furniture"]["furniture_id"]), event=text
    )


def waiting(using: str) -> "QuerySet[OutboxEvent]":
    """Return the events to send, the oldest first.

    Always from the start, never from where the last look ended: a transaction that began before
    others may commit after them, and its rows then come to stand before rows already sent.
    """
    return OutboxEvent.objects.using(using).filter(error="").order_by("id")


def page(using: str, events: int, characters: int) -> list[OutboxEvent]:
    """Return the first of those that wait: no more events than this, and no longer together.

    One that is longer by itself is a page of its own.
    """
    rows = waiting(using)
    keys: list[int] = []
    total = 0
    for key, length in rows.values_list("pk", Length("event"))[:events]:
        total += length
        if keys and total > characters:
            break
        keys.append(key)
    return list(rows.filter(pk__in=keys))


def take(rows: Collection[OutboxEvent], using: str) -> None:
    """Delete what the broker has."""
    OutboxEvent.objects.using(using).filter(pk__in=[row.pk for row in rows]).delete()


def refuse(row: OutboxEvent, error: str, using: str) -> None:
    """Set aside what the broker refuses for good."""
    OutboxEvent.objects.using(using).filter(pk=row.pk).update(error=error)


def retry(rows: "QuerySet[OutboxEvent]") -> int:
    """Let refused events wait again, in their old place; return how many."""
    with transaction.atomic(using=rows.db):
        wake_relay(rows.db)
        return rows.exclude(error="").update(error="")


def status(using: str) -> Status:
    """Count what is in the outbox."""
    rows = waiting(using)
    refused = OutboxEvent.objects.using(using).exclude(error="")
    return Status(rows.count(), _age(rows), refused.count(), _age(refused))


def _age(rows: "QuerySet[OutboxEvent]") -> timedelta | None:
    oldest = rows.aggregate(oldest=Min("created_at"))["oldest"]
    return None if oldest is None else timezone.now() - oldest
