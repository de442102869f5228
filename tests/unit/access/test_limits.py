"""Limits: the sliding minute, addresses, connections; each at N and N+1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.access import limits
from sio_server.access.limits import AddressRates, ConnectionLimits, RateLimit
from sio_server.contract.errors import Flooding, RateLimited, TooManyConnections


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock to move."""
    return Clock()


def outcomes(rate: RateLimit, times: int) -> list[str]:
    """Count so many commands; return what became of each."""
    found = []
    for _ in range(times):
        try:
            rate.count()
        except RateLimited as error:
            found.append("closed" if isinstance(error, Flooding) else "refused")
        else:
            found.append("passed")
    return found


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_a_minute_has_so_many_commands(limit: int, clock: Clock) -> None:
    """N pass, N+1 is refused, the tenfold closes, and so does all that follows."""
    found = outcomes(RateLimit(limit, clock), limit * 10 + 5)
    assert found[:limit] == ["passed"] * limit
    assert found[limit : limit * 10 - 1] == ["refused"] * (limit * 9 - 1)
    assert found[limit * 10 - 1 :] == ["closed"] * 6


def test_a_refusal_says_the_limit_and_when_to_retry(clock: Clock) -> None:
    """With the contract's code; the closing one is of the same code."""
    rate = RateLimit(1, clock)
    rate.count()
    with pytest.raises(RateLimited, match="more than 1 commands") as caught:
        rate.count()
    assert (caught.value.code, caught.value.status) == ("rate_limited", 429)
    assert caught.value.retry_after == 60
    assert (Flooding.code, Flooding.status) == ("rate_limited", 429)


def test_the_minute_slides(clock: Clock) -> None:
    """A command counts for sixty seconds, each by itself."""
    rate = RateLimit(2, clock)
    assert outcomes(rate, 1) == ["passed"]
    clock.now += 30
    assert outcomes(rate, 1) == ["passed"]
    clock.now += 29.9
    assert outcomes(rate, 1) == ["refused"]
    clock.now += 30.2  # the second has gone too, the refused one has not
    assert outcomes(rate, 2) == ["passed", "refused"]
    clock.now += 60
    assert outcomes(rate, 3) == ["passed", "passed", "refused"]


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 5))
def test_any_schedule_counts_as_the_last_minute_has_it(pauses: list[float], limit: int) -> None:
    """The same as counting all the commands of the last sixty seconds anew."""
    clock = Clock()
    rate = RateLimit(limit, clock)
    times: list[float] = []
    for pause in pauses:
        clock.now += pause
        times.append(clock.now)
        recent = sum(time > clock.now - 60 for time in times)
        expected = "passed" if recent <= limit else "refused" if recent < limit * 10 else "closed"
        assert outcomes(rate, 1) == [expected]


def test_a_quiet_connection_costs_no_memory() -> None:
    """The count begins with the first command."""
    assert RateLimit(100)._times is None


def test_addresses_are_counted_apart() -> None:
    """Each has its own limit, and keeps it."""
    rates = AddressRates(1)
    assert outcomes(rates.of("192.0.2.1"), 2) == ["passed", "refused"]
    assert outcomes(rates.of("192.0.2.2"), 1) == ["passed"]
    assert outcomes(rates.of("192.0.2.1"), 1) == ["refused"]


def test_the_address_idle_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses there are, so many are remembered; use keeps one of them."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 2)
    rates = AddressRates(1)
    first, second = rates.of("a"), rates.of("b")
    assert rates.of("a") is first
    rates.of("c")
    assert rates.of("a") is first
    assert rates.of("b") is not second


def test_connections_are_bounded_in_all() -> None:
    """N enter, N+1 is told that the server is full, and enters once another has left."""
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


def test_connections_are_bounded_for_each_address() -> None:
    """Others are not touched; a refusal counts for nothing."""
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
    """Only the bound in all holds then."""
    bound = ConnectionLimits(50, 0)
    for _ in range(50):
        bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


def test_a_full_server_says_so_before_a_full_address() -> None:
    """Then nothing that the client does would help."""
    bound = ConnectionLimits(1, 1)
    bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


def test_addresses_that_have_left_are_forgotten() -> None:
    """Counting them for ever would be a leak."""
    bound = ConnectionLimits(10, 2)
    leaves = [bound.enter(address) for address in ("a", "a", "b")]
    for leave in leaves:
        leave()
    assert bound.total == 0
    assert not bound._by_address
