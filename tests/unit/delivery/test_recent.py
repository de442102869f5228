"""The latest events in memory: a suffix of the log, within its bounds."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset, Record
from sio_server.delivery import recent
from sio_server.delivery.recent import RecentEvents


def record(seq: int, epoch: str = "epoch", body: str = "{}") -> Record:
    """Return the record of an event."""
    return Record(Offset(epoch, seq), "furniture_created", ("catalog",), body)


def seqs(
    latest: RecentEvents, after: int, count: int = 100, epoch: str = "epoch"
) -> list[int] | None:
    """Return the numbers of the events after one, or None if they are not all in memory."""
    entries = latest.after(Offset(epoch, after), count)
    return None if entries is None else [entry.record.offset.seq for entry in entries]


def test_the_latest_events_are_in_memory() -> None:
    """Older events, and events that do not exist yet, are not in memory."""
    latest = RecentEvents(3)
    assert seqs(latest, 0) is None
    for seq in range(1, 6):
        latest.add(record(seq))
    assert [seqs(latest, after) for after in range(7)] == [
        None,
        None,
        [3, 4, 5],
        [4, 5],
        [5],
        None,
        None,
    ]
    assert seqs(latest, 2, count=2) == [3, 4]
    assert seqs(latest, 2, epoch="another") is None


def test_memory_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event over the bound is not in memory either."""
    monkeypatch.setattr(recent, "MAX_RECENT_BYTES", 100)
    latest = RecentEvents()
    for seq in range(1, 6):
        latest.add(record(seq, body="x" * 40))
    assert seqs(latest, 3) == [4, 5]
    latest.add(record(6, body="x" * 101))
    assert seqs(latest, 5) is None


def test_the_events_in_memory_have_no_holes() -> None:
    """After a missing event, and in another epoch, only the new event is in memory."""
    latest = RecentEvents()
    latest.add(record(1))
    latest.add(record(3))
    assert (seqs(latest, 0), seqs(latest, 2)) == (None, [3])
    latest.add(record(4, "another"))
    assert (seqs(latest, 2), seqs(latest, 3, epoch="another")) == (None, [4])


class Plain:
    """A class of outlets, which has its own frames."""

    @staticmethod
    def encode(record: Record) -> int:
        """Return a frame that shows its event."""
        return record.offset.seq


def test_missed_events_are_split_into_chunks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All consumers that missed the same events share the chunks."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 80)
    latest = RecentEvents()
    for seq in range(1, 6):
        latest.add(record(seq, body="x" * 40))
    offset = Offset("epoch", 0)
    missed = latest.after(offset, 100)
    assert missed is not None
    assert missed.chunks(Plain) == [
        ([1, 2], Offset("epoch", 2)),
        ([3, 4], Offset("epoch", 4)),
        ([5], Offset("epoch", 5)),
    ]
    assert latest.after(offset, 100) is missed
    assert missed.chunks(Plain) is missed.chunks(Plain)
    latest.add(record(6))
    assert seqs(latest, 0) == [1, 2, 3, 4, 5, 6]
    latest.add(record(1, "another"))
    assert seqs(latest, 0, epoch="another") == [1]
