"""Many rows in chunks: a statement takes so many keys, and the memory holds so many rows."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet

__all__ = ["CHUNK_ROWS", "chunks", "keys_after"]

CHUNK_ROWS = 500

Item = TypeVar("Item")


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield the items in order, at most ``CHUNK_ROWS`` at a time."""
    for start in range(0, len(items), CHUNK_ROWS):
        yield items[start : start + CHUNK_ROWS]


def keys_after(rows: "QuerySet[Any]", after: Any) -> list[Any]:
    """Return the keys of the next chunk of ordered rows; after None, of the first chunk."""
    rest = rows if after is None else rows.filter(pk__gt=after)
    return list(rest.values_list("pk", flat=True)[:CHUNK_ROWS])
