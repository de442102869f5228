"""Override keys of the site's setting ``FURNITURE_EVENTS``, or a model's mapping, in a test.

``settings.py`` has the test site's settings, which this changes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from django.conf import settings
from django.db.models import Model
from django.test import override_settings
from furniture_events.django.mapping import make_mapper, mapper_of


def override_setting(**changes: Any) -> override_settings:
    """Override these keys of ``FURNITURE_EVENTS``, in a ``with`` block or as a decorator."""
    if "MODELS" in changes:  # the related rows of this site lead to its own models
        changes = {"RELATED": {}, **changes}
    return override_settings(FURNITURE_EVENTS={**settings.FURNITURE_EVENTS, **changes})


def override_mapping(model: type[Model], lookups: dict[str, str]) -> AbstractContextManager[Any]:
    """Override the lookups of a mapped model in a ``with`` block."""
    return mock.patch.dict(vars(mapper_of(model)), vars(make_mapper(model, lookups)))
