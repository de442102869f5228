"""Publish the pieces that a change of another row reaches.

A row of a many-to-many relation reaches pieces, and so does an author. Its save or delete may
change their furniture. As for a save of a piece, this module reads the pieces before and after the
change, and publishes only the pieces whose furniture differs. ``relations`` and ``related`` say
which rows reach which pieces.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, pre_delete

from furniture_events.django.changes import RelationChange, open_keys, opening, transaction_of
from furniture_events.django.chunks import chunks
from furniture_events.django.deserialized import is_loading_fixtures
from furniture_events.django.hooks import Method, for_each_class, wrap_method
from furniture_events.django.mapping import (
    Furniture,
    Mapper,
    Rows,
    key_of,
    lock,
    mapper_of,
    read,
    read_before,
    rows_at,
)
from furniture_events.django.publishing import is_paused, record_changes

__all__ = ["Keys", "Reach"]

Keys = Iterable[Any]
"""Keys of pieces, in their mapper's model. They are read late, and None is skipped."""

_DELETE = "furniture_events_delete"
"""The attribute of a transaction's block that holds the ``_Delete``."""


@dataclass(slots=True)
class _Pieces:
    """The locked pieces of one change, and their furniture before it."""

    keys: set[Any] = field(default_factory=set)
    before: dict[Any, Furniture | Exception | None] = field(default_factory=dict)
    deleted: set[Any] = field(default_factory=set)
    """The keys of pieces that are deleted themselves, which ``saving`` publishes."""


@dataclass(slots=True)
class _Delete:
    """A call of ``delete``, with all rows that Django deletes in it."""

    pieces: dict[type[Model], _Pieces] = field(default_factory=dict)
    """By the mapper's model. All rows of the call share them, so that each is published once."""
    rows: set[tuple[str, int]] = field(default_factory=set)
    """The rows that are not deleted yet: a mark, and the ``id`` of the instance."""

    def of(self, mapper: Mapper) -> _Pieces:
        return self.pieces.setdefault(mapper.model, _Pieces())


class Reach:
    """Which pieces the rows of other models reach, and the hooks that publish these pieces."""

    def __init__(self, piece: type[Model], mark: str) -> None:
        """Watch nothing yet.

        Args:
            piece: the model of the pieces.
            mark: a name that no other object of this class has. It marks the hooks.
        """
        self.piece = piece
        self.mark = mark

    def pieces_of(self, row: Model, using: str) -> Iterator[Keys]:
        """Yield the keys of a row's pieces: as the database has the row, and as the instance."""
        raise NotImplementedError

    def concerns(self, fields: Collection[str]) -> bool:  # noqa: ARG002 - a subclass may know more
        """Tell whether saving these fields of a row can change its pieces."""
        return True

    def key_name(self) -> str:
        """Return the name of the pieces' key."""
        mapper = mapper_of(self.piece)
        field: Any = (mapper.model if mapper else self.piece)._meta.pk
        return str(field.name)

    def watch_pieces(self) -> None:
        """Watch the deletes of the pieces, so that a deleted piece is not published as updated."""
        for_each_class(self.piece, self._watch_piece)

    def watch_deletes(self, model: type[Model]) -> None:
        """Watch the deletes of the rows of a class."""
        for signal, receiver in ((pre_delete, self._before), (post_delete, self._after)):
            signal.connect(receiver, sender=model, weak=False, dispatch_uid=self._uid(receiver))

    def watch_saves(self, model: type[Model]) -> None:
        """Watch the saves of the rows of a class."""
        wrap_method(model, "save_base", self.publishing_row, self.mark)

    def publishing_row(self, original: Method) -> Method:
        """Wrap a method of a row, so that it publishes."""

        @wraps(original)
        def change(row: Model, *args: Any, **options: Any) -> Any:
            fields = options.get("update_fields")
            if fields is not None and not self.concerns(fields):
                return original(row, *args, **options)
            using = options.get("using") or router.db_for_write(type(row), instance=row)
            with self.saving(row, using):
                return original(row, *args, **options)

        return change

    def saving(self, row: Model, using: str) -> AbstractContextManager[None]:
        """Return the context of a change of a row, which publishes its pieces."""
        return self.publishing(self.pieces_of(row, using), using)

    @contextmanager
    def publishing(self, pieces: Iterable[Keys], using: str) -> Iterator[None]:
        """Publish the changes that this block makes to the furniture of these pieces."""
        mapper = mapper_of(self.piece)
        if mapper is None or is_paused() or is_loading_fixtures():
            yield
            return
        connection = connections[using]
        with transaction_of(using):
            found = _Pieces()
            _lock(found, pieces, mapper, using)
            try:
                with opening(RelationChange(found.keys, mapper, using)):
                    yield
            except BaseException:
                # If the caller catches a receiver's error, the row may still be committed.
                if not connection.needs_rollback:
                    with suppress(Exception):
                        _record(found, mapper, using)
                raise
            with transaction.atomic(using=using, savepoint=False):
                _record(found, mapper, using)

    def _watch_piece(self, model: type[Model]) -> None:
        receiver = self._before_piece
        pre_delete.connect(receiver, sender=model, weak=False, dispatch_uid=self._uid(receiver))

    def _uid(self, receiver: Any) -> tuple[str, str]:
        return self.mark, receiver.__name__

    def _before(self, instance: Model, using: str, **_: object) -> None:
        mapper, delete = mapper_of(self.piece), _delete_on(using)
        if mapper and delete and not is_paused():
            delete.rows.add((self.mark, id(instance)))
            _lock(delete.of(mapper), self.pieces_of(instance, using), mapper, using)

    def _before_piece(self, instance: Model, using: str, **_: object) -> None:
        mapper, delete = mapper_of(self.piece), _delete_on(using)
        if mapper and delete:
            delete.of(mapper).deleted.add(key_of(instance, mapper))

    def _after(self, instance: Model, using: str, **_: object) -> None:
        delete, row = _delete_on(using), (self.mark, id(instance))
        if delete and row in delete.rows:
            delete.rows.discard(row)
            if not delete.rows:  # Django has sent all signals before it deleted the first row
                for model, found in delete.pieces.items():
                    if mapper := mapper_of(model):
                        _record(found, mapper, using)
                delete.pieces.clear()


def _delete_on(using: str) -> _Delete | None:
    """Return the running ``delete``: Django opens a block of the transaction for each.

    None if there is no block, because other code has sent the signal.
    """
    blocks = connections[using].atomic_blocks
    delete: _Delete | None = vars(blocks[-1]).setdefault(_DELETE, _Delete()) if blocks else None
    return delete


def _lock(found: _Pieces, pieces: Iterable[Keys], mapper: Mapper, using: str) -> None:
    """Lock and read pieces, except for those whose change an outer change publishes."""
    lock(rows_at([], mapper, using))  # SQLite's one lock, before anything is read
    # A query for each: a database uses no index for a query that joins them by OR.
    keys = {key for each in pieces for key in each if key is not None}
    keys -= found.keys | open_keys(mapper, using)
    found.keys |= keys
    for chunk in chunks(sorted(keys)):  # in order: two changes must not wait for each other
        rows = rows_at(chunk, mapper, using)
        lock(rows)
        found.before |= read_before(mapper, rows)


def _record(found: _Pieces, mapper: Mapper, using: str) -> None:
    keys = found.keys - found.deleted
    before = {key: furniture for key, furniture in found.before.items() if key in keys}
    after: Rows = {}
    for chunk in chunks(sorted(keys)):
        after |= read(mapper, rows_at(chunk, mapper, using))
    record_changes(before, after, using)
