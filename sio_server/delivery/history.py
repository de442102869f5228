"""Answers reads of the log and of the pieces, for clients that ask over HTTP. No decoding.

A client may see less than the log has. So a page is filled by several reads of the log, of which
each examines a bounded number of events. Other tasks run between two reads.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sio_server.contract.events import Offset
from sio_server.contract.rooms import RoomFilter
from sio_server.eventlog.contract import EventLog, Page
from sio_server.eventlog.reading import MAX_EXAMINED_EVENTS

PAGE_BYTES = 262_144
"""A page ends with the item by which its items have more bytes than this."""

MAX_EXAMINED = 10_000
"""How many events, or pieces, are examined for one page that goes back from an offset."""


class HistoryPage(NamedTuple):
    """A part of the log.

    Attributes:
        events: each event with its offset, as JSON.
        position: where the next page continues. Forward, it is the last event's offset if there are
            more events for it, otherwise the log's end.
        gap: as in the log's ``Page``.
        more: whether the log has further events of the same rooms. Backward, it only may have them.
    """

    events: list[bytes]
    position: Offset
    gap: bool = False
    more: bool = False


class FurniturePage(NamedTuple):
    """The last states of some pieces, the latest changed piece first.

    Attributes:
        items: the pieces, as JSON.
        next: the offset before which the next page continues; None after the last piece.
    """

    items: list[bytes]
    next: Offset | None


async def read_forward(
    log: EventLog, rooms: frozenset[str], sees: RoomFilter, since: Offset | None, limit: int
) -> HistoryPage:
    """Read the events after an offset; and one event more, to know whether there are more.

    Events of these rooms may be rare, so this may read the log up to its end.

    Args:
        log: the event log.
        rooms: read events of any of these rooms.
        sees: the rooms that the client may be in.
        since: the offset; None reads from the oldest event.
        limit: the maximum number of events.
    """
    events: list[bytes] = []
    size = 0
    page = await log.read(since, rooms, limit)
    position = page.position
    while True:
        for record in page.records:
            seen = sees.view(record)
            if seen is None:
                continue
            if len(events) == limit or size > PAGE_BYTES:
                return HistoryPage(events, position, more=True)
            events.append(seen.json_with_offset.encode())
            size += len(events[-1])
            position = record.offset
        if page.at_end:
            return HistoryPage(events, page.position, page.gap)
        is_full = len(events) == limit or size > PAGE_BYTES
        page = await log.read(page.position, rooms, 1 if is_full else limit - len(events))
        if page.gap:  # the retention has passed this read
            if events:  # the next request says so
                return HistoryPage(events, position, more=True)
            page = await log.read(since, rooms, limit)


async def read_back(
    log: EventLog, rooms: frozenset[str], sees: RoomFilter, until: Offset, limit: int
) -> HistoryPage:
    """Read the last events up to an offset, this one included, in the order of the log.

    Args:
        log: the event log.
        rooms: read events of any of these rooms.
        sees: the rooms that the client may be in.
        until: the offset.
        limit: the maximum number of events.
    """
    bounds = await log.bounds()
    if not bounds.has_all_after(until):
        return HistoryPage([], bounds.position, gap=True)
    events: list[bytes] = []
    end, oldest = until.seq, bounds.oldest.seq
    last_examined = max(oldest, end - MAX_EXAMINED)
    while end > last_examined and len(events) < limit:
        start = max(last_examined, end - MAX_EXAMINED_EVENTS)
        newest: deque[tuple[bytes, int]] = deque()
        size = sum(map(len, events))
        page = Page([], Offset(until.epoch, start), at_end=False)
        while page.position.seq < end and not page.at_end:
            page = await log.read(page.position, rooms, MAX_EXAMINED_EVENTS)
            if page.gap:  # the retention has passed this read
                return HistoryPage(events, Offset(until.epoch, end), more=False)
            for record in page.records:
                seen = sees.view(record) if record.offset.seq <= end else None
                if seen is None:
                    continue
                newest.append((seen.json_with_offset.encode(), record.offset.seq))
                size += len(newest[-1][0])
                while len(events) + len(newest) > limit or size - len(newest[0][0]) > PAGE_BYTES:
                    text, start = newest.popleft()  # it is of the next page
                    size -= len(text)
        events = [*(text for text, _ in newest), *events]
        end = start
        if size > PAGE_BYTES:
            break
    return HistoryPage(events, Offset(until.epoch, end), more=end > oldest)


async def read_furniture(
    log: EventLog, rooms: frozenset[str], sees: RoomFilter, before: Offset | None, limit: int
) -> FurniturePage:
    """Read the last states of the pieces in some rooms, the latest changed piece first.

    Args:
        log: the event log.
        rooms: read pieces that are in any of these rooms.
        sees: the rooms that the client may be in.
        before: read pieces whose last event is before this offset; None reads all.
        limit: the maximum number of pieces.
    """
    items: list[bytes] = []
    size = examined = 0
    while limit and examined < MAX_EXAMINED:
        page = await log.pieces(before, MAX_EXAMINED_EVENTS)
        for piece in page.pieces:
            before = piece.offset
            if rooms.isdisjoint(piece.rooms) or not any(map(sees.allows, piece.rooms)):
                continue
            items.append(piece.furniture.encode())
            size += len(items[-1])
            if len(items) == limit or size > PAGE_BYTES:
                return FurniturePage(items, before)
        if page.next is None:
            return FurniturePage(items, None)
        before = page.next
        examined += MAX_EXAMINED_EVENTS
    return FurniturePage(items, before)
