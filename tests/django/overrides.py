"""The site's setting, changed for a test."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.test import override_settings


def override_setting(**changes: Any) -> override_settings:
    """Change these keys of `FURNITURE_EVENTS`, in a `with` block or as a decorator."""
    return override_settings(FURNITURE_EVENTS={**settings.FURNITURE_EVENTS, **changes})
