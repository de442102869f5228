"""Who has changed what: the entries that django-auditlog has written, as the list shows them.

An entry is written in the transaction of its change. So a page that shows a change also shows its
entry.
"""

from typing import NamedTuple

from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery

from catalog.models import Mueble

__all__ = ["Change", "Entry", "latest", "with_last_change"]


class Change(NamedTuple):
    """A field that was changed."""

    field: str
    before: str
    now: str


class Entry(NamedTuple):
    """A change of a piece, and its user; None: a program."""

    pk: int
    verb: str
    actor: User | None
    nombre: str
    changes: list[Change]
    moment: object


def latest(count: int) -> list[Entry]:
    """Return the newest entries, with the values of the changed fields."""
    entries = LogEntry.objects.get_for_model(Mueble).select_related("actor").order_by("-id")
    return [
        Entry(
            entry.pk,
            LogEntry.Action.choices[entry.action][1],
            entry.actor,
            entry.object_repr,
            _changes(entry) if entry.action == LogEntry.Action.UPDATE else [],
            entry.timestamp,
        )
        for entry in entries[:count]
    ]


def with_last_change(pieces: QuerySet[Mueble]) -> QuerySet[Mueble]:
    """Add ``last_change`` to each piece: the old and the new texts of its changed fields."""
    updates = LogEntry.objects.get_for_model(Mueble).filter(
        object_id=OuterRef("pk"), action=LogEntry.Action.UPDATE
    )
    return pieces.annotate(last_change=Subquery(updates.order_by("-id").values("changes")[:1]))


def _changes(entry: LogEntry) -> list[Change]:
    return [Change(field, *values) for field, values in entry.changes_display_dict.items()]
