"""The arithmetic of reads at its edges."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Page

KEPT = reading.bounds("e", 10, 20)
END = Offset("e", 20)


def records(*seqs: int) -> list[Record]:
    """Make the records of these numbers."""
    return [Record(Offset("e", seq), "furniture_created", (), "{}") for seq in seqs]


def test_an_epoch_is_short_random_and_fit_for_an_offset() -> None:
    """Epochs are twelve lower-case letters and digits, and differ."""
    epochs = {reading.new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(len(epoch) == 12 for epoch in epochs)
    assert all(Offset.parse(f"{epoch}-7") == Offset(epoch, 7) for epoch in epochs)
    assert all(epoch == epoch.lower() and epoch.isalnum() for epoch in epochs)


@pytest.mark.parametrize("after", [Offset("e", 9), Offset("e", 21), Offset("d", 15)])
def test_what_is_not_kept_is_a_gap(after: Offset) -> None:
    """Older than the oldest, beyond the end, or another epoch: a gap at the log's end."""
    assert reading.plan(after, None, 5, KEPT) == Page([], END, at_end=True, gap=True)


@pytest.mark.parametrize(
    ("after", "examined", "seqs"),
    [
        (None, 100, range(11, 21)),
        (Offset("e", 10), 100, range(11, 21)),
        (Offset("e", 19), 100, range(20, 21)),
        (Offset("e", 12), 3, range(13, 16)),
    ],
)
def test_a_read_examines_what_comes_next(after: Offset | None, examined: int, seqs: range) -> None:
    """From the offset, or the oldest kept, to the end, or as far as it may."""
    assert reading.plan(after, ["catalog"], 5, KEPT, examined) == seqs


def test_a_read_of_no_rooms_is_done_at_once() -> None:
    """Where nothing can match, nothing is examined, however much there is."""
    assert reading.plan(None, [], 5, KEPT, max_examined_events=1) == Page([], END, at_end=True)


@pytest.mark.parametrize(
    ("found", "limit", "position"),
    [
        (records(), 2, 15),
        (records(12), 2, 15),
        (records(12, 13), 2, 13),
        (records(12, 15), 2, 15),
    ],
)
def test_a_page_tells_where_to_read_on(found: list[Record], limit: int, position: int) -> None:
    """After the last record where that made it full, else after all that was examined."""
    page = reading.page(found, range(11, 16), limit, KEPT)
    assert page == Page(found, Offset("e", position), at_end=False)


def test_a_page_that_reaches_the_end_says_so() -> None:
    """Whether the last event is a record or only examined, nothing lies beyond it."""
    for found in (records(), records(20)):
        assert reading.page(found, range(11, 21), 1, KEPT) == Page(found, END, at_end=True)
