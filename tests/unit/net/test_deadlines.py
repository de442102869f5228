"""Deadlines: many timers of the same length as one, on a clock that the tests move."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sio_server.net import deadlines
from sio_server.net.deadlines import Deadlines


class Loop:
    """The clock and the timers of an event loop.

    Attributes:
        now: the loop's time in seconds.
        failures: the exceptions of callbacks, which an event loop would log.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.failures: list[Exception] = []
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def get_running_loop(self) -> Loop:
        """Replace ``asyncio.get_running_loop``."""
        return self

    def time(self) -> float:
        """Return the loop's time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> object:
        """Set a timer; return its handle."""
        self._timers.append((when, next(self._numbers), callback))
        return self._timers[-1]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Record a failure outside a callback."""
        self.failures.append(context["exception"])

    @property
    def armed(self) -> int:
        """Return the number of waiting timers."""
        return len(self._timers)

    def advance(self, seconds: float) -> None:
        """Move the clock, and run each timer at its time."""
        end = self.now + seconds
        while self._timers and min(self._timers)[0] <= end:
            timer = min(self._timers)
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            try:
                timer[2]()
            except Exception as error:
                self.failures.append(error)
        self.now = end


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Let the module's deadlines use the test's clock."""
    loop = Loop()
    monkeypatch.setattr(deadlines, "asyncio", loop)
    return loop


def test_a_member_expires_after_its_time(loop: Loop) -> None:
    """It expires once, not earlier, and is no member any more."""
    expired: list[str] = []
    members: Deadlines[str] = Deadlines(10, expired.append)
    members.add("a")
    assert "a" in members
    loop.advance(9.9)
    assert expired == []
    loop.advance(0.1)
    assert expired == ["a"]
    assert "a" not in members
    assert len(members) == 0
    loop.advance(100)
    assert expired == ["a"]


def test_each_member_expires_at_its_own_time(loop: Loop) -> None:
    """The order is the order in which they were added."""
    expired: list[tuple[float, str]] = []
    members: Deadlines[str] = Deadlines(10, lambda member: expired.append((loop.now, member)))
    for member in "abc":
        members.add(member)
        loop.advance(3)
    loop.advance(20)
    assert expired == [(110, "a"), (113, "b"), (116, "c")]


def test_a_discarded_member_does_not_expire(loop: Loop) -> None:
    """The others expire, and discarding an unknown member does nothing."""
    expired: list[str] = []
    members: Deadlines[str] = Deadlines(10, expired.append)
    for member in "abc":
        members.add(member)
    members.discard("a")
    members.discard("c")
    members.discard("nobody")
    assert len(members) == 1
    loop.advance(10)
    assert expired == ["b"]


def test_adding_a_member_again_restarts_its_time(loop: Loop) -> None:
    """It is still one member."""
    expired: list[str] = []
    members: Deadlines[str] = Deadlines(10, expired.append)
    members.add("a")
    loop.advance(6)
    members.add("a")
    assert len(members) == 1
    loop.advance(9.9)
    assert expired == []
    loop.advance(0.1)
    assert expired == ["a"]


def test_a_restarted_member_expires_after_the_others(loop: Loop) -> None:
    """Its place is the last from then on."""
    expired: list[tuple[float, str]] = []
    members: Deadlines[str] = Deadlines(10, lambda member: expired.append((loop.now, member)))
    members.add("a")
    loop.advance(3)
    members.add("b")
    loop.advance(3)
    members.add("a")
    loop.advance(20)
    assert expired == [(113, "b"), (116, "a")]


def test_many_members_have_one_timer(loop: Loop) -> None:
    """Adding members again does not add timers."""
    members: Deadlines[int] = Deadlines(10, lambda member: None)
    for round_number in range(50):
        for member in range(100):
            members.add(member)
        assert loop.armed == 1
        loop.advance(round_number % 9)
    members.discard(5)
    assert loop.armed == 1


def test_an_expiring_member_may_add_itself_again(loop: Loop) -> None:
    """A member that does so expires again and again."""
    ticks: list[float] = []

    def again(member: str) -> None:
        ticks.append(loop.now)
        members.add(member)

    members: Deadlines[str] = Deadlines(10, again)
    members.add("a")
    loop.advance(35)
    assert ticks == [110, 120, 130]
    assert loop.armed == 1


def test_an_expiring_member_may_discard_another(loop: Loop) -> None:
    """The other one does not expire, although its time has come."""
    expired: list[str] = []

    def discard_b(member: str) -> None:
        expired.append(member)
        members.discard("b")

    members: Deadlines[str] = Deadlines(10, discard_b)
    for member in "abc":
        members.add(member)
    loop.advance(10)
    assert expired == ["a", "c"]


def test_a_failure_of_one_member_does_not_delay_the_others(loop: Loop) -> None:
    """The event loop logs it, and the others expire in time."""
    expired: list[str] = []

    def fail_for_a(member: str) -> None:
        if member == "a":
            raise ValueError(member)
        expired.append(member)

    members: Deadlines[str] = Deadlines(10, fail_for_a)
    members.add("a")
    members.add("b")
    loop.advance(5)
    members.add("c")
    loop.advance(10)
    assert expired == ["b", "c"]
    assert len(loop.failures) == 1


def test_a_timer_that_runs_early_is_set_again(loop: Loop) -> None:
    """An event loop may run a timer one clock tick too early."""
    expired: list[str] = []
    members: Deadlines[str] = Deadlines(10, expired.append)
    members.add("a")
    loop.now += 9.999
    members._expire_due()
    assert expired == []
    loop.advance(0.001)
    assert expired == ["a"]


class Model:
    """A model of deadlines, with one time for each member."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.due: dict[int, float] = {}
        self.expired: list[tuple[float, int]] = []

    def advance(self, now: float) -> None:
        """Expire the members that are due, in order of time."""
        for due, member in sorted((due, member) for member, due in self.due.items()):
            if due <= now:
                del self.due[member]
                self.expired.append((due, member))


schedules = st.lists(
    st.tuples(st.sampled_from(["add", "add", "discard"]), st.integers(0, 2))
    | st.tuples(st.just("advance"), st.integers(1, 6)),
    min_size=15,
    max_size=40,
)


@settings(max_examples=300)
@given(schedules)
def test_any_schedule_expires_members_as_separate_timers_would(schedule: list[Any]) -> None:
    """Members are added, discarded, added again, and expire."""
    loop, model = Loop(), Model(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "asyncio", loop)
        expired: list[tuple[float, int]] = []
        members: Deadlines[int] = Deadlines(5, lambda member: expired.append((loop.now, member)))
        for action, number in schedule:
            if action == "add":
                members.add(number)
                model.due.pop(number, None)
                model.due[number] = loop.now + 5
            elif action == "discard":
                members.discard(number)
                model.due.pop(number, None)
            else:
                loop.advance(number)
                model.advance(loop.now)
            assert sorted(expired) == sorted(model.expired)
            assert [when for when, _ in expired] == sorted(when for when, _ in expired)
            assert len(members) == len(model.due)
            assert all((member in members) == (member in model.due) for member in range(3))
            assert loop.armed <= 1


async def test_a_member_expires_on_a_real_event_loop() -> None:
    """The deadlines use the clock of the running loop."""
    expired: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    members: Deadlines[str] = Deadlines(0.001, expired.set_result)
    members.add("a")
    async with asyncio.timeout(5):
        assert await expired == "a"
