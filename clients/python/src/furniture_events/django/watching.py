"""What operators watch: how many rows the outbox has, and how old they are."""

from datetime import timedelta
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS

__all__ = ["Status", "status"]


class Status(NamedTuple):
    """How many rows wait, how many were refused, and how old the oldest of each is, if any."""

    waiting: int
    oldest: timedelta | None
    refused: int
    oldest_refused: timedelta | None


def status(using: str = DEFAULT_DB_ALIAS) -> Status:
    """Count the events and the revocations in the outbox of a database.

    Raises:
        Error: the database failed, or is not migrated.
    """
    from furniture_events.django import outbox  # noqa: PLC0415 - it needs the models

    return outbox.status(using)
