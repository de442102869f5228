"""Events are divided into batches, and a batch keeps its results."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furniture_events._batches import Batch, batch_body, split
from furniture_events._encoding import EncodedEvent
from furniture_events.errors import (
    AnswerTimeout,
    InvalidFurniture,
    LogUnavailable,
    Unreachable,
)

EMPTY = len(batch_body([]))


def events(*sizes: int) -> list[EncodedEvent]:
    """Make events of these sizes in bytes. Here a JSON string is enough."""
    return [EncodedEvent(str(n), b'"' + b"x" * (size - 2) + b'"') for n, size in enumerate(sizes)]


@given(
    sizes=st.lists(st.integers(2, 60), max_size=60),
    max_events=st.integers(1, 8),
    max_bytes=st.integers(1, 200),
)
def test_split_covers_all_in_order_within_bounds_and_greedily(
    sizes: list[int], max_events: int, max_bytes: int
) -> None:
    """Batches have all events in order, within the bounds, and as long as the bounds allow."""
    made = events(*sizes)
    runs = list(split(sizes, max_events, max_bytes))
    assert [index for run in runs for index in run] == list(range(len(sizes)))

    def fits(start: int, stop: int) -> bool:
        body = batch_body(made[start:stop])
        return stop - start <= max_events and len(body) <= max_bytes

    for run in runs:
        assert len(run) == 1 or fits(run.start, run.stop)
        assert run.stop == len(sizes) or not fits(run.start, run.stop + 1)


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (2001, 3)])
def test_split_at_a_thousand_events(count: int, runs: int) -> None:
    """A thousand events are one batch. One more event begins another batch."""
    assert len(list(split([10] * count, 1000, 2**20))) == runs


def test_split_at_exactly_the_bytes_allowed() -> None:
    """A body may have exactly the allowed bytes, and not one more."""
    sizes = [100, 200]
    whole = EMPTY + 100 + 1 + 200
    assert list(split(sizes, 1000, whole)) == [range(2)]
    assert list(split(sizes, 1000, whole - 1)) == [range(1), range(1, 2)]


def test_an_event_over_the_bound_is_sent_alone() -> None:
    """The broker decides about it, and its neighbours are in other batches."""
    assert list(split([5, 500, 5], 1000, 100)) == [range(1), range(1, 2), range(2, 3)]


def test_body_is_the_contracts_object() -> None:
    """The body is an object with the events in order."""
    assert json.loads(batch_body(events(3, 4))) == {"events": ["x", "xx"]}


def test_only_temporary_failures_stay_pending() -> None:
    """An event with a result or a permanent error is not sent again."""
    batch = Batch(events(3, 3, 3))
    refused, later = InvalidFurniture("no"), LogUnavailable("later")
    batch.settle([refused, later, refused])
    assert batch.pending == [batch.events[1]]
    assert batch.results == [refused, later, refused]
    assert batch.failure() is later


def test_maybe_appended_stays_on_its_event() -> None:
    """An event whose answer was lost has ``maybe_appended`` until it has a result."""
    batch = Batch(events(3, 3))
    batch.settle(AnswerTimeout("late", maybe_appended=True))
    assert len(batch.pending) == 2
    batch.settle([LogUnavailable("later"), InvalidFurniture("no")])
    batch.settle(Unreachable("gone"))
    one, other = batch.results
    assert isinstance(one, Unreachable)
    assert isinstance(other, InvalidFurniture)
    assert one.maybe_appended
    assert other.maybe_appended


def test_an_error_of_a_whole_batch_is_copied_for_each_event() -> None:
    """Events do not share an error object, so that a mark on one does not change others."""
    batch = Batch(events(3, 3))
    batch.settle(Unreachable("gone"))
    one, other = batch.results
    assert one is not other
    assert one is not None
    assert type(one) is type(other)


def test_longest_retry_after_counts() -> None:
    """Of several pending events, the longest Retry-After decides."""
    batch = Batch(events(3, 3, 3))
    longest = LogUnavailable("later", retry_after=9.0)
    batch.settle([LogUnavailable("later", retry_after=1.0), longest, LogUnavailable("later")])
    assert batch.failure() is longest
