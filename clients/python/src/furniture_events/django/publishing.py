"""Make events of changes, and hand them to the outbox, or to the commit in direct mode.

Nothing is sent from here.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import DEFAULT_DB_ALIAS, router, transaction
from django.db.models import Model

from furniture_events import InvalidFurniture
from furniture_events._contract import CREATED, DELETED, EVENT_TYPES, UPDATED
from furniture_events.django.conf import config
from furniture_events.django.events import ChangeEvent, is_same_json, plain_furniture
from furniture_events.django.mapping import (
    Before,
    Furniture,
    Rows,
    key_of,
    lock,
    mapper_of,
    read,
    rows_at,
)
from furniture_events.django.site_view import site_view

__all__ = [
    "hand_over",
    "is_paused",
    "paused",
    "publish",
    "record",
    "record_changes",
    "record_deleted",
]

_is_paused: ContextVar[bool] = ContextVar("_is_paused", default=False)


@contextmanager
def paused() -> Iterator[None]:
    """Publish nothing of the changes in this block, for an import or a test.

    The block belongs to its thread or its asynchronous task. Consumers do not learn of these
    changes: publish the rows afterwards, or let the pages load their lists again.
    """
    token = _is_paused.set(True)
    try:
        yield
    finally:
        _is_paused.reset(token)


def is_paused() -> bool:
    """Tell whether nothing is published now."""
    return _is_paused.get()


def publish(
    type: str, furniture: object, *, id: str | None = None, using: str | None = None
) -> None:
    """Publish an event by hand, as part of the open transaction.

    If the instance's mapping hides its row, nothing is published. The broker checks the contract's
    other rules later. The admin shows the events that it refuses.

    Args:
        type: one of the contract's event types.
        furniture: an instance of a mapped model, whose database row is published. Or a mapping with
            the seven fields, a dataclass instance, or an object with the seven attributes.
        id: the idempotency key; made if None.
        using: the database of the transaction. If None, the database that an instance is saved to,
            and the default database for all else.

    Raises:
        ValueError: there is no such event type.
        InvalidFurniture: the instance is not in the database, a field is missing, or JSON cannot
            hold a value.
    """
    if type not in EVENT_TYPES:
        raise ValueError(f"no such event type: {type!r}")
    if is_paused():
        return
    if using is None and isinstance(furniture, Model):
        using = router.db_for_write(furniture.__class__, instance=furniture)
    using = using or DEFAULT_DB_ALIAS
    with transaction.atomic(using=using):
        if isinstance(furniture, Model) and (mapper := mapper_of(furniture.__class__)):
            row = rows_at([key_of(furniture, mapper)], mapper, using)
            lock(row)
            found = read(mapper, row)
            if not found:
                raise InvalidFurniture("furniture: is not in the database")
            (furniture,) = found.values()
            if furniture is None:
                return
        record([(type, furniture)], using, id=id)


@site_view()
def record_changes(before: Before, after: Rows, using: str) -> None:
    """Publish the changes of rows: created, deleted, or updated if their furniture differs.

    A hidden row counts as a missing row. If the ``furniture_id`` of a row has changed, the row is
    another piece now: the old piece is deleted.

    Args:
        before: the rows before the change, by primary key.
        after: the same rows after it.
        using: the database of the open transaction.

    Raises:
        InvalidFurniture: a row of ``after`` cannot be published.
    """
    deleted = {pk: old for pk, old in before.items() if _is_deleted(old, after.get(pk))}
    record_deleted(deleted, using)
    events = []
    for pk, furniture in after.items():
        if furniture is None:
            continue
        plain, old = plain_furniture(furniture), before.get(pk)
        if old is None or pk in deleted:
            events.append(ChangeEvent.encode_plain(CREATED, plain))
        elif not _is_unchanged(old, plain):
            events.append(ChangeEvent.encode_plain(UPDATED, plain))
    hand_over(events, using)


@site_view()
def record_deleted(before: Before, using: str) -> None:
    """Publish that rows were deleted, or are hidden now. A row that was hidden before is skipped.

    If a row cannot be published, its event is stored as refused. In direct mode it is lost.
    """
    events = []
    for pk, old in before.items():
        if old is None:
            continue
        if isinstance(old, Exception):
            _refuse_deleted(str(pk), old, using)
            continue
        try:
            events.append(ChangeEvent.encode(DELETED, old))
        except Exception as error:  # noqa: BLE001 - after any error, the row is deleted
            _refuse_deleted(str(old["furniture_id"]), error, using)
    hand_over(events, using)


@site_view()
def record(events: Iterable[tuple[str, object]], using: str, *, id: str | None = None) -> None:
    """Publish events, each a type and furniture, with the transaction on ``using``."""
    hand_over([ChangeEvent.encode(type, furniture, id) for type, furniture in events], using)


def hand_over(events: Sequence[ChangeEvent], using: str) -> None:
    """Publish encoded events with the transaction on ``using``."""
    if not events or is_paused():
        return
    # Imported here: both need the models, and a site's own models may import this module first.
    if config().mode == "direct":
        from furniture_events.django.direct import publish_on_commit as append  # noqa: PLC0415
    else:
        from furniture_events.django.outbox import append  # noqa: PLC0415
    append(events, using)


def _refuse_deleted(furniture_id: str, error: Exception, using: str) -> None:
    if is_paused():
        return
    if config().mode == "direct":
        from furniture_events.django.direct import lose_on_commit  # noqa: PLC0415

        lose_on_commit(error, using)
    else:
        from furniture_events.django.outbox import append_refused  # noqa: PLC0415

        append_refused(DELETED, furniture_id, error, using)


def _is_deleted(old: Furniture | Exception | None, new: Furniture | None) -> bool:
    if new is None:
        return True
    return isinstance(old, dict) and old["furniture_id"] != new["furniture_id"]


def _is_unchanged(old: Furniture | Exception, new: dict[str, object]) -> bool:
    """Compare as JSON. A row that could not be published before has always changed."""
    try:
        return not isinstance(old, Exception) and is_same_json(plain_furniture(old), new)
    except Exception:  # noqa: BLE001 - this save may repair the row, after any error
        return False
