"""Sees the mapped models being saved and deleted, and publishes what that changed.

Django commits a save before it says that it is saved, unless somebody opened a transaction. So
`save_base`, which every save goes through, is wrapped on each mapped model: the row before, the
save and the row after are one transaction, with the outbox's row in it. Deleting is one already.

`bulk_create`, `bulk_update`, `QuerySet.update` and fixtures do not come by here: see `bulk`.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import pre_delete

from furniture_events.django.mapping import (
    Furniture,
    Mapper,
    MappingError,
    lock,
    make_mapper,
    mapper_of,
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
    models = getattr(settings, "FURNITURE_EVENTS", {}).get("MODELS", {})
    for label, how in models.items():
        try:
            mapper = make_mapper(apps.get_model(label), how)
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
            and (update_fields is None or mapper.concerns(update_fields))
        )
        with _publishing(self, mapper, alias) if concerned else nullcontext():
            original(self, raw, force_insert, force_update, alias, update_fields)

    mapper.model.save_base = save_base  # type: ignore[assignment, method-assign]


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
        before = _read(piece, mapper, using, locked=True)
        token = _saving.set((*_saving.get(), (piece, using)))
        try:
            yield
        finally:
            _saving.reset(token)
            # Whoever catches a receiver's error commits the row all the same.
            if not connection.needs_rollback:
                record_changes(before, _read(piece, mapper, using), using)


def _same(one: Model, other: Model) -> bool:
    return one.pk == other.pk and mapper_of(type(one)) is mapper_of(type(other))


def _read(
    piece: Model, mapper: Mapper, using: str, *, locked: bool = False
) -> Mapping[Any, Furniture]:
    if piece.pk is None:
        return {}
    rows = rows_of(mapper.model, using).filter(pk=piece.pk)
    return mapper.read(lock(rows) if locked else rows)


def _watch_deletes(mapper: Mapper) -> None:
    # Receivers for all models would take Django's fast deletes from models of no concern.
    for model in apps.get_models(include_auto_created=True):
        if issubclass(model, mapper.model) and model._meta.concrete_model is mapper.model:
            pre_delete.connect(_on_delete, sender=model, dispatch_uid="furniture_events")


def _on_delete(instance: Model, using: str, **_: object) -> None:
    mapper = mapper_of(type(instance))
    if mapper is not None:
        before = _read(instance, mapper, using, locked=True)
        record([(DELETED, furniture) for furniture in before.values()], using)
