"""Mappings, which make furniture of a model's rows: by lookups, or by a function of the project.

Furniture is read from the database, in the transaction that changes it. So it has the columns'
values (a rounded price, the author's new name), even if the instance in memory has others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, time
from typing import Any, Protocol, TypeAlias

from django.db import Error, connections
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, QuerySet, Value
from django.db.models.expressions import DatabaseDefault
from django.utils.module_loading import import_string

from furniture_events._contract import FURNITURE_FIELDS
from furniture_events.django.lookups import fields_of, localized
from furniture_events.django.routing import reading_from
from furniture_events.django.site_view import site_view

__all__ = [
    "PUBLISH_IF",
    "Before",
    "Furniture",
    "Lookups",
    "Mapper",
    "MappingError",
    "Rows",
    "children_of",
    "key_in",
    "key_of",
    "lock",
    "make_mapper",
    "mapper_of",
    "mappers",
    "parent_of",
    "read",
    "read_before",
    "register",
    "rows_at",
    "rows_of",
]

Furniture: TypeAlias = dict[str, object]

Rows: TypeAlias = dict[Any, Furniture | None]
"""Rows by primary key. None: the mapping hides the row, so consumers never see it."""

Before: TypeAlias = Mapping[Any, Furniture | Exception | None]
"""Rows before a change. An exception: the row is not hidden, but it has no valid furniture."""

PUBLISH_IF = "PUBLISH_IF"

_SAME_NAMES = {name: name for name in FURNITURE_FIELDS} | {"furniture_id": "pk"}


class MappingError(Exception):
    """A model's mapping cannot be used. The message says why."""


class Mapper(Protocol):
    """Makes furniture of one model's rows."""

    model: type[Model]

    def read(self, rows: "QuerySet[Any]") -> Rows:
        """Return each row's furniture by its primary key, in the order of the rows."""

    def concerns(self, fields: Collection[str], model: type[Model] | None = None) -> bool:
        """Tell whether saving these fields of a row can change furniture.

        Args:
            fields: names of fields or of their columns.
            model: the row's model, if it is a related row. None: it is a row of this mapper.
        """


class Lookups:
    """Maps each of the furniture's fields to a lookup, such as ``autor__username``.

    By default a field has the model's field of the same name, and ``furniture_id`` has the primary
    key. A name that the contract does not know becomes another field of the furniture.

    ``PUBLISH_IF`` is no field. Its lookup must be true, or its function must return a true value
    for the instance. Otherwise the row is hidden.

    Raises:
        MappingError: the function of ``PUBLISH_IF`` cannot be used.
    """

    def __init__(self, model: type[Model], lookups: Mapping[str, str]) -> None:
        self.model = model
        self.lookups = _SAME_NAMES | dict(lookups)
        condition = self.lookups.pop(PUBLISH_IF, "")
        self._is_shown = _imported(condition) if "." in condition else None
        self.publish_if = "" if self._is_shown else condition
        """The lookup of ``PUBLISH_IF``. Empty without ``PUBLISH_IF``, and if it is a function."""
        used = [*self.lookups.values(), condition]
        self._fields = {field for lookup in used for field in fields_of(model, lookup)}

    def read(self, rows: "QuerySet[Any]") -> Rows:
        """Read only the mapped columns, related ones by a join, in one query."""
        shown: Any = Value(True)
        if self.publish_if:
            shown = ExpressionWrapper(
                Q(**{localized(self.model, self.publish_if): True}), BooleanField()
            )
        columns = [localized(self.model, lookup) for lookup in self.lookups.values()]
        furniture = {
            pk: _furniture(pk, dict(zip(self.lookups, values, strict=True))) if is_shown else None
            for pk, is_shown, *values in rows.values_list("pk", shown, *columns)
        }
        if self._is_shown is not None:
            with reading_from(rows.db, self.model):
                furniture |= {row.pk: None for row in rows.all() if not self._is_shown(row)}
        return furniture

    def concerns(self, fields: Collection[str], model: type[Model] | None = None) -> bool:
        if self._is_shown is not None:  # it may read any field
            return True
        return any(
            field.generated or field.name in fields or field.attname in fields
            for field in (model or self.model)._meta.concrete_fields
            # A column of modeltranslation belongs to its translated field.
            if not self._fields.isdisjoint((field, getattr(field, "translated_field", field)))
        )


class Function:
    """Calls a function of the project with an instance that was just read.

    If the function returns None, the row is hidden.
    """

    def __init__(
        self, model: type[Model], function: Callable[[Any], Mapping[str, object] | None]
    ) -> None:
        self.model = model
        self._function = function

    def read(self, rows: "QuerySet[Any]") -> Rows:
        # A new query: a queryset keeps the rows that it has read before.
        with reading_from(rows.db, self.model):
            return {row.pk: _furniture(row.pk, self._function(row)) for row in rows.all()}

    def concerns(
        self,
        fields: Collection[str],  # noqa: ARG002 - it may read any field
        model: type[Model] | None = None,  # noqa: ARG002 - of any row
    ) -> bool:
        return True


def make_mapper(model: type[Model], mapping: object) -> Mapper:
    """Make a model's mapper from its mapping in ``MODELS``.

    Raises:
        MappingError: the mapping cannot be used.
    """
    concrete = model._meta.concrete_model
    if concrete is not None and concrete is not model:
        raise MappingError(f"is a proxy: map {concrete._meta.label}")
    match mapping:
        case Mapping() if all(isinstance(part, str) for pair in mapping.items() for part in pair):
            return Lookups(model, mapping)
        case str():
            return Function(model, _imported(mapping))
    raise MappingError("must be a dict of lookups, or a function's dotted name")


def _imported(name: str) -> Callable[[Any], Any]:
    try:
        function = import_string(name)
    except Exception as error:
        # Any error of the module or the name. The checks show it, and the site starts.
        reason = f"{type(error).__name__}: {error}"
        raise MappingError(f"{name!r} cannot be imported: {reason}") from error
    if not callable(function):
        raise MappingError(f"{name!r} is not a function")
    return function  # type: ignore[no-any-return]


_mappers: dict[type[Model], Mapper] = {}


def register(mapper: Mapper) -> None:
    """Use this mapper for its model, and for the models that inherit from it."""
    _mappers[mapper.model] = mapper


def mappers() -> list[Mapper]:
    """Return all mappers."""
    return list(_mappers.values())


def mapper_of(model: type[Model]) -> Mapper | None:
    """Return a model's own mapper, or that of the nearest model that it inherits from."""
    return next((_mappers[base] for base in model.__mro__ if base in _mappers), None)


def children_of(mapper: Mapper) -> list[Mapper]:
    """Return the mappers of child models, whose rows are also rows of this mapper's model."""
    return sorted(
        (
            child
            for model, child in _mappers.items()
            if (link := model._meta.get_ancestor_link(mapper.model)) and link.primary_key
        ),
        key=lambda child: len(child.model.__mro__),
    )


def parent_of(mapper: Mapper) -> Mapper | None:
    """Return the mapper of the nearest parent model, if there is one."""
    parents = (_mappers[base] for base in mapper.model.__mro__[1:] if base in _mappers)
    return next((parent for parent in parents if mapper in children_of(parent)), None)


def key_of(piece: Model, mapper: Mapper) -> Any:
    """Return the primary key of a piece's row in the mapper's model, in its database form.

    None if the piece has no key yet, or the database will make the key.
    """
    return key_in(mapper.model, piece)


def key_in(model: type[Model], row: Model) -> Any:
    """Return the primary key of a row in its own model or in a parent's; see ``key_of``."""
    field: Any = model._meta.pk
    key = getattr(row, field.attname)
    if key is None and (link := row._meta.get_ancestor_link(model)):
        key = getattr(row, link.attname)  # an object that a serializer has read has only this one
    return None if isinstance(key, DatabaseDefault) else field.to_python(key)


def read(mapper: Mapper, rows: "QuerySet[Any]") -> Rows:
    """Return each row's furniture by its primary key. The child's mapper is used for its rows."""
    with site_view():
        furniture = mapper.read(rows)
        for child in children_of(mapper) if furniture else ():
            furniture |= child.read(rows_at(list(furniture), child, rows.db))
    return furniture


def read_before(mapper: Mapper, rows: "QuerySet[Any]") -> Before:
    """Return each row's furniture before a change, or the error of a row that has none.

    Such a row must not stop a save that repairs it, or a delete.

    Raises:
        Error: the database failed, and the transaction may be broken.
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
        pk: furniture
        for key in keys
        for pk, furniture in read_before(mapper, rows_at([key], mapper, rows.db)).items()
    }


def rows_at(keys: Collection[Any], mapper: Mapper, using: str) -> "QuerySet[Any]":
    """Return the rows of a mapper's model with these primary keys; None is skipped."""
    return rows_of(mapper.model, using).filter(pk__in=[key for key in keys if key is not None])


def rows_of(model: type[Model], using: str) -> "QuerySet[Any]":
    """Return all rows of a model, in order.

    Without the model's own managers: they may hide rows, rename columns (modeltranslation), or make
    a query whose rows PostgreSQL cannot lock (``distinct``, an aggregate).
    """
    return QuerySet(model, using=using).order_by("pk")


def lock(rows: "QuerySet[Any]") -> Iterable[Any]:
    """Lock rows until the open transaction ends; return their keys.

    So the order of their outbox rows is the order of their commits. Read the rows after this, in
    another query. A query that waited for a lock has the row's new values, but joins it with the
    old ones: if the row has another author now, an inner join does not find it.
    """
    connection = connections[rows.db]
    if not connection.features.has_select_for_update:
        # SQLite has one lock. A transaction that began with a read may fail to get it later.
        table = connection.ops.quote_name(rows.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE 0")  # noqa: S608 - quoted, and no value in it
        return rows.values_list("pk", flat=True)
    # The lock of an UPDATE: rows that only refer to this row can still be written.
    locked = rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)
    if rows.model._meta.get_parent_list():  # all columns, so that all tables of the row are locked
        return [row.pk for row in locked.select_related(None)]
    return list(locked.values_list("pk", flat=True))


def _furniture(pk: object, values: Mapping[str, object] | None) -> Furniture | None:
    if values is None:
        return None
    furniture = {"furniture_id": pk, **values}
    key = furniture["furniture_id"]
    furniture["furniture_id"] = key.isoformat() if isinstance(key, date | time) else str(key)
    return furniture
