"""What `bulk_create`, `bulk_update`, `QuerySet.update` and fixtures write, published.

Django sends no signals for these. Each function here does what Django's own does and publishes it,
in one transaction. Deleting needs none: `QuerySet.delete` is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from django.db import NotSupportedError, connections, router, transaction
from django.db.models import Manager, Model, QuerySet

from furniture_events.django.mapping import (
    Mapper,
    key_of,
    lock,
    mapper_of,
    read,
    read_before,
    rows_at,
    rows_of,
)
from furniture_events.django.publishing import CREATED, record, record_changes

__all__ = ["bulk_create", "bulk_update", "publish_created", "update"]

Piece = TypeVar("Piece", bound=Model)
Read = TypeVar("Read")
Rows: TypeAlias = "Manager[Any] | QuerySet[Any]"

_CHUNK = 500  # rows at a time: what a database takes in one IN (...)


def bulk_create(
    rows: Rows, pieces: Iterable[Piece], *, batch_size: int | None = None
) -> list[Piece]:
    """Do `rows.bulk_create(pieces)` and publish `furniture_created` for each.

    Conflicts cannot be ignored or updated: which rows were written would not be known. Raises
    `NotSupportedError` where the database does not tell the new rows' primary keys.
    """
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        created: list[Piece] = rows.bulk_create(list(pieces), batch_size=batch_size)
        keys = [key_of(piece, mapper) for piece in created]
        if None in keys:
            raise NotSupportedError("bulk_create: the database does not tell the primary keys")
        furniture = _read(read, keys, mapper, rows.db)
        record([(CREATED, furniture[key]) for key in keys], rows.db)
    return created


def bulk_update(
    rows: Rows, pieces: Iterable[Model], fields: Sequence[str], *, batch_size: int | None = None
) -> int:
    """Do `rows.bulk_update(pieces, fields)`, publish `furniture_updated` for what it changed."""
    rows, mapper = _mapped(rows)
    changed = 0
    with transaction.atomic(using=rows.db):
        # In the order of the keys: two of these cannot wait for each other.
        for chunk in _chunks(sorted(pieces, key=lambda piece: key_of(piece, mapper))):
            keys = [key_of(piece, mapper) for piece in chunk]
            mine = rows_at(keys, mapper, rows.db)
            lock(mine)
            before = read_before(mapper, mine)
            changed += rows.bulk_update(chunk, fields, batch_size=batch_size)
            record_changes(before, read(mapper, mine), rows.db)
    return changed


def update(rows: Rows, **values: Any) -> int:
    """Do `rows.update(**values)` and publish `furniture_updated` for each row that it changed."""
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        keys = _locked_keys(rows, mapper)
        before = _read(read_before, keys, mapper, rows.db)
        if connections[rows.db].features.has_select_for_update:
            # What matches only by now is not locked; what matches no more is not written either.
            rows = rows.filter(**{f"{_key_name(mapper)}__in": keys})
        changed = rows.update(**values)
        record_changes(before, _read(read, keys, mapper, rows.db), rows.db)
    return changed


def publish_created(rows: Rows) -> int:
    """Publish `furniture_created` for rows as they are, such as a fixture's; return how many."""
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        furniture = _read(read, _locked_keys(rows, mapper), mapper, rows.db)
        record([(CREATED, each) for each in furniture.values()], rows.db)
    return len(furniture)


def _locked_keys(rows: "QuerySet[Any]", mapper: Mapper) -> list[Any]:
    # The rows in a query of their own: those of a distinct or sliced one cannot be locked.
    chosen = rows_of(mapper.model, rows.db).filter(pk__in=rows.values(_key_name(mapper)))
    return list(lock(chosen))


def _key_name(mapper: Mapper) -> str:
    field: Any = mapper.model._meta.pk
    return str(field.name)


def _read(
    reader: "Callable[[Mapper, QuerySet[Any]], Mapping[Any, Read]]",
    keys: Sequence[Any],
    mapper: Mapper,
    using: str,
) -> dict[Any, Read]:
    return {
        pk: each
        for chunk in _chunks(keys)
        for pk, each in reader(mapper, rows_at(chunk, mapper, using)).items()
    }


def _mapped(rows: Rows) -> "tuple[QuerySet[Any], Mapper]":
    """Return the rows on the database that they are written to, and their model's mapper."""
    mapper = mapper_of(rows.model)
    if mapper is None:
        raise ValueError(f"{rows.model._meta.label} is not in FURNITURE_EVENTS['MODELS']")
    every: Any = rows.all()
    return every.using(every._db or router.db_for_write(every.model)), mapper


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
