"""The arithmetic of reads, the same for every log: gaps, events to examine, pages. Pure."""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Iterable

from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import CATALOG
from sio_server.eventlog.appending import PieceState
from sio_server.eventlog.contract import Bounds, Page, Piece, PiecePage

MAX_EXAMINED_EVENTS = 250
"""How many events one read examines at most. An append that comes meanwhile waits about 1 ms."""

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


def selecting(rooms: Collection[str] | None) -> frozenset[str] | None:
    """Return the rooms by which a read selects events, or None if it reads all events.

    Every event is in the catalog. The caller of the read may change its own collection meanwhile.
    """
    return None if rooms is None or CATALOG in rooms else frozenset(rooms)


def plan(
    after: Offset | None, rooms: frozenset[str] | None, limit: int, log_bounds: Bounds
) -> Page | range:
    """Return the seqs that a read may examine; or its page, if it needs to examine no event.

    Args:
        after: as in the log's ``read``; so is ``limit``.
        rooms: from ``selecting``.
        log_bounds: the log's bounds.
    """
    oldest, end = log_bounds.oldest.seq, log_bounds.position.seq
    if after is not None and not log_bounds.has_all_after(after):
        return Page([], log_bounds.position, at_end=True, gap=True)
    start = oldest if after is None else after.seq
    if start == end or limit == 0 or (rooms is not None and not rooms):
        return Page([], log_bounds.position, at_end=True)
    return range(start + 1, min(start + max_examined(rooms, limit), end) + 1)


def max_examined(rooms: frozenset[str] | None, limit: int) -> int:
    """Return how many events a read examines at most; its arguments are those of ``plan``."""
    return min(MAX_EXAMINED_EVENTS, limit) if rooms is None else MAX_EXAMINED_EVENTS


def page(examined: Iterable[Record | None], seqs: range, limit: int, log_bounds: Bounds) -> Page:
    """Make a page of at most ``limit`` records, and of about ``PAGE_BYTES`` at most.

    Args:
        examined: for each of the ``seqs`` its record, or None if its event is for other rooms. It
            may end early; the page examines no more of it than it needs.
        seqs: from ``plan``.
        limit: as in the log's ``read``.
        log_bounds: the log's bounds.
    """
    records: list[Record] = []
    size = 0
    last = seqs[0] - 1
    for last, record in zip(seqs, examined, strict=False):  # noqa: B007 - it is the position
        if record is not None:
            records.append(record)
            size += record.size
            if len(records) == limit or size >= PAGE_BYTES:
                break
    position = Offset(log_bounds.position.epoch, last)
    return Page(records, position, at_end=position == log_bounds.position)


def empty_page(last: int, log_bounds: Bounds) -> Page:
    """Make the page of a read that has found no record up to a seq, however many it has skipped."""
    position = Offset(log_bounds.position.epoch, last)
    return Page([], position, at_end=position == log_bounds.position)


def piece_page(
    epoch: str, examined: Iterable[tuple[int, str, PieceState]], limit: int, *, at_end: bool
) -> PiecePage:
    """Make a page of pieces, of about ``PAGE_BYTES`` at most.

    Args:
        epoch: the log's.
        examined: for each piece the seq of its last event, its ``furniture_id`` and its state, the
            latest changed piece first. The page examines no more of it than it needs.
        limit: as in the log's ``pieces``.
        at_end: whether there are no pieces after the examined ones.
    """
    pieces: list[Piece] = []
    size = 0
    last = None
    for seq, piece, (state_rooms, furniture) in examined:
        last = Offset(epoch, seq)
        if furniture is None:
            continue
        rooms = (CATALOG, f"furniture:{piece}", *state_rooms)
        pieces.append(Piece(last, rooms, furniture))
        size += len(furniture)
        if len(pieces) == limit or size >= PAGE_BYTES:
            return PiecePage(pieces, last)
    return PiecePage(pieces, None if at_end else last)
