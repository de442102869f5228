"""Sees the mapped models being saved and deleted, and publishes what that changed.

Django commits a save before it says that it is saved, unless somebody opened a transaction. So
`save_base`, which every save goes through, is wrapped on each mapped model: the row before, the
save and the row after are one transaction, with the outbox's row in it. Deleting is one already.

`bulk_create`, `bulk_update`, `QuerySet.update` and fixtures do not come by here: see `bulk`. Nor
does what changes through another row: an author who is renamed, or deleted with `SET_NULL`, and
a migration's historical models. The piece's next change tells it, or `publish` by hand.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import pre_delete

from furniture_events.django.conf import models
from furniture_events.django.mapping import (
    Furniture,
    Mapper,
    MappingError,
    children_of,
    key_of,
    make_mapper,
    mapper_of,
    read_piece,
    register,
    rows_of,
)
from furniture_events.django.publishing import DELETED, record, record_changes

__all__ = ["watch"]

_logger = logging.getLogger("furniture_events.django")

_saving: ContextVar[tuple[tuple[Model, str], ...]] = ContextVar("_saving", default=())
"""The saves that are under way, outermost first, each with its database."""


def watch() -> None:
    """See every mapped model's saves and deletes. What cannot be mapped, the checks tell."""
    for label, how in models().items():
        try:
            mapper = make_mapper(apps.get_model(str(label)), how)
        except (LookupError, ValueError, MappingError) as error:
            _logger.error("model_is_not_published model=%r reason=%s", label, error)  # noqa: TRY400
        else:
            register(mapper)
            _watch_saves(mapper)
            _watch_deletes(mapper)


def _watch_saves(mapper: Mapper) -> None:
    original = mapper.model.save_base

    @wraps(original)
    def save_base(  # noqa: PLR0917 - Django's signature
        self: Model,
        raw: bool = False,  # noqa: FBT001, FBT002
        force_insert: bool | tuple[Any, ...] = False,  # noqa: FBT001, FBT002
        force_update: bool = False,  # noqa: FBT001, FBT002
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> None:
        alias = using or router.db_for_write(type(self), instance=self)
        concerned = (
            not raw
            and mapper_of(type(self)) is mapper
            and (update_fields is None or _concerns(mapper, update_fields))
        )
        with _publishing(self, mapper, alias) if concerned else nullcontext():
            original(self, raw, force_insert, force_update, alias, update_fields)

    mapper.model.save_base = save_base  # type: ignore[assignment, method-assign]


def _concerns(mapper: Mapper, fields: Collection[str]) -> bool:
    return any(each.concerns(fields) for each in (mapper, *children_of(mapper)))


@contextmanager
def _publishing(piece: Model, mapper: Mapper, using: str) -> Iterator[None]:
    """Publish what becomes of the row meanwhile, once, also where receivers save it again."""
    if any(
        database == using and (other is piece or (piece.pk is not None and _same(other, piece)))
        for other, database in _saving.get()
    ):
        yield
        return
    connection = connections[using]
    outer = nullcontext() if connection.in_atomic_block else transaction.atomic(using=using)
    with outer:
        before = read_piece(piece, mapper, using, locked=True)
        token = _saving.set((*_saving.get(), (piece, using)))
        try:
            yield
        except BaseException:
            _saving.reset(token)
            # Whoever catches a receiver's error commits the row all the same, unless this fails.
            if not connection.needs_rollback:
                with suppress(Exception):
                    _record(before, piece, mapper, using)
            raise
        _saving.reset(token)
        _record(before, piece, mapper, using)


def _record(before: Mapping[Any, Furniture], piece: Model, mapper: Mapper, using: str) -> None:
    # The row is written: whoever catches what is raised here must not commit it without its event.
    with transaction.atomic(using=using, savepoint=False):
        record_changes(before, read_piece(piece, mapper, using), using)


def _same(one: Model, other: Model) -> bool:
    """Tell whether both are one piece; a parent and its child are where they are one row."""
    first, second = (mapper_of(type(each)) for each in (one, other))
    if first is None or second is None:
        return False
    related = issubclass(first.model, second.model) or issubclass(second.model, first.model)
    return related and key_of(one, first) == key_of(other, second)


def _watch_deletes(mapper: Mapper) -> None:
    # Receivers for all models would take Django's fast deletes from models of no concern.
    for model in apps.get_models(include_auto_created=True):
        if issubclass(model, mapper.model) and model._meta.concrete_model is mapper.model:
            pre_delete.connect(_on_delete, sender=model, dispatch_uid="furniture_events")


def _on_delete(instance: Model, using: str, **_: object) -> None:
    mapper = mapper_of(type(instance))
    if mapper is None:
        return
    for child in children_of(mapper):  # it goes too, and is told of by itself
        if rows_of(child.model, using).filter(pk=key_of(instance, mapper)).exists():
            return
    before = read_piece(instance, mapper, using, locked=True)
    record([(DELETED, furniture) for furniture in before.values()], using)
