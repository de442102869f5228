"""The way out: each change becomes an event in the outbox, or of the commit in direct mode.

Nothing is sent from here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, router, transaction
from django.db.models import Model

from furniture_events import InvalidFurniture
from furniture_events._encoding import EncodedEvent, encode_event
from furniture_events._ids import new_event_id
from furniture_events.django.conf import config
from furniture_events.django.mapping import (
    Before,
    Furniture,
    key_of,
    lock,
    mapper_of,
    read,
    rows_at,
)

__all__ = ["CREATED", "DELETED", "UPDATED", "publish", "record", "record_changes", "record_deleted"]

CREATED: Final = "furniture_created"
UPDATED: Final = "furniture_updated"
DELETED: Final = "furniture_deleted"


def publish(
    type: str, furniture: object, *, id: str | None = None, using: str | None = None
) -> None:
    """Publish an event by hand, with the transaction that is open on the database `using`.

    By default that is the one where an instance is saved, else the default one.

    `furniture` is an instance of a mapped model, of which the database's row is published, or
    what a producer takes: a mapping with the seven fields, a dataclass, an object with their
    names. `id` is the idempotency key, made where there is none. Raises `ValueError` for another
    type than the three, `InvalidFurniture` for what is not in the database, lacks a field, or
    is no JSON. What else the broker refuses shows in the admin.
    """
    if type not in {CREATED, UPDATED, DELETED}:
        raise ValueError(f"no such event type: {type!r}")
    if using is None and isinstance(furniture, Model):
        using = router.db_for_write(furniture.__class__, instance=furniture)
    using = using or DEFAULT_DB_ALIAS
    with transaction.atomic(using=using):
        if isinstance(furniture, Model) and (mapper := mapper_of(furniture.__class__)):
            row = rows_at([key_of(furniture, mapper)], mapper, using)
            lock(row)
            pieces = read(mapper, row)
            if not pieces:
                raise InvalidFurniture("furniture: is not in the database")
            (furniture,) = pieces.values()
        record([(type, furniture)], using, id=id)


def record_changes(before: Before, after: Mapping[Any, Furniture], using: str) -> None:
    """Record what became of rows: created, deleted, or updated where another thing is said of them.

    A row that has another `furniture_id` now is another piece: the one that it was is deleted.
    """
    gone = {pk: old for pk, old in before.items() if _is_gone(old, after.get(pk))}
    record_deleted(gone, using)
    events = []
    for pk, furniture in after.items():
        if pk not in before or pk in gone:
            events.append((CREATED, furniture))
        elif not _says_the_same(before[pk], furniture):
            events.append((UPDATED, furniture))
    record(events, using)


def record_deleted(before: Before, using: str) -> None:
    """Record that rows are gone. What cannot be said of one is kept as refused, or lost."""
    encoded = []
    for pk, old in before.items():
        if isinstance(old, Exception):
            _refuse_deleted(str(pk), old, using)
            continue
        try:
            encoded.append(_encode(DELETED, old, None))
        except Exception as error:  # noqa: BLE001 - whatever it is, the row is gone
            _refuse_deleted(str(old["furniture_id"]), error, using)
    _keep(encoded, using)


def record(events: Iterable[tuple[str, object]], using: str, *, id: str | None = None) -> None:
    """Make events, each a type and furniture, part of the transaction on the database `using`."""
    _keep([_encode(type, furniture, id) for type, furniture in events], using)


def _keep(encoded: Sequence[EncodedEvent], using: str) -> None:
    if not encoded:
        return
    # What sends needs the models, which are not there yet when a site's own models import this.
    if config().mode == "direct":
        from furniture_events.django.direct import publish_on_commit as keep  # noqa: PLC0415
    else:
        from furniture_events.django.outbox import append as keep  # noqa: PLC0415
    keep(encoded, using)


def _refuse_deleted(furniture_id: str, error: Exception, using: str) -> None:
    if config().mode == "direct":
        from furniture_events.django.direct import lose_on_commit  # noqa: PLC0415

        lose_on_commit(error, using)
    else:
        from furniture_events.django.outbox import append_refused  # noqa: PLC0415

        append_refused(DELETED, furniture_id, error, using)


def _encode(type: str, furniture: object, id: str | None) -> EncodedEvent:
    return encode_event({"type": type, "furniture": furniture, "id": id}, new_event_id)


def _is_gone(old: Furniture | Exception, new: Furniture | None) -> bool:
    if new is None:
        return True
    return not isinstance(old, Exception) and old["furniture_id"] != new["furniture_id"]


def _says_the_same(old: Furniture | Exception, new: Furniture) -> bool:
    """Compare as JSON, where True is not 1. Raises `InvalidFurniture` for `new` alone."""
    said = _said(new)
    try:
        return not isinstance(old, Exception) and _said(old) == said
    except Exception:  # noqa: BLE001 - whatever it is, it may be mended
        return False


def _said(furniture: Furniture) -> str:
    event = json.loads(_encode(UPDATED, furniture, "").body)
    return json.dumps(event["furniture"], sort_keys=True)
