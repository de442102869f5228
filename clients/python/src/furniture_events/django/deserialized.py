"""Publish the objects that a serializer has read and that are saved then, but no fixtures.

django-reversion saves a former version in this way. Such a save calls ``Model.save_base`` itself,
so the hooks on the models' classes do not see it. Fixtures are saved in the same way, and are not
published: their rows have no order, so that a piece can come before its author, and a migration may
load them before there is an outbox.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.core.management.commands import loaddata
from django.core.serializers.base import DeserializedObject
from django.db import router
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.models import Model

from furniture_events.django.hooks import Method, wrap_method

__all__ = ["is_loading_fixtures", "watch_deserialized"]

Saving = Callable[[Model, str], AbstractContextManager[None]]

_is_loading: ContextVar[bool] = ContextVar("_is_loading", default=False)


def is_loading_fixtures() -> bool:
    """Tell whether a fixture is loaded now, by ``loaddata`` or by a test case."""
    return _is_loading.get()


def watch_deserialized(saving: Saving, mark: str) -> None:
    """Save each deserialized object inside of ``saving(object, using)``; see ``wrap_method``."""

    def wrap(original: Method) -> Method:
        @wraps(original)
        def save(
            self: DeserializedObject,
            save_m2m: bool = True,  # noqa: FBT001, FBT002 - Django's signature
            using: str | None = None,
            **options: Any,
        ) -> None:
            piece = self.object
            alias = using or router.db_for_write(type(piece), instance=piece)
            with saving(piece, alias):
                original(self, save_m2m, alias, **options)

        return save

    wrap_method(DeserializedObject, "save", wrap, mark)
    wrap_method(loaddata.Command, "loaddata", _loading, "furniture_events_loading")
    wrap_method(
        BaseDatabaseCreation, "deserialize_db_from_string", _loading, "furniture_events_loading"
    )


def _loading(original: Method) -> Method:
    @wraps(original)
    def load(*args: Any, **options: Any) -> Any:
        token = _is_loading.set(True)
        try:
            return original(*args, **options)
        finally:
            _is_loading.reset(token)

    return load
