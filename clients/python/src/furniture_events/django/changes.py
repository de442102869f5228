"""The changes that are not over yet.

A save of a piece can change it again before it ends: a receiver saves or deletes the same row, or
sets a relation. The outermost change publishes the result, and the changes inside of it nothing.
"""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.db.models import Model

from furniture_events.django.mapping import Mapper, key_of, mapper_of

__all__ = [
    "Change",
    "RelationChange",
    "is_open",
    "open_changes",
    "open_keys",
    "opening",
    "transaction_of",
]


@dataclass(slots=True)
class Change:
    """A save or delete of a piece's row."""

    piece: Model
    using: str
    created: bool | None = None
    """The ``created`` argument of ``post_save``. None until ``post_save`` is sent."""
    raw: bool = False
    """True if a serializer has read the piece, possibly before the rows that it refers to."""
    is_over: bool = False
    """True at its end. A receiver's thread or task may still have this context afterwards."""

    def is_of(self, piece: Model, using: str) -> bool:
        """Tell whether it changes this piece, too."""
        return (
            not self.is_over
            and self.using == using
            and (self.piece is piece or _same(self.piece, piece))
        )

    def keys(self, mapper: Mapper) -> Collection[Any]:
        """Return the key of its row, if it is a row of the mapper's model."""
        return [key_of(self.piece, mapper)] if isinstance(self.piece, mapper.model) else []


@dataclass(slots=True)
class RelationChange:
    """A change of rows that belong to pieces, as those of a many-to-many relation."""

    pieces: Collection[Any]
    """The keys of the pieces."""
    mapper: Mapper
    using: str
    is_over: bool = False

    def is_of(self, piece: Model, using: str) -> bool:
        """Tell whether it changes this piece's furniture, too."""
        is_piece = isinstance(piece, self.mapper.model) and self.using == using
        return not self.is_over and is_piece and key_of(piece, self.mapper) in self.pieces

    def keys(self, mapper: Mapper) -> Collection[Any]:
        """Return the keys of the pieces, if they are rows of the mapper's model."""
        return self.pieces if mapper is self.mapper else []


_open: ContextVar[tuple[Change | RelationChange, ...]] = ContextVar("_open", default=())
"""The outermost first."""


def transaction_of(using: str) -> AbstractContextManager[None]:
    """Return a context that joins the open transaction on ``using``, or is a new one."""
    if connections[using].in_atomic_block:
        return nullcontext()
    return transaction.atomic(using=using, savepoint=False)


@contextmanager
def opening(change: Change | RelationChange) -> Iterator[None]:
    """Let the changes of the same pieces in this block publish nothing."""
    token = _open.set((*_open.get(), change))
    try:
        yield
    finally:
        change.is_over = True
        _open.reset(token)


def open_changes() -> tuple[Change, ...]:
    """Return the saves and deletes that are not over, the outermost first."""
    return tuple(change for change in _open.get() if isinstance(change, Change))


def is_open(piece: Model, using: str) -> bool:
    """Tell whether a change of this piece is not over."""
    return any(change.is_of(piece, using) for change in _open.get())


def open_keys(mapper: Mapper, using: str) -> set[Any]:
    """Return the keys of the pieces whose change is not over."""
    changes = [each for each in _open.get() if each.using == using and not each.is_over]
    return {key for change in changes for key in change.keys(mapper)}


def _same(one: Model, other: Model) -> bool:
    """Tell whether both are one piece. A parent and its child are one piece if they are one row."""
    first, second = (mapper_of(type(each)) for each in (one, other))
    if first is None or second is None:
        return False
    related = issubclass(first.model, second.model) or issubclass(second.model, first.model)
    key = key_of(one, first)
    return related and key is not None and key == key_of(other, second)
