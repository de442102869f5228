"""The latest events in memory: a suffix of the log, within its bounds."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset, Record
from sio_server.delivery import recent
from sio_server.delivery.recent import RecentEvents


def record(seq: int, epoch: str = "epoch", body: str = "{}") -> Record:
    """Return an event."""
    return Record(Offset(epoch, seq), "furniture_created", ("catalog",), body)


def seqs(
    held: RecentEvents, after: int, count: int = 100, epoch: str = "epoch"
) -> list[int] | None:
    """Return which events follow one."""
    entries = held.after(Offset(epoch, after), count)
    return None if entries is None else [entry.record.offset.seq for entry in entries]


def test_it_holds_the_latest_events() -> None:
    """So many of them; what is older, or not there yet, is not here."""
    held = RecentEvents(3)
    assert seqs(held, 0) is None
    for seq in range(1, 6):
        held.add(record(seq))
    assert [seqs(held, after) for after in range(7)] == [
        None,
        None,
        [3, 4, 5],
        [4, 5],
        [5],
        None,
        None,
    ]
    assert seqs(held, 2, count=2) == [3, 4]
    assert seqs(held, 2, epoch="another") is None


def test_it_holds_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few events those are."""
    monkeypatch.setattr(recent, "MAX_RECENT_BYTES", 100)
    held = RecentEvents()
    for seq in range(1, 6):
        held.add(record(seq, body="x" * 40))
    assert seqs(held, 3) == [4, 5]
    held.add(record(6, body="x" * 101))
    assert seqs(held, 5) is None


def test_it_has_no_holes() -> None:
    """After one, and in another epoch, it begins anew."""
    held = RecentEvents()
    held.add(record(1))
    held.add(record(3))
    assert (seqs(held, 0), seqs(held, 2)) == (None, [3])
    held.add(record(4, "another"))
    assert (seqs(held, 2), seqs(held, 3, epoch="another")) == (None, [4])


class Plain:
    """A class of outlets."""

    @staticmethod
    def encode(record: Record) -> int:
        """Return what can be told from others."""
        return record.offset.seq


def test_what_many_have_missed_is_cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is the same; in pieces of about so many bytes."""
    monkeypatch.setattr(recent, "CHUNK_BYTES", 80)
    held = RecentEvents()
    for seq in range(1, 6):
        held.add(record(seq, body="x" * 40))
    offset = Offset("epoch", 0)
    missed = held.after(offset, 100)
    assert missed is not None
    assert missed.chunks(Plain) == [
        ([1, 2], Offset("epoch", 2)),
        ([3, 4], Offset("epoch", 4)),
        ([5], Offset("epoch", 5)),
    ]
    assert held.after(offset, 100) is missed
    assert missed.chunks(Plain) is missed.chunks(Plain)
    held.add(record(6))
    assert seqs(held, 0) == [1, 2, 3, 4, 5, 6]
    held.add(record(1, "another"))
    assert seqs(held, 0, epoch="another") == [1]
