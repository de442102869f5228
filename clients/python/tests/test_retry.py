"""When to try again, and after how long."""

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
    """Make the retries of one call, with randomness that is none."""
    return Retries(Settings(**DEFAULTS | changes), lambda: random, started)


def delays(of: Retries, now: float = 100.0, after: float | None = None) -> Iterator[float]:
    """Fail until it gives up."""
    while (delay := of.next_delay(now, after)) is not None:
        yield delay


def test_ceiling_doubles_up_to_the_maximum() -> None:
    """With the greatest luck the waits are 0.1, 0.2, 0.4 and then the maximum."""
    assert list(delays(retries(attempts=6))) == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_jitter_is_full() -> None:
    """A wait is anywhere between nothing and the ceiling."""
    assert list(delays(retries(random=0.0))) == [0.0] * 4
    assert list(delays(retries(random=0.5)))[:2] == [0.05, 0.1]


def test_attempts_are_bounded_and_counted() -> None:
    """With one attempt there is no wait; the count is of the attempt to come."""
    assert list(delays(retries(attempts=1))) == []
    counted = retries(attempts=3)
    counted.next_delay(100.0, None)
    assert counted.attempt == 2


def test_retry_after_is_never_undercut() -> None:
    """The jitter comes on top of what the broker asked for."""
    assert list(delays(retries(random=0.0, attempts=3), after=2.0)) == [2.0, 2.0]
    assert list(delays(retries(attempts=3), after=2.0)) == [2.1, 2.2]


def test_wait_that_reaches_the_deadline_is_not_begun() -> None:
    """It gives up at once rather than sleep for nothing."""
    assert retries(random=0.0, deadline=5.0).next_delay(100.0, 5.0) is None
    assert retries(deadline=5.0).next_delay(104.95, None) is None
    assert retries(deadline=5.0).next_delay(104.5, None) == 0.1
    assert retries(deadline=5.0).left(101.5) == 3.5


def test_thousands_of_attempts_do_not_overflow() -> None:
    """Doubling stops before a float would."""
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
    """Seconds, or a date counted from the answer's own; anything else is no Retry-After."""
    headers = {"retry-after": value, "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert parse_retry_after(headers) == seconds


def test_retry_after_date_without_a_date_is_ignored() -> None:
    """Without the answer's own date, and without the header, there is none."""
    assert parse_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}) is None
    assert parse_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:10", "date": "x"}) is None
    assert parse_retry_after({}) is None
