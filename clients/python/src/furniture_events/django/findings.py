"""The findings of the system checks: their form, with this app's ids."""

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

__all__ = ["error", "warning"]


def error(number: int, message: str, hint: str) -> CheckMessage:
    """Return an error."""
    return Error(message, hint=hint, id=f"furniture_events.E{number:03}")


def warning(number: int, message: str, hint: str) -> CheckMessage:
    """Return a warning."""
    return CheckWarning(message, hint=hint, id=f"furniture_events.W{number:03}")
