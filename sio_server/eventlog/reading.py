"""The arithmetic of reads, the same for every log: gaps, events to examine, pages. Pure."""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Iterable

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.contract import Bounds, Page

MAX_EXAMINED_EVENTS = 5_000
"""How many events one read examines at most, so that no read blocks the log for long."""

PAGE_BYTES = 262_144
"""A page ends after so much JSON, so that no reader holds much memory at a time."""

_EPOCH_ALPHABET = string.ascii_lowercase + string.digits
_EPOCH_LENGTH = 12


def new_epoch() -> str:
    """Make a random name for a new epoch."""
    return "".join(secrets.choice(_EPOCH_ALPHABET) for _ in range(_EPOCH_LENGTH))


def bounds(epoch: str, oldest: int, end: int) -> Bounds:
    """Return the bounds of a log that holds the events after ``oldest`` up to ``end``."""
    return Bounds(Offset(epoch, oldest), Offset(epoch, end))


def plan(
    after: Offset | None,
    rooms: Collection[str] | None,
    limit: int,
    log_bounds: Bounds,
    max_examined_events: int = MAX_EXAMINED_EVENTS,
) -> Page | range:
    """Return the seqs that a read examines; or its page, if it needs to examine no event.

    Args:
        after: as in the log's ``read``; so are ``rooms`` and ``limit``.
        log_bounds: the log's bounds.
        max_examined_events: how many events the read examines at most.
    """
    oldest, end = log_bounds.oldest.seq, log_bounds.position.seq
    if after is not None and not log_bounds.has_all_after(after):
        return Page([], log_bounds.position, at_end=True, gap=True)
    start = oldest if after is None else after.seq
    if start == end or limit == 0 or (rooms is not None and not rooms):
        return Page([], log_bounds.position, at_end=True)
    return range(start + 1, min(start + max_examined_events, end) + 1)


def page(found: Iterable[Record], seqs: range, limit: int, log_bounds: Bounds) -> Page:
    """Make a page of at most ``limit`` records, and of about ``PAGE_BYTES`` at most.

    Args:
        found: the matching records among ``seqs``, in order.
        seqs: the seqs that the read examined.
        limit: as in the log's ``read``.
        log_bounds: the log's bounds.
    """
    records: list[Record] = []
    size = 0
    position = Offset(log_bounds.position.epoch, seqs[-1])
    for record in found:
        records.append(record)
        size += len(record.body)
        if len(records) == limit or size >= PAGE_BYTES:
            position = record.offset
            break
    return Page(records, position, at_end=position == log_bounds.position)
