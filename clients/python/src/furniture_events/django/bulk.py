"""Bulk changes that publish: ``bulk_create``, ``bulk_update``, ``update`` and fixtures.

Django sends no signals for these. Each function here does the same as Django's own and publishes
the changes, in one transaction. ``QuerySet.delete`` needs no such function: the app sees it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

from django.db import NotSupportedError, connections, router, transaction
from django.db.models import Field, Func, Manager, Model, QuerySet, Value

from furniture_events._contract import CREATED
from furniture_events.django.chunks import CHUNK_ROWS, chunks
from furniture_events.django.mapping import (
    Furniture,
    Mapper,
    key_of,
    lock,
    mapper_of,
    read,
    read_before,
    rows_at,
    rows_of,
)
from furniture_events.django.publishing import record, record_changes

__all__ = ["bulk_create", "bulk_update", "is_publishing", "publish_created", "update"]

Piece = TypeVar("Piece", bound=Model)
Read = TypeVar("Read")
Rows: TypeAlias = "Manager[Any] | QuerySet[Any]"

_is_publishing: ContextVar[bool] = ContextVar("_is_publishing", default=False)


def is_publishing() -> bool:
    """Tell whether a function of this module calls Django's own now."""
    return _is_publishing.get()


@contextmanager
def _publishing() -> Iterator[None]:
    token = _is_publishing.set(True)
    try:
        yield
    finally:
        _is_publishing.reset(token)


def bulk_create(
    rows: Rows, pieces: Iterable[Piece], *, batch_size: int | None = None
) -> list[Piece]:
    """Do ``rows.bulk_create(pieces)`` and publish ``furniture_created`` for each piece.

    There are no options for conflicts: Django does not say which rows it wrote in that case.

    Args:
        rows: a manager or queryset of a mapped model.
        pieces: the instances to create.
        batch_size: how many rows one INSERT has; 500 if None.

    Raises:
        NotSupportedError: the database does not return the new primary keys.
        ValueError: the model is not mapped.
    """
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        size = CHUNK_ROWS if batch_size is None else batch_size
        with _publishing():
            created: list[Piece] = rows.bulk_create(list(pieces), batch_size=size)
        keys = [key_of(piece, mapper) for piece in created]
        if None in keys:
            raise NotSupportedError("bulk_create: the database does not tell the primary keys")
        furniture = _read(read, keys, mapper, rows.db)
        record(_created(furniture[key] for key in keys), rows.db)
    return created


def bulk_update(
    rows: Rows, pieces: Iterable[Model], fields: Sequence[str], *, batch_size: int | None = None
) -> int:
    """Do ``rows.bulk_update(pieces, fields)``; publish ``furniture_updated`` for changed rows.

    Args:
        rows: a manager or queryset of a mapped model.
        pieces: the instances with their new values.
        fields: the names of the fields to write.
        batch_size: as Django's.

    Returns:
        The number of rows that matched, as Django returns it.
    """
    rows, mapper = _mapped(rows)
    changed = 0
    with transaction.atomic(using=rows.db):
        # In the order of the keys, so that two bulk updates cannot wait for each other.
        for chunk in chunks(sorted(pieces, key=lambda piece: key_of(piece, mapper))):
            keys = [key_of(piece, mapper) for piece in chunk]
            chosen = rows_at(keys, mapper, rows.db)
            lock(chosen)
            before = read_before(mapper, chosen)
            with _publishing():
                changed += rows.bulk_update(chunk, fields, batch_size=batch_size)
            record_changes(before, read(mapper, chosen), rows.db)
    return changed


def update(rows: Rows, **values: Any) -> int:
    """Do ``rows.update(**values)``; publish ``furniture_updated`` for each changed row."""
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        keys = _locked_keys(rows, mapper)
        before = _read(read_before, keys, mapper, rows.db)
        if connections[rows.db].features.has_select_for_update:
            # Only the locked rows: others may match by now, and their old values are unknown.
            rows = rows.filter(**{f"{_key_name(mapper)}__in": _listed(keys, mapper, rows.db)})
        with _publishing():
            changed = rows.update(**values)
        record_changes(before, _read(read, keys, mapper, rows.db), rows.db)
    return changed


def publish_created(rows: Rows) -> int:
    """Publish ``furniture_created`` for existing rows, such as a fixture's, in one transaction.

    For many thousand rows, ``manage.py publish_furniture`` has a transaction for each chunk.

    Returns:
        The number of published rows, without the hidden ones.
    """
    rows, mapper = _mapped(rows)
    with transaction.atomic(using=rows.db):
        furniture = _read(read, _locked_keys(rows, mapper), mapper, rows.db)
        events = _created(furniture.values())
        record(events, rows.db)
    return len(events)


def _created(furniture: Iterable[Furniture | None]) -> list[tuple[str, Furniture]]:
    return [(CREATED, values) for values in furniture if values is not None]


def _locked_keys(rows: "QuerySet[Any]", mapper: Mapper) -> list[Any]:
    # A separate query, because a database cannot lock the rows of a distinct or sliced query.
    keys: Any = rows.values_list(_key_name(mapper), flat=True)
    if rows.query.is_sliced and not connections[rows.db].features.allow_sliced_subqueries_with_in:
        keys = list(keys)  # MariaDB and MySQL allow no slice in a subquery
    return list(lock(rows_of(mapper.model, rows.db).filter(pk__in=keys)))


def _listed(keys: Sequence[Any], mapper: Mapper, using: str) -> Any:
    """Return keys for a lookup ``__in``, however many they are.

    A statement of PostgreSQL has at most 65,535 parameters, if the server binds them. An array is
    one parameter.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return keys
    field: Any = mapper.model._meta.pk
    array = Value([field.get_db_prep_value(key, connection) for key in keys], Field())
    one = field.rel_db_type(connection)
    return Func(array, template=f"(SELECT unnest(%(expressions)s::{one}[]))", output_field=field)


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
        pk: result
        for chunk in chunks(keys)
        for pk, result in reader(mapper, rows_at(chunk, mapper, using)).items()
    }


def _mapped(rows: Rows) -> "tuple[QuerySet[Any], Mapper]":
    """Return the rows, on the database that takes writes, and their model's mapper."""
    mapper = mapper_of(rows.model)
    if mapper is None:
        raise ValueError(f"{rows.model._meta.label} is not in FURNITURE_EVENTS['MODELS']")
    queryset: Any = rows.all()
    return queryset.using(queryset._db or router.db_for_write(queryset.model)), mapper
