"""The figures follow from the records: no freeze vanishes, and no event is counted wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.siege.figures import Publish, faults, waits


def steady(start: float, end: float, answer: float = 0.002) -> list[Publish]:
    """Return publishes each 50 ms."""
    count = round((end - start) / 0.05)
    return [Publish(start + it * 0.05, start + it * 0.05 + answer) for it in range(count)]


def test_the_waits_of_a_calm() -> None:
    """All waits are equal, and every publish got its ack."""
    found = waits(steady(0, 10), 0, 10, 11)
    assert found.acks == pytest.approx(20)
    assert (found.p50, found.p99, found.longest) == pytest.approx((0.002, 0.002, 0.002))


def test_a_freeze_counts_for_each_publish_that_was_due_meanwhile() -> None:
    """One ack of 6 s takes the place of 120. So it shows in the median, and in the acks."""
    publishes = [*steady(0, 2), Publish(2, 8), *steady(8, 10)]
    found = waits(publishes, 0, 10, 11)
    assert found.longest == pytest.approx(6)
    assert found.p50 == pytest.approx(1, abs=0.2)
    assert found.p99 == pytest.approx(5.9, abs=0.1)
    assert found.acks == pytest.approx(8.1)


def test_a_wait_that_still_lasts_counts_so_far() -> None:
    """No ack has arrived when the rest is over."""
    found = waits([*steady(0, 2), Publish(2, None)], 0, 10, 15)
    assert found.longest == pytest.approx(13)
    assert found.p99 > 12
    assert found.acks == pytest.approx(4)


def test_a_wait_that_ends_after_the_attack_counts_in_full() -> None:
    """A freeze at the end of an attack does not end with it."""
    assert waits([*steady(0, 9), Publish(9, 14)], 0, 10, 15).longest == pytest.approx(5)


def test_a_wait_that_begins_in_the_rest_counts_as_the_longest() -> None:
    """Work that an attack left behind is the attack's. It does not change the percentiles."""
    found = waits([*steady(0, 11), Publish(11, 14), *steady(14, 15)], 0, 10, 15)
    assert found.longest == pytest.approx(3)
    assert found.p99 == pytest.approx(0.002)


def test_a_wait_from_before_the_attack_counts_in_full() -> None:
    """The attack is part of it."""
    assert waits([Publish(-3, 2), *steady(2, 10)], 0, 10, 11).longest == pytest.approx(5)


def test_waits_of_other_phases_do_not_count() -> None:
    """A long wait before or after the phase and its rest is another phase's."""
    publishes = [Publish(-9, -1), *steady(0, 11), Publish(12, 20)]
    assert waits(publishes, 0, 10, 11).longest == pytest.approx(0.002)


def test_without_any_publish_the_wait_is_the_whole_phase() -> None:
    """The publisher cannot even connect."""
    found = waits([], 0, 10, 12)
    assert (found.acks, found.longest, found.p50) == (0, 12, 12)


@pytest.mark.parametrize(
    ("runs", "last", "expected"),
    [
        ([[1, 9]], 9, (0, 0)),
        ([[1, 12]], 9, (0, 0)),
        ([], 9, (9, 0)),
        ([], 0, (0, 0)),
        ([[1, 7]], 9, (2, 0)),
        ([[3, 9]], 9, (2, 0)),
        ([[1, 4], [7, 9]], 9, (2, 0)),
        ([[1, 4], [4, 9]], 9, (0, 1)),
        ([[1, 4], [2, 9]], 9, (0, 3)),
        ([[1, 9], [2, 3]], 9, (0, 2)),
        ([[1, 9], [9, 9]], 9, (0, 1)),
        ([[1, 4], [6, 6], [5, 5], [7, 9]], 9, (0, 1)),
        ([[1, 4], [12, 14]], 9, (5, 0)),
    ],
)
def test_missing_and_doubled_events_are_counted(
    runs: list[list[int]], last: int, expected: tuple[int, int]
) -> None:
    """The events after the last one may have arrived or not."""
    assert faults(runs, last) == expected


@given(st.lists(st.integers(1, 12), max_size=20), st.integers(0, 12))
def test_the_runs_tell_the_same_as_the_numbers(numbers: list[int], last: int) -> None:
    """A number is missing if it never came, and doubled if it or a later one came before."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    missing = len(set(range(1, last + 1)) - set(numbers))
    doubled = sum(number <= max(numbers[:at], default=0) for at, number in enumerate(numbers))
    assert faults(runs, last) == (missing, doubled)
