"""The log's latest events in memory, each encoded once for all cursors that read them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import RoomFilter

MAX_RECENT_EVENTS = 1_000
MAX_RECENT_BYTES = 4 * 1024 * 1024
"""Bounds for the events in memory. Bytes are characters of JSON."""

CHUNK_BYTES = 32_768
"""A chunk of missed events ends after this much JSON."""

Chunk = tuple[list[Any], Offset]
"""Frames that are written together, and the offset of the last one."""


class Encoder(Protocol):
    """A class of outlets."""

    @staticmethod
    def encode(record: Record) -> Any:
        """Return the frame of a record."""


class Entry:
    """An event and its frames.

    Attributes:
        record: the event.
    """

    __slots__ = ("_departure", "_frames", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self._frames: dict[Encoder, Any] = {}
        self._departure: Entry | None = None

    def frame(self, encoder: Encoder) -> Any:
        """Return the frame for a class of outlets."""
        frame = self._frames.get(encoder)
        if frame is None:
            frame = self._frames[encoder] = encoder.encode(self.record)
        return frame

    def view(self, sees: RoomFilter | None) -> Entry | None:
        """Return the event as a consumer may see it; see ``RoomFilter.view``. None: not at all.

        Args:
            sees: what the consumer may see; None: everything.
        """
        seen = self.record if sees is None else sees.view(self.record)
        if seen is None:
            return None
        if seen is self.record:
            return self
        if self._departure is None:
            self._departure = Entry(seen)
        return self._departure


class EventRange:
    """Consecutive events. They are cut into chunks once for all cursors that read all of them."""

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

    def chunks(self, encoder: Encoder) -> list[Chunk]:
        """Return the chunks for a class of outlets."""
        chunks = self._chunks.get(encoder)
        if chunks is None:
            chunks = self._chunks[encoder] = list(chunked(self._entries, encoder))
        return chunks


def chunked(entries: Iterable[Entry], encoder: Encoder) -> Iterator[Chunk]:
    """Cut events into chunks for a class of outlets."""
    frames: list[Any] = []
    size = 0
    for entry in entries:
        frames.append(entry.frame(encoder))
        last = entry.record.offset
        size += entry.record.size
        if size >= CHUNK_BYTES:
            yield frames, last
            frames, size = [], 0
    if frames:
        yield frames, last


class RecentEvents:
    """The events right before the head.

    Args:
        max_events: the most events to hold; at most ``MAX_RECENT_EVENTS``.
    """

    def __init__(self, max_events: int = MAX_RECENT_EVENTS) -> None:
        self._max_events = min(max_events, MAX_RECENT_EVENTS)
        self._entries: dict[int, Entry] = {}  # by seq, without a hole
        self._bytes = 0
        self._epoch = ""
        self._last_range = (range(0), EventRange([]))

    def add(self, record: Record) -> Entry:
        """Add the log's next event."""
        entry = Entry(record)
        epoch, seq = record.offset
        if epoch != self._epoch or seq - 1 not in self._entries:
            self._entries.clear()
            self._bytes, self._epoch = 0, epoch
            self._last_range = range(0), EventRange([])
        self._entries[seq] = entry
        self._bytes += record.size
        while len(self._entries) > self._max_events or self._bytes > MAX_RECENT_BYTES:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._bytes -= oldest.record.size
        return entry

    def after(self, offset: Offset, count: int) -> EventRange | None:
        """Return at most ``count`` events after an offset; None if one of them is not in memory."""
        seq = offset.seq + 1
        if offset.epoch != self._epoch or seq not in self._entries:
            return None
        seqs = range(seq, min(seq + count, next(reversed(self._entries)) + 1))
        if self._last_range[0] != seqs:
            self._last_range = seqs, EventRange([self._entries[number] for number in seqs])
        return self._last_range[1]
