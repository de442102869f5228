"""The arithmetic of reads: epochs, gaps, events to examine, and the edges of pages."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Page

LOG_BOUNDS = reading.bounds("e", 10, 20)
END = Offset("e", 20)
ROOMS = frozenset(["material:roble"])


def examined(*found: int, until: int) -> list[Record | None]:
    """Make the events from 11 to a last seq; those that were not found are for other rooms."""
    return [
        Record(Offset("e", seq), "furniture_created", (), "{}") if seq in found else None
        for seq in range(11, until + 1)
    ]


def selected(events: list[Record | None]) -> list[Record]:
    """Return the records among examined events."""
    return [event for event in events if event is not None]


def test_a_read_of_the_catalog_reads_all_events() -> None:
    """Otherwise the rooms are a copy, because the caller may change its own."""
    assert reading.selecting(None) is None
    assert reading.selecting({"material:roble": 0, "catalog": 0}.keys()) is None
    rooms = {"material:roble", "author:Juan"}
    selecting = reading.selecting(rooms)
    rooms.clear()
    assert selecting == {"material:roble", "author:Juan"}
    assert reading.selecting([]) == frozenset()


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
    ("after", "seqs"),
    [
        (None, range(11, 21)),
        (Offset("e", 10), range(11, 21)),
        (Offset("e", 19), range(20, 21)),
    ],
)
def test_a_read_examines_the_next_events(after: Offset | None, seqs: range) -> None:
    """A read examines the events from its offset, or from the oldest event, to the log's end."""
    assert reading.plan(after, ROOMS, 5, LOG_BOUNDS) == seqs
    assert reading.plan(after, None, 10, LOG_BOUNDS) == seqs


@pytest.mark.parametrize(
    ("rooms", "limit", "examined"),
    [(ROOMS, 1, 250), (ROOMS, 1_000, 250), (None, 1, 1), (None, 250, 250), (None, 251, 250)],
)
def test_a_read_examines_a_bounded_number_of_events(
    rooms: frozenset[str] | None, limit: int, examined: int
) -> None:
    """A read of all rooms examines only the events that it returns."""
    long_log = reading.bounds("e", 10, 1_000_000)
    assert reading.plan(None, rooms, limit, long_log) == range(11, 11 + examined)


def test_a_read_of_no_rooms_examines_no_event() -> None:
    """If no event can match, the page is at the log's end at once."""
    page = reading.plan(None, frozenset(), 5, LOG_BOUNDS)
    assert page == Page([], END, at_end=True)


@pytest.mark.parametrize(
    ("events", "limit", "position"),
    [
        (examined(until=15), 2, 15),
        (examined(12, until=15), 2, 15),
        (examined(12, 13, until=15), 2, 13),
        (examined(12, 15, until=15), 2, 15),
        (examined(until=13), 2, 13),
        (examined(12, until=14), 2, 14),
    ],
)
def test_a_page_names_the_offset_of_the_next_read(
    events: list[Record | None], limit: int, position: int
) -> None:
    """A full page ends at its last record; any other page ends at the last examined event."""
    page = reading.page(events, range(11, 16), limit, LOG_BOUNDS)
    assert page == Page(selected(events), Offset("e", position), at_end=False)


def test_a_full_page_examines_no_further_event() -> None:
    """A log may read an event only when the page asks for it."""
    events = iter(examined(11, 12, 13, until=15))
    assert len(reading.page(events, range(11, 16), 2, LOG_BOUNDS).records) == 2
    assert len(list(events)) == 3


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
    for events in (examined(until=20), examined(20, until=20)):
        page = reading.page(events, range(11, 21), 1, LOG_BOUNDS)
        assert page == Page(selected(events), END, at_end=True)
