"""Publish a piece when its rows of a many-to-many relation change.

Django writes these rows after the piece, and from both sides. Its signal ``m2m_changed`` comes
twice for one ``set``. It does not come for a saved row of the relation's own model, and not for a
deleted row of the other side. So this module wraps the methods of the relation's managers and of
its model, and watches the deletes of its rows and of the other side. As for a save, it reads the
pieces before and after a change, and publishes only the pieces whose furniture differs.

It does not see rows that ``bulk_create`` and ``QuerySet.update`` of the relation's model write. If
the relation has no model of its own, it does not see ``QuerySet.delete`` of that model, either.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Model, Q
from django.db.models.signals import post_delete, pre_delete

from furniture_events.django.changes import RelationChange, open_keys, opening, transaction_of
from furniture_events.django.deserialized import is_loading_fixtures, watch_deserialized
from furniture_events.django.hooks import Method, for_each_class, wrap_method
from furniture_events.django.mapping import (
    Furniture,
    Mapper,
    Rows,
    key_of,
    lock,
    mapper_of,
    read,
    read_before,
    rows_at,
    rows_of,
)
from furniture_events.django.publishing import is_paused, record_changes

__all__ = ["publish_on_m2m"]

_CHUNK_ROWS = 500


def publish_on_m2m(relation: Any) -> None:
    """Publish the pieces whose furniture differs after their rows of a relation have changed.

    Call it in the ``ready`` of your app's ``AppConfig``. The events are part of the transaction of
    the change. The model must be in ``MODELS``, usually with a function that reads the relation.

    Args:
        relation: a many-to-many relation as an attribute of the mapped model, from either side:
            ``Mueble.materiales``, or ``Mueble.coleccion_set``.

    Raises:
        AppRegistryNotReady: some models are not loaded yet.
    """
    apps.check_models_ready()
    _Relation(relation).watch()


@dataclass(slots=True)
class _Pieces:
    """The locked pieces of one change, and their furniture before it."""

    keys: set[Any] = field(default_factory=set)
    before: dict[Any, Furniture | Exception | None] = field(default_factory=dict)
    deleted: set[Any] = field(default_factory=set)
    """The keys of pieces that are deleted themselves, which ``saving`` publishes."""


class _Relation:
    """A relation, seen from the side of the pieces."""

    def __init__(self, relation: Any) -> None:
        rel, m2m, reverse = relation.rel, relation.field, relation.reverse
        self._reverse = reverse
        self._symmetrical = rel.symmetrical
        self._through = rel.through
        self._piece, self._other = rel.related_model, rel.model
        self._name = m2m.name
        names = [m2m.m2m_field_name(), m2m.m2m_reverse_field_name()]
        accessors = [relation, getattr(rel.model, rel.get_accessor_name() or "", None)]
        if reverse:
            self._piece, self._other = self._other, self._piece
            self._name = m2m.related_query_name()
            names.reverse()
            accessors[1] = getattr(rel.related_model, m2m.name)
        links = [self._through._meta.get_field(name) for name in names]
        self._links = links if rel.symmetrical else links[:1]
        """The foreign keys of a row that lead to pieces."""
        self._managers = [each.related_manager_cls for each in accessors if each is not None]
        self._mark = f"furniture_events_{self._through._meta.label_lower}_{self._name}"

    def watch(self) -> None:
        for manager in self._managers:
            # Since Django 6.1, `set` and deserialized objects call `set_base`.
            setter = "set_base" if hasattr(manager, "set_base") else "set"
            for name in ("add", "clear", "remove", setter):
                wrap_method(manager, name, self._publishing_manager, self._mark)
        for_each_class(self._through, self._watch_rows)
        watch_deserialized(self._saving_row, self._mark)
        for_each_class(self._piece, self._watch_pieces)
        for_each_class(self._other, self._watch_deletes)

    def _watch_rows(self, model: type[Model]) -> None:
        wrap_method(model, "save_base", self._publishing_row, self._mark)
        if model._meta.auto_created:  # Django sends no signals for it
            wrap_method(model, "delete", self._publishing_row, self._mark)
        else:
            self._watch_deletes(model)

    def _watch_deletes(self, model: type[Model]) -> None:
        for signal, receiver in ((pre_delete, self._before), (post_delete, self._after)):
            signal.connect(receiver, sender=model, weak=False, dispatch_uid=self._uid(receiver))

    def _watch_pieces(self, model: type[Model]) -> None:
        receiver = self._before_piece
        pre_delete.connect(receiver, sender=model, weak=False, dispatch_uid=self._uid(receiver))

    def _uid(self, receiver: Any) -> tuple[str, str]:
        return self._mark, receiver.__name__

    def _publishing_manager(self, original: Method) -> Method:
        @wraps(original)
        def change(manager: Any, *given: Any, **options: Any) -> None:
            sets = original.__name__ in {"set", "set_base"}
            if sets:
                given = tuple(given[0] if given else options.pop("objs"))
            using = router.db_for_write(manager.through, instance=manager.instance)
            with self._publishing(self._changed_by(manager, given), using):
                original(manager, *([given] if sets else given), **options)

        return change

    def _changed_by(self, manager: Any, given: Collection[Any]) -> Iterator[Q]:
        """Yield a query for each kind of piece that a manager's method may change."""
        if manager.reverse == self._reverse:
            yield Q(pk=manager.instance.pk)
        if manager.reverse != self._reverse or self._symmetrical:
            yield Q(**{self._name: manager.instance})
            target = manager.target_field.target_field
            keys = [
                getattr(each, target.attname, None) if isinstance(each, Model) else each
                for each in given
            ]
            yield Q(**{f"{target.name}__in": keys})

    def _publishing_row(self, original: Method) -> Method:
        @wraps(original)
        def change(row: Model, *args: Any, **options: Any) -> Any:
            using = options.get("using") or router.db_for_write(type(row), instance=row)
            with self._publishing(self._linked_to(row, using), using):
                return original(row, *args, **options)

        return change

    def _saving_row(self, row: Model, using: str) -> AbstractContextManager[None]:
        if not isinstance(row, self._through):
            return nullcontext()
        return self._publishing(self._linked_to(row, using), using)

    def _linked_to(self, row: Model, using: str) -> Iterator[Q]:
        """Yield queries for the pieces of a row: as it is in the database, and as the instance."""
        for link in self._links:
            stored = rows_of(self._through, using).filter(pk=row.pk)
            keys = [getattr(row, link.attname), *stored.values_list(link.attname, flat=True)]
            yield Q(**{f"{link.target_field.name}__in": keys})

    @contextmanager
    def _publishing(self, pieces: Iterable[Q], using: str) -> Iterator[None]:
        """Publish the changes that this block makes to the furniture of these pieces."""
        mapper = mapper_of(self._piece)
        if mapper is None or is_paused() or is_loading_fixtures():
            yield
            return
        connection = connections[using]
        with transaction_of(using):
            found = _Pieces()
            self._lock(found, pieces, mapper, using)
            try:
                with opening(RelationChange(found.keys, mapper, using)):
                    yield
            except BaseException:
                # If the caller catches a receiver's error, the row may still be committed.
                if not connection.needs_rollback:
                    with suppress(Exception):
                        _record(found, mapper, using)
                raise
            with transaction.atomic(using=using, savepoint=False):
                _record(found, mapper, using)

    def _lock(self, found: _Pieces, pieces: Iterable[Q], mapper: Mapper, using: str) -> None:
        """Lock and read pieces, except for those whose change an outer change publishes."""
        lock(rows_at([], mapper, using))  # SQLite's one lock, before anything is read
        key: Any = mapper.model._meta.pk
        rows = rows_of(self._piece, using).values_list(key.name, flat=True)
        # A query for each: a database uses no index for a query that joins them by OR.
        keys = {each for condition in pieces for each in rows.filter(condition)}
        keys -= found.keys | open_keys(mapper, using)
        found.keys |= keys
        for chunk in _chunks(keys):
            row = rows_at(chunk, mapper, using)
            lock(row)
            found.before |= read_before(mapper, row)

    def _pieces(self, instance: Model, origin: Any) -> _Pieces:
        """Return the pieces of a ``delete``, which ``origin`` identifies in all its signals."""
        attributes = vars(instance if origin is None else origin)
        pieces: _Pieces = attributes.setdefault(self._mark, _Pieces())
        return pieces

    def _before(self, instance: Model, using: str, origin: object = None, **_: object) -> None:
        if mapper := mapper_of(self._piece):
            is_row = isinstance(instance, self._through)
            pieces = self._linked_to(instance, using) if is_row else [Q(**{self._name: instance})]
            self._lock(self._pieces(instance, origin), pieces, mapper, using)

    def _before_piece(self, instance: Model, origin: object = None, **_: object) -> None:
        if mapper := mapper_of(self._piece):
            self._pieces(instance, origin).deleted.add(key_of(instance, mapper))

    def _after(self, instance: Model, using: str, origin: object = None, **_: object) -> None:
        found = vars(instance if origin is None else origin).pop(self._mark, None)
        mapper = mapper_of(self._piece)
        if found and mapper:  # the first signal has them all: Django has deleted all rows by now
            _record(found, mapper, using)


def _record(found: _Pieces, mapper: Mapper, using: str) -> None:
    keys = found.keys - found.deleted
    before = {key: furniture for key, furniture in found.before.items() if key in keys}
    after: Rows = {}
    for chunk in _chunks(keys):
        after |= read(mapper, rows_at(chunk, mapper, using))
    record_changes(before, after, using)


def _chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    # In order, so that two changes cannot wait for each other's locks.
    ordered = sorted(keys)
    return (ordered[start : start + _CHUNK_ROWS] for start in range(0, len(ordered), _CHUNK_ROWS))
