"""The way out: each change becomes an event in the outbox, or of the commit in direct mode.

Nothing is sent from here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, router, transaction
from django.db.models import Model

from furniture_events import InvalidFurniture
from furniture_events._encoding import EncodedEvent, encode_event
from furniture_events._ids import new_event_id
from furniture_events.django.conf import config
from furniture_events.django.mapping import Furniture, mapper_of, read_piece

__all__ = ["CREATED", "DELETED", "UPDATED", "publish", "record", "record_changes"]

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
            rows = read_piece(furniture, mapper, using, locked=True)
            if not rows:
                raise InvalidFurniture("furniture: is not in the database")
            (furniture,) = rows.values()
        record([(type, furniture)], using, id=id)


def record_changes(
    before: Mapping[Any, Furniture], after: Mapping[Any, Furniture], using: str
) -> None:
    """Record what became of rows, by primary key: created, or updated where they differ.

    A row that has another `furniture_id` now is another piece: the one that it was is deleted.
    """
    events: list[tuple[str, Furniture]] = []
    for pk, furniture in after.items():
        old = before.get(pk)
        if old is not None and old["furniture_id"] != furniture["furniture_id"]:
            events.append((DELETED, old))
            old = None
        if furniture != old:
            events.append((CREATED if old is None else UPDATED, furniture))
    record(events, using)


def record(events: Iterable[tuple[str, object]], using: str, *, id: str | None = None) -> None:
    """Make events, each a type and furniture, part of the transaction on the database `using`."""
    encoded = [_encode(type, furniture, id) for type, furniture in events]
    if not encoded:
        return
    # What sends needs the models, which are not there yet when a site's own models import this.
    if config().mode == "direct":
        from furniture_events.django.direct import publish_on_commit as keep  # noqa: PLC0415
    else:
        from furniture_events.django.outbox import append as keep  # noqa: PLC0415
    keep(encoded, using)


def _encode(type: str, furniture: object, id: str | None) -> EncodedEvent:
    return encode_event({"type": type, "furniture": furniture, "id": id}, new_event_id)
