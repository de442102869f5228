"""Watch the saves and deletes of the mapped models, and publish their changes.

Without an open transaction, Django commits a save before it sends ``post_save``. So this module
wraps ``save_base``, which every save calls, on each class of a mapped model. One transaction then
has the read before, the save, the read after, and the outbox's row. A delete is one transaction
already.

This module does not publish ``bulk_create``, ``bulk_update``, ``QuerySet.update`` and fixtures: see
``bulk``. Nor does it see a change through another row (an author who is renamed, or deleted with
``SET_NULL``), which ``related`` publishes if the setting declares it, or a migration's historical
models. No later save publishes such a change by itself: use ``publish``.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_delete

from furniture_events.django import outbox
from furniture_events.django.changes import Change, is_open, open_changes, opening, transaction_of
from furniture_events.django.conf import models
from furniture_events.django.deserialized import is_loading_fixtures, watch_deserialized
from furniture_events.django.hooks import Method, for_each_class, wrap_method
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
from furniture_events.django.publishing import is_paused, record_changes, record_deleted

__all__ = ["watch"]

_logger = logging.getLogger("furniture_events.django")


_MARK = "furniture_events_publishing"
"""Marks the methods that publish."""

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
        for_each_class(mapper.model, _watch_class)
    watch_deserialized(lambda piece, using: _saving(piece, using, raw=True), _MARK)


def _watch_class(model: type[Model]) -> None:
    """Watch a mapped model, or a class that inherits from one."""
    mapper = mapper_of(model)
    wrap_method(model, "save_base", _published_save, _MARK)
    if mapper and parent_of(mapper):
        wrap_method(model, "delete", _published_delete, _MARK)
    # Only the mapped models: with a receiver for all models, Django could not use its fast delete.
    if mapper and model._meta.concrete_model is mapper.model:
        for signal, receiver in _RECEIVERS:
            signal.connect(receiver, sender=model, dispatch_uid="furniture_events")


def _published_save(original: Method) -> Method:
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
        new = force_insert is True and self._state.adding
        with _saving(self, alias, raw=raw, new=new, update_fields=update_fields):
            original(
                self,
                raw=raw,
                force_insert=force_insert,
                force_update=force_update,
                using=alias,
                update_fields=update_fields,
            )

    return save_base


def _saving(
    piece: Model,
    using: str,
    *,
    raw: bool,
    new: bool = False,
    update_fields: Collection[str] | None = None,
) -> AbstractContextManager[None]:
    """Return the context of a save, which publishes its change."""
    mapper = mapper_of(type(piece))
    if (
        mapper is None
        or is_paused()
        or (raw and is_loading_fixtures())
        or (update_fields is not None and not _concerns(mapper, update_fields))
    ):
        return nullcontext()
    if raw:  # it writes only the child's own table: its parent's row may be a piece already
        mapper = parent_of(mapper) or mapper
    new = new and piece._meta.concrete_model is mapper.model
    return _publishing(Change(piece, using, raw=raw), mapper, new=new)


def _concerns(mapper: Mapper, fields: Collection[str]) -> bool:
    return any(each.concerns(fields) for each in (mapper, *children_of(mapper)))


def _published_delete(original: Method) -> Method:
    """Publish ``delete(keep_parents=True)``, which sends the same signals as a full delete."""

    @wraps(original)
    def delete(
        self: Model, *args: Any, **options: Any
    ) -> Any:  # any arguments: a project may override `delete`
        mapper = mapper_of(type(self))
        parent = parent_of(mapper) if mapper and options.get("keep_parents") else None
        if parent is None:
            return original(self, *args, **options)
        using = options.get("using") or next(iter(args), None)
        change = Change(self, using or router.db_for_write(type(self), instance=self))
        with _publishing(change, parent):
            return original(self, *args, **options)

    return delete


@contextmanager
def _publishing(change: Change, mapper: Mapper, *, new: bool = False) -> Iterator[None]:
    """Publish the change of the row in this block, once, even if receivers save or delete it too.

    If the row is ``new``, it is inserted or the save fails: there is no row to read before.
    """
    piece, using = change.piece, change.using
    if is_open(piece, using):
        yield
        return
    outbox.check_migrated(using)
    connection = connections[using]
    with transaction_of(using):
        row = rows_at([key_of(piece, mapper)], mapper, using)
        if not (new and connection.features.has_select_for_update):
            lock(row)  # SQLite's lock for a new row, too: a receiver may read before the insert
        before = {} if new else read_before(mapper, row)
        try:
            with opening(change):
                yield
        except BaseException:
            # If the caller catches a receiver's error, the row may still be committed.
            if not connection.needs_rollback and not (new and piece._state.adding):
                with suppress(Exception):
                    _record(before, change, mapper)
            raise
        _record(before, change, mapper)


def _record(before: Before, change: Change, mapper: Mapper) -> None:
    # The row is written. If this fails, the transaction must not commit the row without its event.
    with transaction.atomic(using=change.using, savepoint=False):
        keys = {*before, key_of(change.piece, mapper)}
        after = read(mapper, rows_at(keys, mapper, change.using))
        if change.raw and rows_at(keys - after.keys(), mapper, change.using).exists():
            # A row without furniture: it may refer to a row that is missing. django-reversion then
            # tries again, after the other rows.
            connections[change.using].check_constraints([mapper.model._meta.db_table])
        if change.created is False:  # so another transaction has inserted a row that was not there
            before = {**dict.fromkeys(after, _UNKNOWN), **before}
        record_changes(before, after, change.using)


def _after_save(instance: Model, created: bool, using: str, **_: object) -> None:  # noqa: FBT001
    for change in open_changes():
        # A child's save may insert the child's row and update the parent's.
        if change.is_of(instance, using) and (created or change.piece is instance):
            change.created = change.created or created


def _before_delete(instance: Model, using: str, **_: object) -> None:
    state: Any = instance._state
    state.furniture_events_before = _to_delete(instance, using)


def _to_delete(piece: Model, using: str) -> Before:
    """Return the furniture to publish as deleted, after the delete."""
    mapper = mapper_of(type(piece))
    if mapper is None or is_paused() or is_open(piece, using):
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
