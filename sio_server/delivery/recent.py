"""The log's latest events in memory, each encoded once for all who catch up with it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sio_server.contract.events import Offset, Record

EVENTS = 1_000
BYTES = 4 * 1024 * 1024
"""How many events are held, and how much JSON, at most."""

PIECE_BYTES = 32_768
"""About how much of what a consumer has missed is written in one piece."""

Piece = tuple[list[Any], Offset]
"""Frames that are written together, and the offset of the last."""


class Encoder(Protocol):
    """A class of outlets."""

    @staticmethod
    def encode(record: Record) -> Any:
        """Return the frame for a record."""


class Entry:
    """An event and its frames.

    Attributes:
        record: the event.
    """

    __slots__ = ("_frames", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self._frames: dict[Encoder, Any] = {}

    def frame(self, kind: Encoder) -> Any:
        """Return the frame for a class of outlets."""
        frame = self._frames.get(kind)
        if frame is None:
            frame = self._frames[kind] = kind.encode(self.record)
        return frame


class Stretch:
    """Events in a row, cut into pieces once for all who get every one of them."""

    __slots__ = ("_entries", "_pieces")

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._pieces: dict[Encoder, list[Piece]] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def end(self) -> Offset:
        """The last event's offset."""
        return self._entries[-1].record.offset

    def pieces(self, kind: Encoder) -> list[Piece]:
        """Return the pieces for a class of outlets."""
        pieces = self._pieces.get(kind)
        if pieces is None:
            pieces = self._pieces[kind] = list(cut(self._entries, kind))
        return pieces


def cut(entries: Iterable[Entry], kind: Encoder) -> Iterator[Piece]:
    """Cut events into pieces for a class of outlets."""
    frames: list[Any] = []
    size = 0
    for entry in entries:
        frames.append(entry.frame(kind))
        last = entry.record.offset
        size += len(entry.record.body)
        if size >= PIECE_BYTES:
            yield frames, last
            frames, size = [], 0
    if frames:
        yield frames, last


class Recent:
    """What lies right before the end of the log.

    Args:
        events: how many events are held at most; the log's retention, where that is less.
    """

    def __init__(self, events: int = EVENTS) -> None:
        self._events = min(events, EVENTS)
        self._entries: dict[int, Entry] = {}  # by seq, without a hole
        self._bytes = 0
        self._epoch = ""
        self._last_asked = (range(0), Stretch([]))

    def add(self, record: Record) -> Entry:
        """Add the log's next event."""
        entry = Entry(record)
        epoch, seq = record.offset
        if epoch != self._epoch or seq - 1 not in self._entries:
            self._entries.clear()
            self._bytes, self._epoch = 0, epoch
            self._last_asked = range(0), Stretch([])
        self._entries[seq] = entry
        self._bytes += len(record.body)
        while len(self._entries) > self._events or self._bytes > BYTES:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._bytes -= len(oldest.record.body)
        return entry

    def after(self, offset: Offset, count: int) -> Stretch | None:
        """Return the events that follow an offset, so many at most; None: they are not all here."""
        seq = offset.seq + 1
        if offset.epoch != self._epoch or seq not in self._entries:
            return None
        asked = range(seq, min(seq + count, next(reversed(self._entries)) + 1))
        if self._last_asked[0] != asked:
            self._last_asked = asked, Stretch([self._entries[number] for number in asked])
        return self._last_asked[1]
