"""Publish the pieces of a row that is not a piece, as the setting ``RELATED`` declares.

If an author is renamed, the event of each of their pieces has another name. ``RELATED`` says over
which lookup the author's row leads to the pieces. This module watches the saves and the deletes of
such rows. It does not see ``bulk_create``, ``bulk_update`` and ``QuerySet.update`` of their model.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.apps import apps
from django.db.models import Model

from furniture_events.django.conf import related
from furniture_events.django.deserialized import watch_deserialized
from furniture_events.django.hooks import for_each_class
from furniture_events.django.lookups import fields_of
from furniture_events.django.mapping import (
    MappingError,
    children_of,
    key_in,
    lock,
    mapper_of,
    mappers,
    rows_of,
)
from furniture_events.django.reached import Keys, Reach

__all__ = ["Related", "watch"]

_logger = logging.getLogger("furniture_events.django")


def watch() -> None:
    """Watch the models of ``RELATED``. The checks report the mistakes in it."""
    mapped = [mapper.model for mapper in mappers()]
    for label, lookup in related():
        try:
            Related(label, lookup, mapped).watch()
        except MappingError as error:
            _logger.error("related_is_not_published model=%r reason=%s", label, error)  # noqa: TRY400


class Related(Reach):
    """A model's rows, and the lookup that leads from them to pieces."""

    def __init__(self, label: str, lookup: str, mapped: Collection[type[Model]]) -> None:
        """Follow the lookup, and query nothing.

        Args:
            label: the rows' model, as ``app.Model``.
            lookup: the names of relations, such as ``colecciones__muebles``.
            mapped: the mapped models.

        Raises:
            MappingError: there is no such model, or the lookup leads to no mapped model.
        """
        try:
            model: Any = apps.get_model(label)._meta.concrete_model
        except (LookupError, ValueError) as error:
            raise MappingError(f"there is no model {label!r}") from error
        path = list(fields_of(model, lookup))
        if len(path) < len(lookup.split("__")) or not path[-1].related_model:
            raise MappingError(f"{lookup!r} is not a relation of {model._meta.label}")
        piece = path[-1].related_model
        if not any(issubclass(piece, each) for each in mapped):
            raise MappingError(f"{lookup!r} leads to {piece._meta.label}, which is not in MODELS")
        super().__init__(piece, f"furniture_events_{model._meta.label_lower}_{lookup}")
        self._model = model
        self._lookup = lookup
        self._link = path[0] if path[0].concrete and not path[0].many_to_many else None
        """The row's own foreign key, if the path begins with one: it may get another value."""

    def watch(self) -> None:
        """Watch the saves and the deletes of the rows."""
        for_each_class(self._model, self.watch_saves)
        for_each_class(self._model, self.watch_deletes)
        watch_deserialized(self._saving_row, self.mark)
        self.watch_pieces()

    def concerns(self, fields: Collection[str]) -> bool:
        """Tell whether a mapping reads one of these fields, or the path goes over one."""
        if self._link and not {self._link.name, self._link.attname}.isdisjoint(fields):
            return True
        mapper = mapper_of(self.piece)
        return mapper is not None and any(
            each.concerns(fields, self._model) for each in (mapper, *children_of(mapper))
        )

    def pieces_of(self, row: Model, using: str) -> Iterator[Keys]:
        """Yield the keys of the pieces to which the row leads, and will lead after its save."""
        stored = rows_of(self._model, using).filter(pk=key_in(self._model, row))
        lock(stored)  # another transaction may be moving this row to another piece
        yield stored.values_list(f"{self._lookup}__{self.key_name()}", flat=True)
        if self._link:
            next_rows = rows_of(self._link.related_model, using).filter(
                **{self._link.target_field.name: getattr(row, self._link.attname)}
            )
            rest = [*self._lookup.split("__")[1:], self.key_name()]
            yield next_rows.values_list("__".join(rest), flat=True)

    def _saving_row(self, row: Model, using: str) -> AbstractContextManager[None]:
        return self.saving(row, using) if isinstance(row, self._model) else nullcontext()
