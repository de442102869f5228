"""The language and the time zone in which all events are read: the site's own.

A visitor's request may have another language or another time zone. Without this, an event would
depend on the person who saves.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils import timezone, translation

__all__ = ["site_view"]


@contextmanager
def site_view() -> Iterator[None]:
    """Use the settings ``LANGUAGE_CODE`` and ``TIME_ZONE`` in this block, or function."""
    with translation.override(settings.LANGUAGE_CODE), timezone.override(None):
        yield
