"""Override keys of the site's setting ``FURNITURE_EVENTS`` in a test.

``settings.py`` has the test site's settings, which this changes.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.test import override_settings


def override_setting(**changes: Any) -> override_settings:
    """Override these keys of ``FURNITURE_EVENTS``, in a ``with`` block or as a decorator."""
    return override_settings(FURNITURE_EVENTS={**settings.FURNITURE_EVENTS, **changes})
