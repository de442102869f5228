"""The heartbeat, on a clock that the tests move: pings after a rest, and word of the silent."""

from __future__ import annotations

import asyncio

import pytest

from sio_server.net.heartbeat import Heartbeat


class Member:
    """A connection that writes down what happens to it."""

    def __init__(self, loop: FakeTime) -> None:
        self._loop = loop
        self.pings: list[float] = []
        self.timeouts: list[float] = []

    def ping(self) -> None:
        """Note a ping."""
        self.pings.append(self._loop.time())

    def ping_timeout(self) -> None:
        """Note the end."""
        self.timeouts.append(self._loop.time())


class FakeTime(asyncio.SelectorEventLoop):
    """An event loop whose clock the test moves."""

    now = 0.0

    def time(self) -> float:
        """Return the test's time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, running what is due."""
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 1)
            self.run()

    def run(self) -> None:
        """Run what is due and what that made ready."""
        for _ in range(3):
            self.call_soon(self.stop)
            self.run_forever()


@pytest.fixture
def loop() -> FakeTime:
    """Return a loop to move."""
    loop = FakeTime()
    yield loop
    loop.close()


@pytest.fixture
def heartbeat() -> Heartbeat:
    """Return a heartbeat of the contract's defaults."""
    return Heartbeat(25, 20)


def call(loop: FakeTime, function: object, *arguments: object) -> None:
    """Call a function inside the loop."""
    loop.call_soon(function, *arguments)
    loop.run()


def test_a_member_that_answers_is_pinged_again_and_again(
    loop: FakeTime, heartbeat: Heartbeat
) -> None:
    """An interval after it came, then an interval after each answer."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(24.9)
    assert member.pings == []
    loop.advance(0.1)
    assert member.pings == [25]
    loop.advance(5)
    call(loop, heartbeat.beat, member)
    loop.advance(24.9)
    assert member.pings == [25]
    loop.advance(0.1)
    assert member.pings == [25, 55]
    assert member.timeouts == []


def test_a_member_that_is_silent_times_out_once(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """As long after the ping as an answer may take; then it is no member any more."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(44.9)
    assert member.timeouts == []
    loop.advance(0.1)
    assert member.timeouts == [45]
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [45])


def test_an_answer_in_the_last_moment_counts(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """The time for it begins with each ping."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(44.9)
    call(loop, heartbeat.beat, member)
    loop.advance(44.9)
    assert member.timeouts == []
    loop.advance(0.2)
    assert member.timeouts == [89.9]


def test_a_discarded_member_hears_nothing(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """Whether it rests or owes an answer."""
    resting, pinged = Member(loop), Member(loop)
    call(loop, heartbeat.add, pinged)
    loop.advance(10)
    call(loop, heartbeat.add, resting)
    loop.advance(15)
    for member in (resting, pinged):
        call(loop, heartbeat.discard, member)
    loop.advance(100)
    assert (resting.pings, resting.timeouts) == ([], [])
    assert (pinged.pings, pinged.timeouts) == ([25], [])


def test_an_answer_of_a_discarded_member_does_not_bring_it_back(
    loop: FakeTime, heartbeat: Heartbeat
) -> None:
    """A pong may still be read when its connection has been closed."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(25)
    call(loop, heartbeat.discard, member)
    call(loop, heartbeat.beat, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [])


def test_a_member_may_leave_while_it_is_pinged(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """A write that finds the connection dead closes it."""

    class Leaver(Member):
        def ping(self) -> None:
            super().ping()
            heartbeat.discard(self)

    member = Leaver(loop)
    call(loop, heartbeat.add, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [])


def test_an_answer_within_the_ping_counts(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """However fast it is."""

    class Fast(Member):
        def ping(self) -> None:
            super().ping()
            heartbeat.beat(self)

    member = Fast(loop)
    call(loop, heartbeat.add, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25, 50, 75, 100], [])


def test_members_do_not_disturb_one_another(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """Each has its own time, in one clock."""
    lively, silent = Member(loop), Member(loop)
    call(loop, heartbeat.add, lively)
    loop.advance(1)
    call(loop, heartbeat.add, silent)
    for _ in range(6):
        loop.advance(10)
        call(loop, heartbeat.beat, lively)
    assert lively.timeouts == []
    assert (silent.pings, silent.timeouts) == ([26], [46])
