"""Lookups such as ``autor__username``: the fields on the path, and the language. No queries."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.module_loading import import_string

__all__ = ["fields_of", "localized"]


def fields_of(model: type[Model], lookup: str) -> Iterator[Any]:
    """Yield the fields on a lookup's path, up to a transform or a JSON key."""
    step: Any = model
    for part in lookup.split("__"):
        if step is None:
            return
        try:
            field = step._meta.pk if part == "pk" else step._meta.get_field(part)
        except FieldDoesNotExist:
            return
        yield field
        step = field.related_model


def localized(model: type[Model], lookup: str) -> str:
    """Return the lookup of modeltranslation's column in the active language.

    A translated field's own column has the language of the last save.
    """
    if not apps.is_installed("modeltranslation"):
        return lookup
    return str(import_string("modeltranslation.manager.rewrite_lookup_key")(model, lookup))
