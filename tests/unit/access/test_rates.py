"""Rates: commands in a sliding minute, and a bucket of tokens."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.access.rates import COMPACT_SLOTS, MAX_SLOTS, Bucket, RateLimit
from sio_server.contract.errors import Flooding, RateLimited, UnknownRoom
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


def outcomes(rate: RateLimit, times: int) -> list[str]:
    """Count this many commands, and return the outcome of each."""
    results = []
    for _ in range(times):
        try:
            rate.count()
        except RateLimited as error:
            results.append("closed" if isinstance(error, Flooding) else "refused")
        else:
            results.append("passed")
    return results


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_commands_over_the_limit_are_refused_and_then_close(limit: int, clock: Clock) -> None:
    """Ten times the limit closes the connection, and so does every command after that."""
    results = outcomes(RateLimit(limit, clock), limit * 10 + 5)
    assert results[:limit] == ["passed"] * limit
    assert results[limit : limit * 10 - 1] == ["refused"] * (limit * 9 - 1)
    assert results[limit * 10 - 1 :] == ["closed"] * 6


def test_a_refusal_names_the_limit_and_says_when_to_retry(clock: Clock) -> None:
    """A refusal that closes the connection has the same code."""
    rate = RateLimit(1, clock)
    rate.count()
    with pytest.raises(RateLimited, match="more than 1 commands") as caught:
        rate.count()
    assert (caught.value.code, caught.value.status) == ("rate_limited", 429)
    assert caught.value.retry_after == 60
    assert (Flooding.code, Flooding.status) == ("rate_limited", 429)


def test_the_minute_slides(clock: Clock) -> None:
    """Each command counts for sixty seconds, independently of the others."""
    rate = RateLimit(2, clock)
    assert outcomes(rate, 1) == ["passed"]
    clock.now += 30
    assert outcomes(rate, 1) == ["passed"]
    clock.now += 29.9
    assert outcomes(rate, 1) == ["refused"]
    clock.now += 30.2  # the second command no longer counts, the refused one still does
    assert outcomes(rate, 2) == ["passed", "refused"]
    clock.now += 60
    assert outcomes(rate, 3) == ["passed", "passed", "refused"]


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 5))
def test_any_schedule_is_limited_by_its_last_sixty_seconds(pauses: list[float], limit: int) -> None:
    """The reference counts the commands of the last sixty seconds again at each command."""
    clock = Clock()
    rate = RateLimit(limit, clock)
    times: list[float] = []
    for pause in pauses:
        clock.now += pause
        times.append(clock.now)
        recent = sum(time > clock.now - 60 for time in times)
        expected = "passed" if recent <= limit else "refused" if recent < limit * 10 else "closed"
        assert outcomes(rate, 1) == [expected]


def test_a_connection_without_commands_stores_no_times() -> None:
    """Most consumers never send a command, so the entries are created by the first one."""
    assert RateLimit(100)._times is None


@pytest.mark.parametrize("limit", [MAX_SLOTS, 100_000])
def test_a_large_limit_needs_little_memory(limit: int, clock: Clock) -> None:
    """Commands of a short time share an entry. The count stays right."""
    rate = RateLimit(limit, clock)
    for _ in range(limit // 100):
        clock.now += 60 / limit * 90
        outcomes(rate, 90)
    assert rate._times is not None
    assert len(rate._times) <= MAX_SLOTS
    assert not rate.is_over
    assert rate.number <= limit
    clock.now += 61
    assert rate.number == 0


def test_a_rate_is_over_from_its_first_refusal_on(clock: Clock) -> None:
    """After a minute it is not over any more."""
    rate = RateLimit(2, clock)
    outcomes(rate, 2)
    assert not rate.is_over
    outcomes(rate, 1)
    assert rate.is_over
    clock.now += 60
    assert not rate.is_over


def test_only_the_clients_faults_count(clock: Clock) -> None:
    """The answer is the rate limit's once it is reached."""
    rate = RateLimit(1, clock)
    fault = UnknownRoom("x")
    assert rate.count_failure(fault) is fault
    answer = rate.count_failure(fault)
    assert isinstance(answer, RateLimited)
    assert answer.__traceback__ is None  # its frames would keep the answer, and it them


def test_a_bucket_gives_its_tokens_and_fills_again(clock: Clock) -> None:
    """It never has more tokens than its size."""
    bucket = Bucket(3, 60, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.9
    assert not bucket.take()
    clock.now += 0.1
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_a_rate_has_a_bounded_number_of_entries(clock: Clock) -> None:
    """Though each command beyond the limit is counted."""
    rate = RateLimit(100, clock)
    for _ in range(3 * MAX_SLOTS):
        clock.now += 0.001
        with contextlib.suppress(RateLimited):
            rate.count()
    assert rate.number == 3 * MAX_SLOTS
    assert rate._times is not None
    assert len(rate._times) == MAX_SLOTS


def test_a_compact_rate_keeps_its_number_and_forgets_no_command_early(clock: Clock) -> None:
    """Its few entries are those of a connection that has ended."""
    rate = RateLimit(100, clock)
    for _ in range(50):
        clock.now += 1
        rate.count()
    rate.compact()
    assert rate._times is not None
    assert len(rate._times) <= COMPACT_SLOTS
    assert rate.number == 50
    clock.now += 25
    assert 50 - 16 <= rate.number <= 50
    clock.now += 40
    assert rate.number == 0
