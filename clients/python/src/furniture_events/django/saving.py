"""Sees the mapped models being saved and deleted, and publishes what that changed.

Django commits a save before it says that it is saved, unless somebody opened a transaction. So
`save_base`, which every save goes through, is wrapped on each mapped model: the row before, the
save and the row after are one transaction, with the outbox's row in it. Deleting is one already.

`bulk_create`, `bulk_update`, `QuerySet.update` and fixtures do not come by here: see `bulk`. Nor
does what changes through another row: an author who is renamed, or deleted with `SET_NULL`, and
a migration's historical models. The piece's next change tells it, or `publish` by hand.
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
    """A change of a piece's row that is under way."""

    piece: Model
    using: str
    created: bool | None = None
    """What `post_save` says, should it come."""
    is_over: bool = False
    """A receiver may have started what has its context, and lives longer."""

    def is_of(self, piece: Model, using: str) -> bool:
        return (
            not self.is_over
            and self.using == using
            and (self.piece is piece or _same(self.piece, piece))
        )


_changes: ContextVar[tuple[_Change, ...]] = ContextVar("_changes", default=())
"""Those that are under way, outermost first."""

_UNKNOWN = LookupError("a row that came in between")


def watch() -> None:
    """See every mapped model's saves and deletes. What cannot be mapped, the checks tell."""
    mappers = []
    for label, how in models().items():
        try:
            mapper = make_mapper(apps.get_model(str(label)), how)
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
        concerned = (
            not raw
            and mapper_of(type(self)) is mapper
            and (update_fields is None or _concerns(mapper, update_fields))
        )
        new = (
            force_insert is True
            and self._state.adding
            and self._meta.concrete_model is mapper.model
        )
        with _publishing(self, mapper, alias, new=new) if concerned else nullcontext():
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
    """See `delete(keep_parents=True)`, which no signal tells from one that takes the parents."""
    original = mapper.model.delete

    @wraps(original)
    def delete(self: Model, *args: Any, **options: Any) -> Any:  # a project may have its own
        stays = parent_of(mapper) if options.get("keep_parents") else None
        if stays is None:
            return original(self, *args, **options)
        using = options.get("using") or next(iter(args), None)
        with _publishing(self, stays, using or router.db_for_write(type(self), instance=self)):
            return original(self, *args, **options)

    mapper.model.delete = delete  # type: ignore[method-assign]


@contextmanager
def _publishing(piece: Model, mapper: Mapper, using: str, *, new: bool = False) -> Iterator[None]:
    """Publish what becomes of the row meanwhile, once, also where receivers save or delete it.

    A `new` row is inserted or the save fails: there is none to read before.
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
            lock(row)  # SQLite's one lock also for a new row: a receiver may read before it writes
        before = {} if new else read_before(mapper, row)
        change = _Change(piece, using)
        token = _changes.set((*_changes.get(), change))
        try:
            yield
        except BaseException:
            change.is_over = True
            _changes.reset(token)
            # Whoever catches a receiver's error commits the row all the same, unless this fails.
            if not connection.needs_rollback and not (new and piece._state.adding):
                with suppress(Exception):
                    _record(before, change, mapper)
            raise
        change.is_over = True
        _changes.reset(token)
        _record(before, change, mapper)


def _record(before: Before, change: _Change, mapper: Mapper) -> None:
    # The row is written: whoever catches what is raised here must not commit it without its event.
    with transaction.atomic(using=change.using, savepoint=False):
        keys = {*before, key_of(change.piece, mapper)}
        after = read(mapper, rows_at(keys, mapper, change.using))
        if change.created is False:  # so a row that was not there before is another transaction's
            before = {**dict.fromkeys(after, _UNKNOWN), **before}
        record_changes(before, after, change.using)


def _same(one: Model, other: Model) -> bool:
    """Tell whether both are one piece; a parent and its child are where they are one row."""
    first, second = (mapper_of(type(each)) for each in (one, other))
    if first is None or second is None:
        return False
    related = issubclass(first.model, second.model) or issubclass(second.model, first.model)
    key = key_of(one, first)
    return related and key is not None and key == key_of(other, second)


def _connect(mapper: Mapper) -> None:
    # Receivers for all models would take Django's fast deletes from models of no concern.
    for model in apps.get_models(include_auto_created=True):
        if issubclass(model, mapper.model) and model._meta.concrete_model is mapper.model:
            for signal, receiver in _RECEIVERS:
                signal.connect(receiver, sender=model, dispatch_uid="furniture_events")


def _after_save(instance: Model, created: bool, using: str, **_: object) -> None:  # noqa: FBT001
    for change in _changes.get():
        # A row of a parent that is updated may be one that a child's save has made.
        if change.is_of(instance, using) and (created or change.piece is instance):
            change.created = change.created or created


def _before_delete(instance: Model, using: str, **_: object) -> None:
    state: Any = instance._state
    state.furniture_events_before = _to_delete(instance, using)


def _to_delete(piece: Model, using: str) -> Before:
    """Return what is to be told of as deleted, once it is."""
    mapper = mapper_of(type(piece))
    if mapper is None or any(change.is_of(piece, using) for change in _changes.get()):
        return {}
    key = key_of(piece, mapper)
    if any(rows_at([key], child, using).exists() for child in children_of(mapper)):
        return {}  # the child's row goes too, and is told of by itself
    row = rows_at([key], mapper, using)
    lock(row)
    return read_before(mapper, row)


def _after_delete(instance: Model, using: str, **_: object) -> None:
    # Only now: the row may be saved once more before it goes.
    record_deleted(instance._state.__dict__.pop("furniture_events_before", {}), using)


_RECEIVERS = (
    (post_save, _after_save),
    (pre_delete, _before_delete),
    (post_delete, _after_delete),
)
