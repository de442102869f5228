"""Limits of addresses and connections: each at its bound, and one past it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import structlog

from sio_server.access import limits as module
from sio_server.access.limits import Limits
from sio_server.contract.errors import RateLimited, TooManyConnections
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


def make(clock: Clock | None = None, **changes: int) -> Limits:
    """Return limits of 2 commands, 2 rooms, and 100 connections, without other bounds."""
    options: dict[str, Any] = {
        "rate_limit": 2,
        "max_rooms": 2,
        "max_connections": 100,
        "max_connections_per_address": 0,
    }
    return Limits(**options | changes, clock=clock or Clock())


def test_the_total_of_consumers_is_bounded() -> None:
    """A refused consumer may enter after another one has left."""
    bound = make(max_connections=2)
    leave = bound.enter("a")
    bound.enter("b")
    with pytest.raises(TooManyConnections) as caught:
        bound.enter("c")
    assert (caught.value.code, caught.value.status) == ("too_many_connections", 503)
    assert caught.value.retry_after
    assert bound.consumers == 2
    leave()
    assert bound.consumers == 1
    bound.enter("c")


def test_the_consumers_of_an_address_are_bounded() -> None:
    """Other addresses may still enter, and a refusal takes no place."""
    bound = make(max_connections_per_address=2)
    leaves = [bound.enter("a"), bound.enter("a")]
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            bound.enter("a")
        assert caught.value.status == 429
    assert bound.consumers == 2
    bound.enter("b")
    leaves[0]()
    bound.enter("a")


def test_zero_is_no_bound_for_an_address() -> None:
    """Then only the total is bounded."""
    bound = make(max_connections=50)
    for _ in range(50):
        bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


def test_a_full_server_is_reported_before_a_full_address() -> None:
    """It would not help the client to close its own connections."""
    bound = make(max_connections=1, max_connections_per_address=1)
    bound.enter("a")
    with pytest.raises(TooManyConnections):
        bound.enter("a")


@pytest.mark.parametrize(("consumers", "tcp"), [(2, 10), (100, 110), (1000, 1100)])
def test_there_may_be_some_more_tcp_connections_than_consumers(consumers: int, tcp: int) -> None:
    """In all, and from one address."""
    bound = make(max_connections=consumers)
    leaves = [bound.enter_tcp("a", is_proxy=False) for _ in range(tcp)]
    with pytest.raises(TooManyConnections) as full:
        bound.enter_tcp("a", is_proxy=False)
    assert full.value.limit == "max_connections"
    assert bound.tcp == tcp
    leaves[0]()
    bound.enter_tcp("a", is_proxy=False)
    bound = make(max_connections=10_000, max_connections_per_address=consumers)
    for _ in range(tcp):
        bound.enter_tcp("a", is_proxy=False)
    with pytest.raises(RateLimited) as address_full:
        bound.enter_tcp("a", is_proxy=False)
    assert address_full.value.limit == "max_connections_per_address"
    bound.enter_tcp("b", is_proxy=False)


def test_a_trusted_proxy_counts_in_the_total_only() -> None:
    """Many clients share its address."""
    bound = make(max_connections=20, max_connections_per_address=1)
    leaves = [bound.enter_tcp("proxy", is_proxy=True) for _ in range(28)]
    for address, is_proxy in (("proxy", True), ("a", False)):
        with pytest.raises(TooManyConnections):
            bound.enter_tcp(address, is_proxy=is_proxy)
    for leave in leaves:
        leave()
    assert bound.tcp == 0


def test_the_open_files_bound_the_tcp_connections() -> None:
    """If they allow fewer than the settings."""
    bound = make(max_connections=100, max_tcp=3)
    for _ in range(3):
        bound.enter_tcp("a", is_proxy=False)
    with pytest.raises(TooManyConnections):
        bound.enter_tcp("a", is_proxy=False)


def test_new_consumers_of_an_address_are_bounded_in_a_minute(clock: Clock) -> None:
    """At first there may be as many as the address may have at once."""
    bound = make(clock, max_connections_per_address=5, connect_rate=60)
    for _ in range(5):
        bound.enter("a")()
    with pytest.raises(RateLimited):
        bound.enter("a")
    assert bound.consumers == 0
    bound.enter("b")
    clock.now += 1
    bound.enter("a")
    with pytest.raises(RateLimited):
        bound.count_connect("a")


def test_a_new_connection_takes_the_rate_that_another_one_has_left(clock: Clock) -> None:
    """Coming back does not reset the rate. Connections at the same time have their own."""
    bound = make(clock)
    first, second = bound.new_rate("a"), bound.new_rate("a")
    assert first is not second
    first.count()
    bound.leave_rate("a", first)
    bound.leave_rate("a", second)  # it has sent nothing
    assert bound.new_rate("b") is not first
    assert bound.new_rate("a") is first
    assert bound.new_rate("a") is not first
    bound.leave_rate("a", first)
    clock.now += 60
    assert bound.new_rate("a") is not first


def test_left_rates_are_forgotten_after_a_minute_without_a_new_connection(clock: Clock) -> None:
    """Otherwise ten thousand addresses, each with a thousand rates, could take gigabytes."""
    bound = make(clock)
    rate = bound.new_rate("a")
    references = sys.getrefcount(rate)
    rate.count()
    bound.leave_rate("a", rate)
    clock.now += 59
    bound.commands_of("b")
    assert sys.getrefcount(rate) > references
    clock.now += 1
    bound.commands_of("b")
    assert sys.getrefcount(rate) == references


def test_the_rates_that_connections_have_left_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest is forgotten."""
    monkeypatch.setattr(module, "MAX_LEFT_RATES", 2)
    bound = make()
    rates = [bound.new_rate("a") for _ in range(3)]
    for rate in rates:
        rate.count()
        bound.leave_rate("a", rate)
    assert [bound.new_rate("a") for _ in range(2)] == [rates[2], rates[1]]
    assert bound.new_rate("a") is not rates[0]


def test_each_address_has_its_own_rates() -> None:
    """An address of IPv6 shares them with its /64 network."""
    bound = make()
    assert bound.commands_of("192.0.2.1") is bound.commands_of("192.0.2.1")
    assert bound.commands_of("192.0.2.1") is not bound.commands_of("192.0.2.2")
    assert bound.commands_of("2001:db8::1") is bound.commands_of("2001:db8::ffff:2")
    assert bound.commands_of("2001:db8::1") is not bound.commands_of("2001:db8:0:1::1")
    assert bound.commands_of("a") is not bound.guesses_of("a")


def test_the_address_idle_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of remembered addresses is bounded. One with a connection stays."""
    monkeypatch.setattr(module, "MAX_ADDRESSES", 2)
    bound = make()
    first, second = bound.commands_of("a"), bound.commands_of("b")
    assert bound.commands_of("a") is first
    leave = bound.enter("a")
    bound.commands_of("c")
    assert bound.commands_of("b") is not second
    assert bound.commands_of("a") is first
    leave()
    for address in "defg":
        bound.commands_of(address)
    assert bound.commands_of("a") is not first


def test_a_forgotten_address_leaves_no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of addresses is a bound of memory."""
    monkeypatch.setattr(module, "MAX_ADDRESSES", 1)
    bound = make()
    rate = bound.new_rate("a")
    references = sys.getrefcount(rate)
    rate.count()
    bound.leave_rate("a", rate)
    bound.commands_of("b")
    assert sys.getrefcount(rate) == references


def test_the_first_refusal_of_an_address_in_a_minute_is_logged(clock: Clock) -> None:
    """The line names the setting."""
    bound = make(clock, max_connections_per_address=1)
    bound.enter("a")
    with structlog.testing.capture_logs() as lines:
        for now in (0, 30, 60):
            clock.now = 5000.0 + now
            with pytest.raises(RateLimited):
                bound.enter("a")
    assert [(line["event"], line["address"], line["setting"]) for line in lines] == [
        ("limit_reached", "a", "SIO_MAX_CONNECTIONS_PER_ADDRESS")
    ] * 2


def test_the_rooms_of_a_connection_are_bounded() -> None:
    """One more is refused."""
    bound = make(max_rooms=2)
    bound.check_rooms({"a", "b"})
    with pytest.raises(RateLimited, match="more than 2 rooms"):
        bound.check_rooms({"a", "b", "c"})
