"""Watch the saves and deletes of the mapped models, and publish their changes.

Without an open transaction, Django commits a save before it sends ``post_save``. So this module
wraps ``save_base``, which every save calls, on each mapped model. One transaction then has the read
before, the save, the read after, and the outbox's row. A delete is one transaction already.

This module does not publish ``bulk_create``, ``bulk_update``, ``QuerySet.update`` and fixtures: see
``bulk``. Nor does it see a change through another row (an author who is renamed, or deleted with
``SET_NULL``), or a migration's historical models. No later save publishes such a
change by itself: use ``publish``.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_delete

from furniture_events.django.conf import models
from furniture_events.django.mapping import (
    Before,
    Mapper,
    MappingError,
    children_of,
    key_of,
    lock,
    make_mapper,
    mapper_of,
    parent_of,
    read,
    read_before,
    register,
    rows_at,
)
from furniture_events.django.publishing import record_changes, record_deleted

__all__ = ["watch"]

_logger = logging.getLogger("furniture_events.django")


@dataclass(slots=True)
class _Change:
    """A save or delete of a piece's row that has not ended yet."""

    piece: Model
    using: str
    created: bool | None = None
    """The ``created`` argument of ``post_save``. None until ``post_save`` is sent."""
    is_over: bool = False
    """True at its end. A receiver's thread or task may still have this context afterwards."""

    def is_of(self, piece: Model, using: str) -> bool:
        return (
            not self.is_over
            and self.using == using
            and (self.piece is piece or _same(self.piece, piece))
        )


_changes: ContextVar[tuple[_Change, ...]] = ContextVar("_changes", default=())
"""The changes that have not ended yet, the outermost first."""

_UNKNOWN = LookupError("another transaction inserted this row")


def watch() -> None:
    """Watch every mapped model. The checks report the models that cannot be mapped."""
    mappers = []
    for label, mapping in models().items():
        try:
            mapper = make_mapper(apps.get_model(str(label)), mapping)
        except (LookupError, ValueError, MappingError) as error:
            _logger.error("model_is_not_published model=%r reason=%s", label, error)  # noqa: TRY400
        else:
            register(mapper)
            mappers.append(mapper)
    for mapper in mappers:
        _watch_saves(mapper)
        if parent_of(mapper):
            _watch_deletes(mapper)
        _connect(mapper)


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
        may_publish = (
            not raw
            and mapper_of(type(self)) is mapper
            and (update_fields is None or _concerns(mapper, update_fields))
        )
        new = (
            force_insert is True
            and self._state.adding
            and self._meta.concrete_model is mapper.model
        )
        with _publishing(self, mapper, alias, new=new) if may_publish else nullcontext():
            original(
                self,
                raw=raw,
                force_insert=force_insert,
                force_update=force_update,
                using=alias,
                update_fields=update_fields,
            )

    mapper.model.save_base = save_base  # type: ignore[assignment, method-assign]


def _concerns(mapper: Mapper, fields: Collection[str]) -> bool:
    return any(each.concerns(fields) for each in (mapper, *children_of(mapper)))


def _watch_deletes(mapper: Mapper) -> None:
    """Watch ``delete(keep_parents=True)``, which sends the same signals as a full delete."""
    original = mapper.model.delete

    @wraps(original)
    def delete(
        self: Model, *args: Any, **options: Any
    ) -> Any:  # any arguments: a project may override `delete`
        parent = parent_of(mapper) if options.get("keep_parents") else None
        if parent is None:
            return original(self, *args, **options)
        using = options.get("using") or next(iter(args), None)
        with _publishing(self, parent, using or router.db_for_write(type(self), instance=self)):
            return original(self, *args, **options)

    mapper.model.delete = delete  # type: ignore[method-assign]


@contextmanager
def _publishing(piece: Model, mapper: Mapper, using: str, *, new: bool = False) -> Iterator[None]:
    """Publish the change of the row in this block, once, even if receivers save or delete it too.

    If the row is ``new``, it is inserted or the save fails: there is no row to read before.
    """
    if any(change.is_of(piece, using) for change in _changes.get()):
        yield
        return
    connection = connections[using]
    outer = (
        nullcontext()
        if connection.in_atomic_block
        else transaction.atomic(using=using, savepoint=False)
    )
    with outer:
        row = rows_at([key_of(piece, mapper)], mapper, using)
        if not (new and connection.features.has_select_for_update):
            lock(row)  # SQLite's lock for a new row, too: a receiver may read before the insert
        before = {} if new else read_before(mapper, row)
        change = _Change(piece, using)
        token = _changes.set((*_changes.get(), change))
        try:
            yield
        except BaseException:
            change.is_over = True
            _changes.reset(token)
            # If the caller catches a receiver's error, the row may still be committed.
            if not connection.needs_rollback and not (new and piece._state.adding):
                with suppress(Exception):
                    _record(before, change, mapper)
            raise
        change.is_over = True
        _changes.reset(token)
        _record(before, change, mapper)


def _record(before: Before, change: _Change, mapper: Mapper) -> None:
    # The row is written. If this fails, the transaction must not commit the row without its event.
    with transaction.atomic(using=change.using, savepoint=False):
        keys = {*before, key_of(change.piece, mapper)}
        after = read(mapper, rows_at(keys, mapper, change.using))
        if change.created is False:  # so another transaction has inserted a row that was not there
            before = {**dict.fromkeys(after, _UNKNOWN), **before}
        record_changes(before, after, change.using)


def _same(one: Model, other: Model) -> bool:
    """Tell whether both are one piece. A parent and its child are one piece if they are one row."""
    first, second = (mapper_of(type(each)) for each in (one, other))
    if first is None or second is None:
        return False
    related = issubclass(first.model, second.model) or issubclass(second.model, first.model)
    key = key_of(one, first)
    return related and key is not None and key == key_of(other, second)


def _connect(mapper: Mapper) -> None:
    # Only the mapped models: with a receiver for all models, Django could not use its fast delete.
    for model in apps.get_models(include_auto_created=True):
        if issubclass(model, mapper.model) and model._meta.concrete_model is mapper.model:
            for signal, receiver in _RECEIVERS:
                signal.connect(receiver, sender=model, dispatch_uid="furniture_events")


def _after_save(instance: Model, created: bool, using: str, **_: object) -> None:  # noqa: FBT001
    for change in _changes.get():
        # A child's save may insert the child's row and update the parent's.
        if change.is_of(instance, using) and (created or change.piece is instance):
            change.created = change.created or created


def _before_delete(instance: Model, using: str, **_: object) -> None:
    state: Any = instance._state
    state.furniture_events_before = _to_delete(instance, using)


def _to_delete(piece: Model, using: str) -> Before:
    """Return the furniture to publish as deleted, after the delete."""
    mapper = mapper_of(type(piece))
    if mapper is None or any(change.is_of(piece, using) for change in _changes.get()):
        return {}
    key = key_of(piece, mapper)
    if any(rows_at([key], child, using).exists() for child in children_of(mapper)):
        return {}  # the child's row is deleted, too, and publishes the event
    row = rows_at([key], mapper, using)
    lock(row)
    return read_before(mapper, row)


def _after_delete(instance: Model, using: str, **_: object) -> None:
    # After the delete: a receiver may still save the row before it.
    record_deleted(instance._state.__dict__.pop("furniture_events_before", {}), using)


_RECEIVERS = (
    (post_save, _after_save),
    (pre_delete, _before_delete),
    (post_delete, _after_delete),
)
