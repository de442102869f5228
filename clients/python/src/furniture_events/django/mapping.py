"""How a model's rows become furniture: by lookups, or by a function of the project.

What is published is read from the database, in the transaction that changes it: it has what the
columns hold (a rounded price, the author's new name), whatever the instance in memory says.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, time
from typing import Any, Protocol, TypeAlias

from django.db import Error, connections
from django.db.models import Field, Model, QuerySet
from django.db.models.expressions import DatabaseDefault
from django.utils.module_loading import import_string

from furniture_events._encoding import FURNITURE_FIELDS

__all__ = [
    "Before",
    "Furniture",
    "Lookups",
    "Mapper",
    "MappingError",
    "children_of",
    "key_of",
    "lock",
    "make_mapper",
    "mapper_of",
    "parent_of",
    "read",
    "read_before",
    "register",
    "rows_at",
    "rows_of",
]

Furniture: TypeAlias = dict[str, object]

Before: TypeAlias = Mapping[Any, Furniture | Exception]
"""Rows before a change, by primary key; of one that cannot be mapped, why not."""

_SAME_NAMES = {name: name for name in FURNITURE_FIELDS} | {"furniture_id": "pk"}


class MappingError(Exception):
    """What maps a model cannot be used; the message says why."""


class Mapper(Protocol):
    """Makes furniture of the rows of one model."""

    model: type[Model]

    def read(self, rows: "QuerySet[Any]") -> dict[Any, Furniture]:
        """Return each row's furniture by its primary key, in the order of the rows."""

    def concerns(self, fields: Collection[str]) -> bool:
        """Tell whether saving these fields of a row can change its furniture."""


class Lookups:
    """The field map: names of the furniture's fields to lookups such as `autor__username`.

    Names that are not given are the model's own, `furniture_id` its primary key. A name that the
    contract does not know is a further field of the furniture.
    """

    def __init__(self, model: type[Model], lookups: Mapping[str, str]) -> None:
        self.model = model
        self.lookups = _SAME_NAMES | dict(lookups)
        first = [_first_field(model, lookup) for lookup in self.lookups.values()]
        fields = [field for field in first if field is not None]
        self._columns = {name for field in fields for name in (field.name, field.attname)}
        self._computed = any(field.generated for field in fields)

    def read(self, rows: "QuerySet[Any]") -> dict[Any, Furniture]:
        """Read the columns alone, related ones by a join: one query, whatever the lookups."""
        return {
            pk: _furniture(pk, dict(zip(self.lookups, values, strict=True)))
            for pk, values in (
                (row[0], row[1:]) for row in rows.values_list("pk", *self.lookups.values())
            )
        }

    def concerns(self, fields: Collection[str]) -> bool:
        return self._computed or not self._columns.isdisjoint(fields)


class Function:
    """A function of the project: an instance as the database has it, to its furniture."""

    def __init__(self, model: type[Model], function: Callable[[Any], Mapping[str, object]]) -> None:
        self.model = model
        self._function = function

    def read(self, rows: "QuerySet[Any]") -> dict[Any, Furniture]:
        # As they are now: a queryset keeps the rows that it was read with.
        return {row.pk: _furniture(row.pk, self._function(row)) for row in rows.all()}

    def concerns(self, fields: Collection[str]) -> bool:  # noqa: ARG002 - who knows what it reads
        return True


def make_mapper(model: type[Model], how: object) -> Mapper:
    """Make what `MODELS` says of a model. Raises `MappingError`."""
    concrete = model._meta.concrete_model
    if concrete is not None and concrete is not model:
        raise MappingError(f"is a proxy: map {concrete._meta.label}")
    match how:
        case Mapping() if all(isinstance(part, str) for pair in how.items() for part in pair):
            return Lookups(model, how)
        case str():
            try:
                function = import_string(how)
            except Exception as error:
                # Whatever its module does, or the name is: the checks tell, the site starts.
                reason = f"{type(error).__name__}: {error}"
                raise MappingError(f"{how!r} cannot be imported: {reason}") from error
            if callable(function):
                return Function(model, function)
            raise MappingError(f"{how!r} is no function")
    raise MappingError("must be a dict of lookups, or a function's dotted name")


_mappers: dict[type[Model], Mapper] = {}


def register(mapper: Mapper) -> None:
    """Make this the mapper of its model, and of what inherits from it."""
    _mappers[mapper.model] = mapper


def mapper_of(model: type[Model]) -> Mapper | None:
    """Return the mapper of a model: its own, or of the nearest that it inherits from."""
    return next((_mappers[base] for base in model.__mro__ if base in _mappers), None)


def children_of(mapper: Mapper) -> list[Mapper]:
    """Return the mappers of models that inherit from a mapper's, and are rows of it as well."""
    return sorted(
        (
            child
            for model, child in _mappers.items()
            if (link := model._meta.get_ancestor_link(mapper.model)) and link.primary_key
        ),
        key=lambda child: len(child.model.__mro__),
    )


def parent_of(mapper: Mapper) -> Mapper | None:
    """Return the mapper of the nearest model of which a mapper's rows are rows as well."""
    parents = (_mappers[base] for base in mapper.model.__mro__[1:] if base in _mappers)
    return next((parent for parent in parents if mapper in children_of(parent)), None)


def key_of(piece: Model, mapper: Mapper) -> Any:
    """Return the primary key of a piece's row in the mapper's model, as the database gives it.

    None where it has none yet, also where the database is to make it.
    """
    field: Any = mapper.model._meta.pk
    key = getattr(piece, field.attname)
    return None if isinstance(key, DatabaseDefault) else field.to_python(key)


def read(mapper: Mapper, rows: "QuerySet[Any]") -> dict[Any, Furniture]:
    """Return each row's furniture by its primary key; what is a child's row, as that is mapped."""
    furniture = mapper.read(rows)
    for child in children_of(mapper) if furniture else ():
        furniture |= child.read(rows_at(list(furniture), child, rows.db))
    return furniture


def read_before(mapper: Mapper, rows: "QuerySet[Any]") -> Before:
    """Return as `read` what is about to change: a row that cannot be mapped can be mended, or go.

    Raises the database's `Error`, after which the transaction may take nothing more.
    """
    try:
        return read(mapper, rows)
    except Error:
        raise
    except Exception as error:  # noqa: BLE001 - a project's function may raise anything
        keys = list(rows.values_list("pk", flat=True))
        if len(keys) <= 1:
            return dict.fromkeys(keys, error)
    return {
        pk: each
        for key in keys
        for pk, each in read_before(mapper, rows_at([key], mapper, rows.db)).items()
    }


def rows_at(keys: Collection[Any], mapper: Mapper, using: str) -> "QuerySet[Any]":
    """Return the rows of a mapper's model that have these primary keys; none has None."""
    return rows_of(mapper.model, using).filter(pk__in=[key for key in keys if key is not None])


def rows_of(model: type[Model], using: str) -> "QuerySet[Any]":
    """Return all rows of a model, in order, also those that its own managers hide."""
    return model._base_manager.using(using).order_by("pk")


def lock(rows: "QuerySet[Any]") -> Iterable[Any]:
    """Make that nobody else changes these rows before our transaction ends; return their keys.

    So the order of their outbox rows is the order of their commits. Read them only then, in
    another query: one that waited for a lock has the row as it is, and what was joined to it as
    it was; where the row refers to another author by now, an inner join does not have it at all.
    """
    connection = connections[rows.db]
    if not connection.features.has_select_for_update:
        # SQLite has one lock, which a transaction that began by reading may not get any more.
        table = connection.ops.quote_name(rows.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE 0")  # noqa: S608 - quoted, and no value in it
        return rows.values_list("pk", flat=True)
    # As an UPDATE locks: what only refers to the row may still be written beside it.
    locked = rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)
    if rows.model._meta.get_parent_list():  # all of a row's columns, and no others: its tables
        return [row.pk for row in locked.select_related(None)]
    return list(locked.values_list("pk", flat=True))


def _furniture(pk: object, values: Mapping[str, object]) -> Furniture:
    furniture = {
        name: value.isoformat() if isinstance(value, date | time) else value
        for name, value in {"furniture_id": pk, **values}.items()
    }
    return furniture | {"furniture_id": str(furniture["furniture_id"])}


def _first_field(model: type[Model], lookup: str) -> "Field[Any, Any] | None":
    name = lookup.split("__", maxsplit=1)[0]
    if name == "pk":
        return model._meta.pk
    return next(
        (each for each in model._meta.concrete_fields if name in (each.name, each.attname)), None
    )
