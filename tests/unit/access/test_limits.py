"""Limits of commands, addresses and connections: each at its bound, and one past it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.access import limits
from sio_server.access.limits import AddressRates, ConnectionLimits, RateLimit
from sio_server.contract.errors import Flooding, RateLimited, TooManyConnections


class Clock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the current seconds."""
        return self.now


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
    """Most consumers never send a command, so the list is created by the first one."""
    assert RateLimit(100)._times is None


def test_each_address_has_its_own_limit() -> None:
    """Its count stays when other addresses send commands."""
    rates = AddressRates(1)
    assert outcomes(rates.of("192.0.2.1"), 2) == ["passed", "refused"]
    assert outcomes(rates.of("192.0.2.2"), 1) == ["passed"]
    assert outcomes(rates.of("192.0.2.1"), 1) == ["refused"]


def test_the_address_idle_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of remembered addresses is bounded, and a command counts as activity."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 2)
    rates = AddressRates(1)
    first, second = rates.of("a"), rates.of("b")
    assert rates.of("a") is first
    rates.of("c")
    assert rates.of("a") is first
    assert rates.of("b") is not second


def test_the_total_of_connections_is_bounded() -> None:
    """A refused connection may enter after another one has left."""
    bound = ConnectionLimits(2, 0)
    leave = bound.enter("a")
    bound.enter("b")
    with pytest.raises(TooManyConnections) as caught:
        bound.enter("c")
    assert caught.value.status == 503
    assert caught.value.retry_after
    assert bound.total == 2
    leave()
    assert bound.total == 1
    bound.enter("c")


def test_the_connections_of_an_address_are_bounded() -> None:
    """Other addresses may still enter, and a refusal takes no place."""
    bound = ConnectionLimits(100, 2)
    leaves = [bound.enter("a"), bound.enter("a")]
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            bound.enter("a")
        assert caught.value.status == 429
    assert bound.total == 2
    bound.enter("b")
    leaves[0]()
    bound.enter("a")


def test_zero_is_no_bound_for_an_address() -> None:
    """Then only the total is bounded."""
    bound = ConnectionLimits(50, 0)
    for _ in range(50):
        bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


def test_a_full_server_is_reported_before_a_full_address() -> None:
    """It would not help the client to close its own connections."""
    bound = ConnectionLimits(1, 1)
    bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


def test_an_address_without_connections_is_forgotten() -> None:
    """Otherwise every address that ever connected would stay in memory."""
    bound = ConnectionLimits(10, 2)
    leaves = [bound.enter(address) for address in ("a", "a", "b")]
    for leave in leaves:
        leave()
    assert bound.total == 0
    assert not bound._by_address
