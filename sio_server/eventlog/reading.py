"""The arithmetic of reading a log, the same for every log: gaps, what to examine, pages. Pure."""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Iterable

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.contract import Bounds, Page

MAX_EXAMINED_EVENTS = 5_000
"""How many events one read examines at most, so that no read holds up the log."""

PAGE_BYTES = 262_144
"""After how much JSON a page ends, so that nobody who reads holds much at a time."""

_EPOCH_ALPHABET = string.ascii_lowercase + string.digits


def new_epoch() -> str:
    """Make the name of a new log's epoch."""
    return "".join(secrets.choice(_EPOCH_ALPHABET) for _ in range(12))


def bounds(epoch: str, oldest: int, end: int) -> Bounds:
    """Return the bounds of a log that keeps the events after ``oldest`` up to ``end``."""
    return Bounds(Offset(epoch, oldest), Offset(epoch, end))


def plan(
    after: Offset | None,
    rooms: Collection[str] | None,
    limit: int,
    kept: Bounds,
    examined: int = MAX_EXAMINED_EVENTS,
) -> Page | range:
    """Return the seqs that a read has to examine, or its page where no event need be looked at.

    Args:
        after: as for the log's ``read``, and so are ``rooms`` and ``limit``.
        kept: the log's bounds.
        examined: how many events the read may examine.
    """
    oldest, end = kept.oldest.seq, kept.position.seq
    if after is not None and not kept.has_all_after(after):
        return Page([], kept.position, at_end=True, gap=True)
    start = oldest if after is None else after.seq
    if start == end or limit == 0 or (rooms is not None and not rooms):
        return Page([], kept.position, at_end=True)
    return range(start + 1, min(start + examined, end) + 1)


def page(found: Iterable[Record], seqs: range, limit: int, kept: Bounds) -> Page:
    """Return the page of the records found among ``seqs``: at most ``limit``, and not too much."""
    records: list[Record] = []
    size = 0
    position = Offset(kept.position.epoch, seqs[-1])
    for record in found:
        records.append(record)
        size += len(record.body)
        if len(records) == limit or size >= PAGE_BYTES:
            position = record.offset
            break
    return Page(records, position, at_end=position == kept.position)
