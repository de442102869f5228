"""What a management command needs before it begins."""

from django.core.management.base import CommandError
from django.db import connections

from furniture_events.django import outbox

__all__ = ["check_outbox", "check_transaction"]


def check_outbox(database: str) -> None:
    """Check that a database has an outbox.

    Raises:
        CommandError: it is not migrated.
    """
    if not outbox.exists(database):
        raise CommandError(f"there is no outbox on {database!r} yet: manage.py migrate")


def check_transaction(database: str, reason: str) -> None:
    """Check that no transaction is open on a database.

    Raises:
        CommandError: one is open. The message ends with the reason.
    """
    connection = connections[database]
    is_connected = connection.connection is not None
    if connection.in_atomic_block or (is_connected and not connection.get_autocommit()):
        raise CommandError(f"a transaction is open on {database!r}: {reason}")
