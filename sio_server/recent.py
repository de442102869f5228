"""The log's latest events in memory, each encoded once for all who catch up with it. No I/O."""

from __future__ import annotations

from typing import Any, Protocol

from sio_server.events import Offset, Record

EVENTS = 1_000
BYTES = 4 * 1024 * 1024
"""How many events are held, and how much JSON, at most."""


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

    def add(self, record: Record) -> Entry:
        """Add the log's next event."""
        entry = Entry(record)
        epoch, seq = record.offset
        if epoch != self._epoch or seq - 1 not in self._entries:
            self._entries.clear()
            self._bytes, self._epoch = 0, epoch
        self._entries[seq] = entry
        self._bytes += len(record.body)
        while len(self._entries) > self._events or self._bytes > BYTES:
            oldest = self._entries.pop(next(iter(self._entries)))
            self._bytes -= len(oldest.record.body)
        return entry

    def after(self, offset: Offset, count: int) -> list[Entry] | None:
        """Return the events that follow an offset, so many at most; None: they are not all here."""
        seq = offset.seq + 1
        if offset.epoch != self._epoch or seq not in self._entries:
            return None
        end = min(seq + count, next(reversed(self._entries)) + 1)
        return [self._entries[number] for number in range(seq, end)]
