"""Compare the database's rows with the last state of each piece in the broker's log.

It publishes nothing, and locks nothing. The site may write meanwhile: a piece that differs is read
again from the log and from the database before it counts as different.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Generic, TypeAlias, TypeVar

from django.db.models import QuerySet

from furniture_events import FurnitureEventsError, LogUnavailable, Producer
from furniture_events._contract import DELETED
from furniture_events.django import outbox
from furniture_events.django.chunks import chunks, keys_after
from furniture_events.django.conf import config
from furniture_events.django.events import is_same_json, plain_furniture
from furniture_events.django.mapping import Furniture, Mapper, read_before, rows_at
from furniture_events.django.site_view import site_view

__all__ = ["Comparison"]

State = TypeVar("State")

_Place: TypeAlias = tuple[Mapper | None, Any]
"""A row: its mapper and its key. Without a mapper: a piece of the log that has no row."""

_MAX_RESTARTS = 5
"""How often the log is read again from its start, because it has dropped the next events."""


class _States(Generic[State]):
    """The last state of each piece in the log. None: the piece is deleted."""

    def __init__(
        self,
        producer: Producer,
        make: Callable[[dict[str, Any]], State],
        only: Iterable[str] | None = None,
    ) -> None:
        self._producer = producer
        self._make = make
        self._only = None if only is None else frozenset(only)
        self._position: str | None = None
        self._restarts = 0
        self.last: dict[str, State | None] = {}

    def read_on(self) -> None:
        """Read the log from the last position up to its end.

        Raises:
            FurnitureEventsError: the log cannot be read.
        """
        more = True
        while more:
            page = self._producer.history(since=self._position)
            self._position, more = page.position, page.more
            for event in page.events:
                key = event["furniture"]["furniture_id"]
                if self._only is None or key in self._only:
                    is_deleted = event["type"] == DELETED
                    self.last[key] = None if is_deleted else self._make(event["furniture"])
            if page.gap:
                self._restart()
                more = True

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > _MAX_RESTARTS:
            raise LogUnavailable("the log drops its oldest events faster than they can be read")
        self._position = None
        self.last.clear()


class Comparison:
    """Compares rows with the log. Afterwards ``counts`` has the numbers of pieces.

    Attributes:
        counts: ``equal``, ``different``, ``waiting`` (the outbox has events of a piece that
            differs) and ``not_in_log``.
    """

    def __init__(self, producer: Producer, using: str) -> None:
        """Compare nothing yet.

        Args:
            producer: reads the log.
            using: the database.
        """
        self._producer = producer
        self._using = using
        self.counts: Counter[str] = Counter()

    def differences(
        self, tables: "list[tuple[Mapper, QuerySet[Any]]]", *, is_whole: bool
    ) -> Iterator[str]:
        """Yield a line for each difference.

        Args:
            tables: mappers with rows of their models.
            is_whole: whether these are all rows. Only then a piece of the log without a row is a
                difference.

        Raises:
            FurnitureEventsError: the log cannot be read.
            Error: the database failed.
        """
        log = _States(self._producer, _digest)  # and not the states, which need far more memory
        log.read_on()
        suspects: dict[_Place, str] = {}
        for mapper, rows in tables:
            for key, furniture in _furniture_of(mapper, rows):
                if isinstance(furniture, Exception):
                    label = mapper.model._meta.label
                    yield self._different(f"{label} {key}", f"cannot be published: {furniture}")
                elif (piece := str(furniture["furniture_id"])) not in log.last:
                    self.counts["not_in_log"] += 1
                elif log.last.pop(piece) == _digest(furniture):
                    self.counts["equal"] += 1
                else:
                    suspects[mapper, key] = piece
        if is_whole:
            shown = (piece for piece, state in log.last.items() if state is not None)
            suspects |= {(None, piece): piece for piece in shown}
        yield from self._again(suspects)

    def _again(self, suspects: dict[_Place, str]) -> Iterator[str]:
        """Compare the pieces that differ once more, and with their fields."""
        if not suspects:
            return
        log = _States(self._producer, json.dumps, only=suspects.values())
        log.read_on()
        for chunk in chunks(list(suspects.items())):
            # The outbox first: an event that leaves it then is in the log. The rows last.
            waiting = self._waiting([piece for _, piece in chunk])
            log.read_on()
            rows = self._read_rows([row for row, piece in chunk if piece not in waiting])
            for row, piece in chunk:
                if piece in waiting:
                    self.counts["waiting"] += 1
                else:
                    yield from self._compare(piece, rows.get(row), log.last)

    def _read_rows(self, places: list[_Place]) -> dict[_Place, Furniture]:
        keys: dict[Mapper, list[Any]] = {}
        for mapper, key in places:
            if mapper is not None:
                keys.setdefault(mapper, []).append(key)
        return {
            (mapper, key): furniture
            for mapper in keys
            for key, furniture in _read(mapper, rows_at(keys[mapper], mapper, self._using))
            if isinstance(furniture, dict)
        }

    def _compare(
        self, piece: str, furniture: Furniture | None, states: dict[str, str | None]
    ) -> Iterator[str]:
        state = states.get(piece)
        if furniture is None or furniture["furniture_id"] != piece:
            if state is not None:
                yield self._different(piece, "the log has it, and no row shows it")
        elif piece not in states:
            self.counts["not_in_log"] += 1
        elif state is None:
            yield self._different(piece, "the log says that it is deleted, and its row is there")
        elif names := _differing(json.loads(state), furniture):
            yield self._different(piece, f"differs in {', '.join(names)}")
        else:
            self.counts["equal"] += 1

    def _different(self, piece: str, what: str) -> str:
        self.counts["different"] += 1
        return f"{piece!r}: {what}"

    def _waiting(self, pieces: list[str]) -> set[str]:
        if config().mode == "direct":
            return set()
        rows = outbox.waiting(self._using).filter(furniture_id__in=pieces)
        return set(rows.values_list("furniture_id", flat=True))


def _furniture_of(
    mapper: Mapper, rows: "QuerySet[Any]"
) -> Iterator[tuple[Any, Furniture | Exception]]:
    """Yield the key and the plain furniture of each row that is shown, chunk by chunk."""
    keys = keys_after(rows, None)
    while keys:
        yield from _read(mapper, rows_at(keys, mapper, rows.db))
        keys = keys_after(rows, keys[-1])


def _read(mapper: Mapper, rows: "QuerySet[Any]") -> list[tuple[Any, Furniture | Exception]]:
    found: list[tuple[Any, Furniture | Exception]] = []
    with site_view():
        for key, furniture in read_before(mapper, rows).items():
            if isinstance(furniture, dict):
                try:
                    found.append((key, plain_furniture(furniture)))
                except FurnitureEventsError as error:
                    found.append((key, error))
            elif furniture is not None:
                found.append((key, furniture))
    return found


def _digest(furniture: dict[str, Any]) -> bytes:
    """Return a digest of furniture. Equal digests mean the same JSON, as ``is_same_json`` says."""
    text = json.dumps(furniture, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).digest()


def _differing(state: dict[str, Any], furniture: Furniture) -> list[str]:
    names = dict.fromkeys([*state, *furniture])
    missing = object()
    return [
        name
        for name in names
        if not is_same_json(state.get(name, missing), furniture.get(name, missing))
    ]
