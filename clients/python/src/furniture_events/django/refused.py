"""Replace refused events by events of their pieces as they are now."""

from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet

from furniture_events._contract import CREATED, DELETED, UPDATED
from furniture_events.django import outbox
from furniture_events.django.mapping import Lookups, Mapper, mappers, read, rows_of
from furniture_events.django.models import OutboxEvent
from furniture_events.django.publishing import publish

__all__ = ["publish_as_now"]


def publish_as_now(rows: "QuerySet[OutboxEvent]") -> tuple[int, list[str]]:
    """Publish the pieces of refused events as their rows are now, and delete these events.

    Args:
        rows: events of the outbox. Only the refused ones of pieces that were not deleted count.

    Returns:
        The number of pieces that are published, and the ``furniture_id`` of each other piece. Its
        row does not exist or cannot be published, and its events stay.
    """
    refused = rows.exclude(error="").exclude(type=DELETED).order_by("id")
    # Compared here, because a database may ignore case: to MariaDB, "mesa-a" is "mesa-A".
    pieces: dict[str, dict[int, str]] = {}
    for key, furniture_id, type in refused.values_list("pk", "furniture_id", "type"):
        pieces.setdefault(furniture_id, {})[key] = type
    others = []
    for furniture_id, events in pieces.items():
        # If the broker does not know the piece, a page may not expect an update of it.
        type = CREATED if CREATED in events.values() else UPDATED
        if not _replace(refused.filter(pk__in=list(events)), type, furniture_id):
            others.append(furniture_id)
    return len(pieces) - len(others), others


def _replace(events: "QuerySet[OutboxEvent]", type: str, furniture_id: str) -> bool:
    try:
        with transaction.atomic(using=events.db):
            piece = _find(furniture_id, events.db)
            if piece is None:
                return False
            replaced = list(events)
            publish(type, piece, using=events.db)
            outbox.delete(replaced, events.db)
    except Exception:  # noqa: BLE001 - a project's function may raise anything
        return False
    return True


def _find(furniture_id: str, using: str) -> Model | None:
    for mapper in mappers():
        rows = _candidates(mapper, furniture_id, using)
        for key, furniture in read(mapper, rows).items():
            if furniture is not None and furniture["furniture_id"] == furniture_id:
                found: Model = rows.get(pk=key)
                return found
    return None


def _candidates(mapper: Mapper, furniture_id: str, using: str) -> "QuerySet[Any]":
    """Return the rows that may have this ``furniture_id``."""
    rows = rows_of(mapper.model, using)
    lookup = mapper.lookups["furniture_id"] if isinstance(mapper, Lookups) else "pk"
    try:
        if lookup != "pk":
            return rows.filter(**{lookup: furniture_id})
    except (ValueError, ValidationError):  # text, where the column has a number or a UUID
        return rows.none()
    field: Any = mapper.model._meta.pk
    while field.remote_field:
        field = field.target_field
    keys = []
    for start in range(len(furniture_id)):  # a function may add a prefix to the primary key
        with suppress(ValidationError):
            keys.append(field.clean(furniture_id[start:], None))
    return rows.filter(pk__in=keys)
