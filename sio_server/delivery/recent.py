"""The log's latest events in memory, each encoded once for all who catch up with it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sio_server.contract.events import Offset, Record

MAX_RECENT_EVENTS = 1_000
MAX_RECENT_BYTES = 4 * 1024 * 1024
"""How many events are held, and how much JSON, at most."""

CHUNK_BYTES = 32_768
"""About how much of what a consumer has missed is written in one piece."""

Chunk = tuple[list[Any], Offset]
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


class EventRange:
    """Events in a row, cut into pieces once for all who get every one of them."""

    __slots__ = ("_chunks", "_entries")

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._chunks: dict[Encoder, list[Chunk]] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def end(self) -> Offset:
        """The last event's offset."""
        return self._entries[-1].record.offset

    def chunks(self, kind: Encoder) -> list[Chunk]:
        """Return the pieces for a class of outlets."""
        chunks = self._chunks.get(kind)
        if chunks is None:
            chunks = self._chunks[kind] = list(chunked(self._entries, kind))
        return chunks


def chunked(entries: Iterable[Entry], kind: Encoder) -> Iterator[Chunk]:
    """Cut events into pieces for a class of outlets."""
    frames: list[Any] = []
    size = 0
    for entry in entries:
        frames.append(entry.frame(kind))
        last = entry.record.offset
        size += len(entry.record.body)
        if size >= CHUNK_BYTES:
            yield frames, last
            frames, size = [], 0
    if frames:
        yield frames, last


class RecentEvents:
    """What lies right before the end of the log.

    Args:
        events: how many events are held at most; the log's retention, where that is less.
    """

    def __init__(self, events: int = MAX_RECENT_EVENTS) -> None:
        self._events = min(events, MAX_RECENT_EVENTS)
        self._entries: dict[int, Entry] = {}  # by seq, without a hole
        self._bytes = 0
        self._epoch = ""
        self._last_asked = (range(0), EventRange([]))

    def add(self, record: Record) -> Entry:
        """Add the log's next event."""
        entry = Entry(record)
        epoch, seq = record.offset
        if epoch != self._epoch or seq - 1 not in self._entries:
            self._entries.clear()
            self._bytes, self._epoch = 0, epoch
            self._last_asked = range(0), EventRange([])
        self._entries[seq] = entry
        self._bytes += len(record.body)
        while len(self._entries) > self._events or self._bytes > MAX_RECENT_BYTES:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._bytes -= len(oldest.record.body)
        return entry

    def after(self, offset: Offset, count: int) -> EventRange | None:
        """Return the events that follow an offset, so many at most; None: they are not all here."""
        seq = offset.seq + 1
        if offset.epoch != self._epoch or seq not in self._entries:
            return None
        asked = range(seq, min(seq + count, next(reversed(self._entries)) + 1))
        if self._last_asked[0] != asked:
            self._last_asked = asked, EventRange([self._entries[number] for number in asked])
        return self._last_asked[1]
