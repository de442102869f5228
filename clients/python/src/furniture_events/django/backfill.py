"""Publish rows as they are now, in chunks, for consumers that lack them or have old values.

Each chunk is a transaction of its own, so that the memory is bounded, and saves of the site wait
only for the locks of one chunk.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from furniture_events import FurnitureEventsError
from furniture_events._contract import CREATED
from furniture_events.django.chunks import keys_after
from furniture_events.django.events import ChangeEvent
from furniture_events.django.mapping import Mapper, lock, read_before, rows_at
from furniture_events.django.publishing import hand_over
from furniture_events.django.site_view import site_view

__all__ = ["Chunk", "publish_rows"]


class Chunk(NamedTuple):
    """What was done with the rows of a chunk.

    Attributes:
        published: how many rows were published.
        hidden: how many rows their mapping hides.
        failed: the keys of the rows that cannot be published, with the reasons.
    """

    published: int
    hidden: int
    failed: list[tuple[Any, Exception]]


def publish_rows(mapper: Mapper, rows: "QuerySet[Any]") -> Iterator[Chunk]:
    """Publish ``furniture_created`` for each row, chunk by chunk in the order of the keys.

    As for a refused event whose piece the broker may not know, a page may not expect an update.

    Args:
        mapper: the mapper of the rows' model.
        rows: some rows of ``rows_of``. No transaction is open on their database.

    Raises:
        Error: the database failed. The earlier chunks are published.
    """
    after: Any = None
    while True:
        with transaction.atomic(using=rows.db, durable=True):
            lock(rows_at([], mapper, rows.db))  # SQLite's one lock, before anything is read
            keys = keys_after(rows, after)
            chunk = _publish(keys, mapper, rows.db)
        if not keys:
            return
        yield chunk
        after = keys[-1]


def _publish(keys: Sequence[Any], mapper: Mapper, using: str) -> Chunk:
    rows = rows_at(keys, mapper, using)
    lock(rows)
    events: list[ChangeEvent] = []
    hidden, failed = 0, []
    for key, furniture in read_before(mapper, rows).items():
        if furniture is None:
            hidden += 1
        elif isinstance(furniture, Exception):
            failed.append((key, furniture))
        else:
            try:
                with site_view():
                    events.append(ChangeEvent.encode(CREATED, furniture))
            except FurnitureEventsError as error:
                failed.append((key, error))
    hand_over(events, using)
    return Chunk(len(events), hidden, failed)
