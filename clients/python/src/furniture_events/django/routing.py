"""Let a mapping function read from the databases that are written, and not from a replica.

A replica gets a transaction's changes after its commit at the earliest. So a function that reads
related rows there gets old rows, or none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import router
from django.db.models import Model

__all__ = ["reading_from"]

_reading: ContextVar[tuple[type[Model], str] | None] = ContextVar("_reading", default=None)
"""The mapped model that a function reads now, and its database."""


@contextmanager
def reading_from(using: str, model: type[Model]) -> Iterator[None]:
    """Read each model from its database for writes, if a query in this block names no database.

    Args:
        using: the database of the row that the function maps.
        model: the model of this row. Models of the same database as this one are read there, too.
    """
    # Here and not once: a changed setting DATABASE_ROUTERS gives a new list.
    if _written_database not in router.routers:
        router.routers.insert(0, _written_database)
    token = _reading.set((model, using))
    try:
        yield
    finally:
        _reading.reset(token)


class _WrittenDatabase:
    """The router that comes before the site's own routers. Outside of the block it has no say."""

    def db_for_read(self, model: type[Model], **hints: object) -> str | None:
        reading = _reading.get()
        if reading is None:
            return None
        mapped, using = reading
        written = router.db_for_write(model, **hints)
        return using if written == router.db_for_write(mapped) else written


_written_database = _WrittenDatabase()
