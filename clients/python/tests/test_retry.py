"""The producer tries again at the right times, and gives up in time."""

from collections.abc import Iterator
from typing import Any

import pytest

from furniture_events._retry import Retries, parse_retry_after
from furniture_events._settings import Settings

DEFAULTS: dict[str, Any] = {
    "url": "http://h",
    "key": None,
    "timeout": 1.0,
    "connect_timeout": 1.0,
    "attempts": 5,
    "deadline": 30.0,
    "backoff": 0.1,
    "backoff_max": 0.5,
    "batch_events": 1000,
    "batch_bytes": 2**20,
    "max_connections": 1,
}


def retries(random: float = 1.0, started: float = 100.0, **changes: Any) -> Retries:
    """Make the retries of one call, with a fixed random number."""
    return Retries(Settings(**DEFAULTS | changes), lambda: random, started)


def delays(of: Retries, now: float = 100.0, after: float | None = None) -> Iterator[float]:
    """Yield the waits, until there is none."""
    while (delay := of.next_delay(now, after)) is not None:
        yield delay


def test_the_longest_wait_doubles_up_to_the_maximum() -> None:
    """The longest waits are 0.1, 0.2, 0.4 and then the maximum."""
    assert list(delays(retries(attempts=6))) == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_jitter_is_full() -> None:
    """A wait is anywhere between 0 and its bound."""
    assert list(delays(retries(random=0.0))) == [0.0] * 4
    assert list(delays(retries(random=0.5)))[:2] == [0.05, 0.1]


def test_attempts_are_bounded_and_counted() -> None:
    """With one attempt there is no wait. The count is that of the next attempt."""
    assert list(delays(retries(attempts=1))) == []
    counted = retries(attempts=3)
    counted.next_delay(100.0, None)
    assert counted.attempt == 2


def test_a_wait_is_never_shorter_than_retry_after() -> None:
    """The jitter is added to the Retry-After."""
    assert list(delays(retries(random=0.0, attempts=3), after=2.0)) == [2.0, 2.0]
    assert list(delays(retries(attempts=3), after=2.0)) == [2.1, 2.2]


def test_wait_that_reaches_the_deadline_is_not_begun() -> None:
    """The call gives up at once instead of a useless wait."""
    assert retries(random=0.0, deadline=5.0).next_delay(100.0, 5.0) is None
    assert retries(deadline=5.0).next_delay(104.95, None) is None
    assert retries(deadline=5.0).next_delay(104.5, None) == 0.1
    assert retries(deadline=5.0).seconds_left(101.5) == 3.5


def test_thousands_of_attempts_do_not_overflow() -> None:
    """The doubling stops before a float overflows."""
    assert len(list(delays(retries(attempts=5000)))) == 4999


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 50, 1e9),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str, seconds: float | None) -> None:
    """It is seconds, or a date relative to the answer's own date."""
    headers = {"retry-after": value, "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert parse_retry_after(headers) == seconds


def test_retry_after_date_without_a_date_is_ignored() -> None:
    """Without the answer's own date, or without the header, there is no Retry-After."""
    assert parse_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}) is None
    assert parse_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:10", "date": "x"}) is None
    assert parse_retry_after({}) is None
