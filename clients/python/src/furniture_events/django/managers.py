"""A queryset and a manager whose bulk changes publish, also those of other packages.

Give a mapped model ``objects = PublishingManager()``, or let its queryset inherit from
``PublishingQuerySet``. Then ``update``, ``bulk_create`` and ``bulk_update`` do the same as the
functions of ``bulk``. So do the methods that call them, such as ``aupdate``.
"""

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from django.db import NotSupportedError
from django.db.models import Manager, Model, QuerySet

from furniture_events.django import bulk
from furniture_events.django.mapping import mapper_of
from furniture_events.django.publishing import is_paused

__all__ = ["PublishingManager", "PublishingQuerySet"]

Piece = TypeVar("Piece", bound=Model)


class PublishingQuerySet(QuerySet[Piece]):
    """A queryset whose bulk changes publish, if its model is mapped."""

    def update(self, **values: Any) -> int:
        """Update, and publish ``furniture_updated`` for each changed row."""
        if self._is_silent():
            return super().update(**values)
        return bulk.update(self, **values)

    def bulk_create(  # noqa: PLR0917 - Django's signature
        self,
        objs: Iterable[Piece],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,  # noqa: FBT001, FBT002
        update_conflicts: bool = False,  # noqa: FBT001, FBT002
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Piece]:
        """Create, and publish ``furniture_created`` for each piece.

        Raises:
            NotSupportedError: the options for conflicts are used. Django does not say which rows it
                wrote in that case. In ``paused()`` they can be used.
        """
        if self._is_silent():
            return super().bulk_create(
                objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
            )
        if ignore_conflicts or update_conflicts:
            raise NotSupportedError(
                "bulk_create with ignore_conflicts or update_conflicts cannot publish; "
                "use it in paused()"
            )
        return bulk.bulk_create(self, objs, batch_size=batch_size)

    def bulk_update(
        self, objs: Iterable[Piece], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Update, and publish ``furniture_updated`` for each changed row."""
        if self._is_silent():
            return super().bulk_update(objs, fields, batch_size)
        return bulk.bulk_update(self, objs, list(fields), batch_size=batch_size)

    def _is_silent(self) -> bool:
        return bulk.is_publishing() or is_paused() or mapper_of(self.model) is None


class PublishingManager(Manager.from_queryset(PublishingQuerySet)):  # type: ignore[misc]
    """A manager with ``PublishingQuerySet``."""
