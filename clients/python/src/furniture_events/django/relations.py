"""Publish a piece when its rows of a many-to-many relation change.

Django writes these rows after the piece, and from both sides. Its signal ``m2m_changed`` comes
twice for one ``set``. It does not come for a saved row of the relation's own model, and not for a
deleted row of the other side. So this module wraps the methods of the relation's managers and of
its model, and watches the deletes of its rows and of the other side.

It does not see rows that ``bulk_create`` and ``QuerySet.update`` of the relation's model write. If
the relation has no model of its own, it does not see ``QuerySet.delete`` of that model, either.
"""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import router
from django.db.models import Model

from furniture_events.django.deserialized import watch_deserialized
from furniture_events.django.hooks import Method, for_each_class, wrap_method
from furniture_events.django.mapping import rows_of
from furniture_events.django.reached import Keys, Reach

__all__ = ["publish_on_m2m"]


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


class _Relation(Reach):
    """A relation, seen from the side of the pieces."""

    def __init__(self, relation: Any) -> None:
        rel, m2m, reverse = relation.rel, relation.field, relation.reverse
        self._reverse = reverse
        self._symmetrical = rel.symmetrical
        self._through = rel.through
        piece, self._other = rel.related_model, rel.model
        self._name = m2m.name
        names = [m2m.m2m_field_name(), m2m.m2m_reverse_field_name()]
        accessors = [relation, getattr(rel.model, rel.get_accessor_name() or "", None)]
        if reverse:
            piece, self._other = self._other, piece
            self._name = m2m.related_query_name()
            names.reverse()
            accessors[1] = getattr(rel.related_model, m2m.name)
        links = [self._through._meta.get_field(name) for name in names]
        self._links = links if rel.symmetrical else links[:1]
        """The foreign keys of a row that lead to pieces."""
        self._managers = [each.related_manager_cls for each in accessors if each is not None]
        super().__init__(piece, f"furniture_events_{self._through._meta.label_lower}_{self._name}")

    def watch(self) -> None:
        for manager in self._managers:
            # Since Django 6.1, `set` and deserialized objects call `set_base`.
            setter = "set_base" if hasattr(manager, "set_base") else "set"
            for name in ("add", "clear", "remove", setter):
                wrap_method(manager, name, self._publishing_manager, self.mark)
        for_each_class(self._through, self._watch_rows)
        watch_deserialized(self._saving_row, self.mark)
        self.watch_pieces()
        for_each_class(self._other, self.watch_deletes)

    def _watch_rows(self, model: type[Model]) -> None:
        self.watch_saves(model)
        if model._meta.auto_created:  # Django sends no signals for it
            wrap_method(model, "delete", self.publishing_row, self.mark)
        else:
            self.watch_deletes(model)

    def _publishing_manager(self, original: Method) -> Method:
        @wraps(original)
        def change(manager: Any, *given: Any, **options: Any) -> None:
            sets = original.__name__ in {"set", "set_base"}
            if sets:
                given = tuple(given[0] if given else options.pop("objs"))
            using = router.db_for_write(manager.through, instance=manager.instance)
            with self.publishing(self._changed_by(manager, given, using), using):
                original(manager, *([given] if sets else given), **options)

        return change

    def _changed_by(self, manager: Any, given: Collection[Any], using: str) -> Iterator[Keys]:
        """Yield the keys of each kind of piece that a manager's method may change."""
        if manager.reverse == self._reverse:
            yield self._keys(using, pk=manager.instance.pk)
        if manager.reverse != self._reverse or self._symmetrical:
            yield self._keys(using, **{self._name: manager.instance})
            target = manager.target_field.target_field
            keys = [
                getattr(each, target.attname, None) if isinstance(each, Model) else each
                for each in given
            ]
            yield self._keys(using, **{f"{target.name}__in": keys})

    def _saving_row(self, row: Model, using: str) -> AbstractContextManager[None]:
        return self.saving(row, using) if isinstance(row, self._through) else nullcontext()

    def pieces_of(self, row: Model, using: str) -> Iterator[Keys]:
        """Yield the keys of the pieces of a row of the relation, or of the other side."""
        if not isinstance(row, self._through):
            yield self._keys(using, **{self._name: row})
            return
        for link in self._links:
            stored = rows_of(self._through, using).filter(pk=row.pk)
            keys = [getattr(row, link.attname), *stored.values_list(link.attname, flat=True)]
            yield self._keys(using, **{f"{link.target_field.name}__in": keys})

    def _keys(self, using: str, **condition: object) -> Keys:
        rows = rows_of(self.piece, using).filter(**condition)
        return rows.values_list(self.key_name(), flat=True)
