"""The heartbeat, on a clock that the tests move."""

from __future__ import annotations

import asyncio

import pytest

from sio_server.net.heartbeat import Heartbeat


class Member:
    """A connection that records its pings and timeouts."""

    def __init__(self, loop: FakeTime) -> None:
        self._loop = loop
        self.pings: list[float] = []
        self.timeouts: list[float] = []

    def ping(self) -> None:
        """Record a ping."""
        self.pings.append(self._loop.time())

    def ping_timeout(self) -> None:
        """Record a timeout."""
        self.timeouts.append(self._loop.time())


class FakeTime(asyncio.SelectorEventLoop):
    """An event loop with a clock that the test moves."""

    now = 0.0

    def time(self) -> float:
        """Return the test's time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock in small steps, and run the due callbacks."""
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 1)
            self.run()

    def run(self) -> None:
        """Run the due callbacks, and the callbacks that they schedule."""
        for _ in range(3):
            self.call_soon(self.stop)
            self.run_forever()


@pytest.fixture
def loop() -> FakeTime:
    """Return an event loop with the test's clock."""
    loop = FakeTime()
    yield loop
    loop.close()


@pytest.fixture
def heartbeat() -> Heartbeat:
    """Return a heartbeat with the default times."""
    return Heartbeat(25, 20)


def call(loop: FakeTime, function: object, *arguments: object) -> None:
    """Call a function within the event loop."""
    loop.call_soon(function, *arguments)
    loop.run()


def test_a_member_that_answers_is_pinged_again(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """A ping follows one interval after the member was added, and after each answer."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(24.9)
    assert member.pings == []
    loop.advance(0.1)
    assert member.pings == [25]
    loop.advance(5)
    call(loop, heartbeat.answered, member)
    loop.advance(24.9)
    assert member.pings == [25]
    loop.advance(0.1)
    assert member.pings == [25, 55]
    assert member.timeouts == []


def test_a_silent_member_times_out_once(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """It times out as long after the ping as an answer may take, and is removed."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(44.9)
    assert member.timeouts == []
    loop.advance(0.1)
    assert member.timeouts == [45]
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [45])


def test_an_answer_just_before_the_timeout_counts(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """Each ping starts a new timeout."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(44.9)
    call(loop, heartbeat.answered, member)
    loop.advance(44.9)
    assert member.timeouts == []
    loop.advance(0.2)
    assert member.timeouts == [89.9]


def test_a_discarded_member_gets_neither_ping_nor_timeout(
    loop: FakeTime, heartbeat: Heartbeat
) -> None:
    """It may have been pinged or not."""
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


def test_an_answer_does_not_add_a_discarded_member_again(
    loop: FakeTime, heartbeat: Heartbeat
) -> None:
    """A pong may be read after its connection was closed."""
    member = Member(loop)
    call(loop, heartbeat.add, member)
    loop.advance(25)
    call(loop, heartbeat.discard, member)
    call(loop, heartbeat.answered, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [])


def test_a_member_may_be_discarded_during_its_ping(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """A ping to a dead connection closes it."""

    class Leaver(Member):
        def ping(self) -> None:
            super().ping()
            heartbeat.discard(self)

    member = Leaver(loop)
    call(loop, heartbeat.add, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25], [])


def test_an_answer_during_the_ping_counts(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """The ping was recorded before it is sent."""

    class Fast(Member):
        def ping(self) -> None:
            super().ping()
            heartbeat.answered(self)

    member = Fast(loop)
    call(loop, heartbeat.add, member)
    loop.advance(100)
    assert (member.pings, member.timeouts) == ([25, 50, 75, 100], [])


def test_each_member_has_its_own_times(loop: FakeTime, heartbeat: Heartbeat) -> None:
    """One member answers and another is silent."""
    lively, silent = Member(loop), Member(loop)
    call(loop, heartbeat.add, lively)
    loop.advance(1)
    call(loop, heartbeat.add, silent)
    for _ in range(6):
        loop.advance(10)
        call(loop, heartbeat.answered, lively)
    assert lively.timeouts == []
    assert (silent.pings, silent.timeouts) == ([26], [46])
