"""The system checks of mapped columns: which exist, and which can hold what the contract asks for.

The broker refuses each event of a wrong column, long after its save. So the checks tell it before.
They query nothing.
"""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldError, ValidationError
from django.db.models import (
    BooleanField,
    CharField,
    DateField,
    DecimalField,
    DurationField,
    F,
    FileField,
    FilePathField,
    FloatField,
    ForeignKey,
    GeneratedField,
    GenericIPAddressField,
    IntegerField,
    Model,
    QuerySet,
    TextField,
    TimeField,
    UUIDField,
)

from furniture_events._contract import FURNITURE_FIELDS
from furniture_events._fields import FURNITURE_RULES, TextRule
from furniture_events.django.findings import error, warning
from furniture_events.django.lookups import fields_of
from furniture_events.django.mapping import PUBLISH_IF

__all__ = ["check_condition", "check_lookup"]

_NUMBERS = (IntegerField, FloatField, DecimalField)
_TEXTS = (CharField, TextField, FileField, FilePathField, UUIDField, GenericIPAddressField)
_TEXTS_IN_JSON = (*_TEXTS, DateField, TimeField, DurationField)

_NOT_IN_JSON = frozenset({"BinaryField", "RangeField", "BaseSpatialField"})
"""By name, because PostgreSQL's and GeoDjango's fields cannot be imported everywhere."""


def check_lookup(where: str, model: type[Model], name: str, lookup: str) -> Iterator[CheckMessage]:
    """Check the lookup of the furniture's field ``name``."""
    fields = list(fields_of(model, lookup))
    try:
        column = _column_of(model, lookup)
    except (FieldError, ValueError):  # a ValueError if it is not an identifier
        column = None
    if column is None or any(field.one_to_many or field.many_to_many for field in fields):
        yield error(
            6,
            f"{where}: {name} is not mapped: {lookup!r} is not a column of {model.__name__}.",
            f"Map it, such as {{{name!r}: 'another_column'}}, or use a function.",
        )
        return
    if name in FURNITURE_FIELDS and any(field.null for field in fields):
        yield warning(
            2,
            f"{where}: {name} is required, and {lookup!r} may be NULL.",
            "The broker refuses such events. Use a function that always returns a value.",
        )
    if not _is_json(column):
        yield error(
            10,
            f"{where}: {name} is {lookup!r}, a {type(column).__name__}, which JSON cannot hold.",
            "Every save would fail. Use a function that returns a text or a number.",
        )
    for number, problem in _problems(name, column):
        yield warning(
            number,
            f"{where}: {name} {problem}: {lookup!r}.",
            "The broker refuses such events. Map another column, or use a function.",
        )


def check_condition(where: str, model: type[Model], lookup: str) -> Iterator[CheckMessage]:
    """Check the lookup of ``PUBLISH_IF``."""
    if not _is_condition(model, lookup):
        yield error(
            6,
            f"{where}: {PUBLISH_IF} is {lookup!r}, which is not true or false for a row of"
            f" {model.__name__}.",
            "Name a BooleanField, a lookup such as 'deleted__isnull', or a function.",
        )


def _column_of(model: type[Model], lookup: str) -> Any:
    """Return the field that describes the values of a lookup.

    Raises:
        FieldError, ValueError: the lookup leads to no column.
    """
    rows: Any = QuerySet(model).annotate(furniture_events_column=F(lookup))
    field = rows.query.annotations["furniture_events_column"].output_field
    while isinstance(field, ForeignKey):
        field = field.target_field
    return field.output_field if isinstance(field, GeneratedField) else field


def _is_json(column: Any) -> bool:
    item = getattr(column, "base_field", column)  # of an array
    classes = (*type(column).__mro__, *type(item).__mro__)
    return _NOT_IN_JSON.isdisjoint(each.__name__ for each in classes)


def _problems(name: str, column: Any) -> Iterator[tuple[int, str]]:
    """Yield the ways in which a column's values break the contract's rule for a field.

    W007 is a class that never fits, and W008 a text that may be too short or too long.

    Columns of JSON, and columns whose values a project converts, may hold anything.
    """
    rule = FURNITURE_RULES.get(name)
    if rule is None or hasattr(column, "from_db_value"):
        return
    wrong: tuple[type, ...] = (*_NUMBERS, BooleanField)
    if not isinstance(rule, TextRule):
        wrong = (*_TEXTS_IN_JSON, BooleanField)
    elif name == "furniture_id":
        wrong = ()  # it becomes text
    if isinstance(column, wrong):
        yield 7, f"{rule.message}, but its column is of the class {type(column).__name__}"
    elif isinstance(rule, TextRule) and isinstance(column, _TEXTS):
        if column.blank and rule.min_length:
            yield 8, f"{rule.message}, but its column may be blank"
        if (column.max_length or 0) > rule.max_length:
            yield 8, f"{rule.message}, but its column may have {column.max_length}"


def _is_condition(model: type[Model], lookup: str) -> bool:
    if any(field.one_to_many or field.many_to_many for field in fields_of(model, lookup)):
        return False
    try:
        return isinstance(_column_of(model, lookup), BooleanField)
    except (FieldError, ValueError):  # perhaps it is a comparison, and not a column
        pass
    try:
        QuerySet(model).filter(**{lookup: True})
    except (FieldError, TypeError, ValueError, ValidationError):
        return False
    return True
