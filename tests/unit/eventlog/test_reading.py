"""The arithmetic of reads: epochs, gaps, events to examine, and the edges of pages."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Page

LOG_BOUNDS = reading.bounds("e", 10, 20)
END = Offset("e", 20)


def records(*seqs: int) -> list[Record]:
    """Make records with these seqs."""
    return [Record(Offset("e", seq), "furniture_created", (), "{}") for seq in seqs]


def test_an_epoch_is_short_random_and_fit_for_an_offset() -> None:
    """Epochs are twelve lower-case letters and digits, and differ from each other."""
    epochs = {reading.new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(len(epoch) == 12 for epoch in epochs)
    assert all(Offset.parse(f"{epoch}-7") == Offset(epoch, 7) for epoch in epochs)
    assert all(epoch == epoch.lower() and epoch.isalnum() for epoch in epochs)


@pytest.mark.parametrize("after", [Offset("e", 9), Offset("e", 21), Offset("d", 15)])
def test_an_offset_outside_the_log_is_a_gap(after: Offset) -> None:
    """An offset before the oldest, beyond the end or of another epoch is a gap at the log's end."""
    assert reading.plan(after, None, 5, LOG_BOUNDS) == Page([], END, at_end=True, gap=True)


@pytest.mark.parametrize(
    ("after", "max_examined_events", "seqs"),
    [
        (None, 100, range(11, 21)),
        (Offset("e", 10), 100, range(11, 21)),
        (Offset("e", 19), 100, range(20, 21)),
        (Offset("e", 12), 3, range(13, 16)),
    ],
)
def test_a_read_examines_the_next_events(
    after: Offset | None, max_examined_events: int, seqs: range
) -> None:
    """A read examines from its offset, or the oldest event, to the log's end or its maximum."""
    assert reading.plan(after, ["catalog"], 5, LOG_BOUNDS, max_examined_events) == seqs


def test_a_read_of_no_rooms_examines_no_event() -> None:
    """If no event can match, the page is at the log's end at once."""
    page = reading.plan(None, [], 5, LOG_BOUNDS, max_examined_events=1)
    assert page == Page([], END, at_end=True)


@pytest.mark.parametrize(
    ("found", "limit", "position"),
    [
        (records(), 2, 15),
        (records(12), 2, 15),
        (records(12, 13), 2, 13),
        (records(12, 15), 2, 15),
    ],
)
def test_a_page_names_the_offset_of_the_next_read(
    found: list[Record], limit: int, position: int
) -> None:
    """A full page ends at its last record; any other page ends at the last examined event."""
    page = reading.page(found, range(11, 16), limit, LOG_BOUNDS)
    assert page == Page(found, Offset("e", position), at_end=False)


def test_a_page_ends_when_it_holds_enough_bytes() -> None:
    """A page takes no further record after ``PAGE_BYTES`` of JSON, whatever its limit."""
    large = [
        Record(Offset("e", seq), "furniture_created", (), "x" * (reading.PAGE_BYTES // 2))
        for seq in range(11, 16)
    ]
    page = reading.page(large, range(11, 16), 5, LOG_BOUNDS)
    assert page == Page(large[:2], Offset("e", 12), at_end=False)


def test_a_page_at_the_logs_end_says_so() -> None:
    """A page is at the end, whether its last event matched or was only examined."""
    for found in (records(), records(20)):
        page = reading.page(found, range(11, 21), 1, LOG_BOUNDS)
        assert page == Page(found, END, at_end=True)
