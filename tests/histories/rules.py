"""Histories: what producers, consumers, faults and time may do, in any order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.histories import drawn
from tests.histories.broker import LIFETIME, ran
from tests.histories.client import Client
from tests.histories.drawn import Draft, How, Point
from tests.histories.logs import Hold
from tests.histories.node import SLOW_SECONDS
from tests.histories.world import World

WORTH_LOSING = 15
"""Events that a log has when it may be lost: an empty one is of no interest."""


class Histories(World):
    """The rules."""

    @initialize(
        on_disk=st.integers(0, 3).map(lambda number: number == 3),
        events=st.sampled_from((3, 5, 10)),
        recent=st.sampled_from((0, 2, 100)),
    )
    def begin(self, on_disk: bool, events: int, recent: int) -> None:
        """Start a server over a new log."""
        self.begin_with(on_disk=on_disk, events=events, recent=recent)

    # Producers.

    @rule(drafts=drawn.drafts)
    def publish(self, drafts: list[Draft]) -> None:
        """Append events in one step."""
        self.publish_with(drafts)

    @rule(draft=drawn.draft, number=st.integers(4, 10))
    def publish_alike(self, draft: Draft, number: int) -> None:
        """Append many events that most rooms get none of: the retention passes quiet consumers."""
        self.publish_with([draft._replace(again=None)] * number)

    # Consumers come, and come back.

    @rule(who=drawn.who, how=drawn.how, since=drawn.since, drafts=drawn.few_drafts)
    def connect(self, who: int, how: How, since: Point | None, drafts: list[Draft]) -> None:
        """Connect anew."""
        client = self.clients[who]
        self.cut_off(client)
        self.open(client, how, None, None, self.position(since, None), drafts)

    @rule(
        who=drawn.who,
        how=drawn.how,
        claim=drawn.claim,
        since=drawn.rarely(drawn.since),
        drafts=drawn.few_drafts,
    )
    def come_back(
        self, who: int, how: How, claim: Point | None, since: Point | None, drafts: list[Draft]
    ) -> None:
        """Come back to a session, though its older connection may still be there."""
        client = self.clients[who]
        claimed, since_there = self.position(claim, client), self.position(since, None)
        self.open(client, how, client.pid or "forged", claimed, since_there, drafts)

    @rule(who=drawn.who, how=drawn.how, claim=drawn.claim, drafts=drawn.drafts)
    def be_away(self, who: int, how: How, claim: Point | None, drafts: list[Draft]) -> None:
        """Lose the transport, miss events, and come back to the session."""
        client = self.clients[who]
        self.cut_off(client)
        self.publish_with(drafts)
        self.open(client, how, client.pid or "forged", self.position(claim, client), None, [])

    @rule(who=drawn.who, how=drawn.how, claim=drawn.claim)
    def come_back_twice(self, who: int, how: How, claim: Point | None) -> None:
        """Come back over two connections at once, of which one has the session then."""
        client = self.clients[who]
        claimed = self.position(claim, client)
        if not self.ways(client.pid, claimed).lost:
            self.open(client, how, client.pid, claimed, None, [], twin=Client())

    @rule(who=drawn.who, how=drawn.how, claim=drawn.claim)
    def come_back_earlier(self, who: int, how: How, claim: Point | None) -> None:
        """Come back to the session before the last, which may be one that was refused."""
        client = self.clients[who]
        client.pid, client.former, client.got = client.former, client.pid, []
        self.come_back(who, how, claim, None, [])

    # They change their rooms.

    @rule(who=drawn.who, rooms=drawn.rooms)
    def subscribe(self, who: int, rooms: list[str]) -> None:
        """Ask for rooms, some of which it may have."""
        self.change_rooms(self.clients[who], ("subscribe", rooms))

    @rule(who=drawn.who, rooms=drawn.rooms)
    def unsubscribe(self, who: int, rooms: list[str]) -> None:
        """Leave rooms, some of which it may not be in."""
        self.change_rooms(self.clients[who], ("unsubscribe", rooms))

    @rule(who=drawn.who, left=drawn.rooms, rooms=drawn.rooms)
    def change_at_once(self, who: int, left: list[str], rooms: list[str]) -> None:
        """Leave rooms and ask for others, without waiting for the first answer."""
        self.change_rooms(self.clients[who], ("unsubscribe", left), ("subscribe", rooms))

    @rule(
        who=drawn.who,
        how=drawn.how,
        number=st.integers(1, 4),
        rooms=drawn.rooms,
        drafts=drawn.drafts,
    )
    def come_back_to_before(
        self, who: int, how: How, number: int, rooms: list[str], drafts: list[Draft]
    ) -> None:
        """Ask for rooms, and come back to a place before that: they count from when it asked."""
        self.publish_with(drafts)
        self.subscribe(who, rooms)
        self.come_back(who, how, Point("end", number), None, [])

    @rule(
        who=drawn.who,
        how=drawn.how,
        number=st.integers(1, 4),
        rooms=drawn.rooms,
        drafts=drawn.drafts,
    )
    def replay(
        self, who: int, how: How, number: int, rooms: list[str], drafts: list[Draft]
    ) -> None:
        """Ask for a replay, then for rooms, which have events while the log is being read."""
        self.hold_reads("asked")
        self.connect(who, how, Point("end", number), [])
        self.subscribe(who, rooms)
        self.publish_with(drafts)

    # They are slow, and so is the log.

    @rule(who=drawn.who, bound=st.integers(0, 3))
    def stall(self, who: int, bound: int) -> None:
        """Stop reading."""
        line = self.clients[who].line
        if line is not None:
            line.stall(bound)

    @rule(who=drawn.who, count=st.integers(1, 4))
    def read_some(self, who: int, count: int) -> None:
        """Read a few packets."""
        self.read(self.clients[who], count)

    @rule(who=drawn.who)
    def read_on(self, who: int) -> None:
        """Read all, and go on reading."""
        self.read(self.clients[who], None)

    @rule(who=drawn.who, bound=st.integers(0, 3), drafts=drawn.drafts, reads=st.booleans())
    def be_slow(self, who: int, bound: int, drafts: list[Draft], reads: bool) -> None:
        """Stop reading while events come; then read on, or never."""
        self.stall(who, bound)
        self.publish_with(drafts)
        self.hear(self.clients[who])
        if reads:
            self.read_on(who)
        else:
            self.wait()
            self.wait()

    @rule(hold=st.sampled_from(("asked", "answered")))
    def hold_reads(self, hold: Hold) -> None:
        """Let the log be slow to read."""
        self.let_reads_go()
        self.node.gate.shut(hold)

    @precondition(lambda self: self.node.gate.hold is not None)
    @rule()
    def let_go(self) -> None:
        """Let the log answer."""
        self.let_reads_go()

    # They go.

    @rule(who=drawn.who)
    def cut(self, who: int) -> None:
        """Lose the transport, of which the server hears."""
        self.cut_off(self.clients[who])

    @rule(who=drawn.who)
    def disconnect(self, who: int) -> None:
        """End the session for good."""
        client = self.clients[who]
        if client.connection is None or client.engine is None:
            return
        if client.connection.session is not None:
            client.connection.session.ended = True
        self.node.receive(client.engine, "1")
        self.loop.settle()
        self.node.cut(client.engine)
        self.loop.settle()
        client.forget()

    # Faults and time.

    @precondition(lambda self: self.is_on_disk)
    @rule()
    def stop(self) -> None:
        """Stop the server and start it again."""
        self.let_reads_go()
        for client in self.clients:
            self.note_leave(client)
            client.forget()
        self.node.stop()
        self.start_again()

    @precondition(lambda self: self.is_on_disk)
    @rule()
    def kill(self) -> None:
        """Kill the server and start it again."""
        self.node.kill()
        for client in self.clients:
            self.note_leave(client)
            if client.connection is not None and client.connection.session is not None:
                client.connection.session.stood = None  # nobody saw it
            client.forget()
        self.start_again()

    @precondition(lambda self: self.log.end > WORTH_LOSING)
    @rule()
    def lose_log(self) -> None:
        """Kill the server, and lose its log."""
        self.node.kill()
        for client in self.clients:
            client.forget()
        self.start_anew()

    @rule()
    def wait(self) -> None:
        """Let a slow consumer's time pass: at the second time it has no more."""
        slow = [client for client in self.clients if self.is_parked(client)]
        patience = [client.patience for client in slow]
        self.loop.advance(SLOW_SECONDS + 1)
        for client in self.clients:
            self.hear(client)
            client.patience = client.patience + 1 if client in slow else 0
        for client, waited in zip(slow, patience, strict=True):
            assert client.line is None or not waited, "as slow as it likes"

    @rule(share=drawn.share)
    def age(self, share: float) -> None:
        """Let much time pass."""
        self.let_reads_go()
        for client in self.clients:
            self.read(client, None)
        self.loop.advance(LIFETIME * share)

    @rule(
        who=drawn.who,
        how=drawn.how,
        claim=drawn.claim,
        share=drawn.share,
        cut=st.sampled_from(("before", "after", "never")),
    )
    def come_back_late(
        self, who: int, how: How, claim: Point | None, share: float, cut: str
    ) -> None:
        """Come back after much time, for which it was away or connected."""
        if cut == "before":
            self.cut(who)
        self.age(share)
        if cut == "after":
            self.cut(who)
        self.come_back(who, how, claim, None, [])

    # What must hold.

    @invariant()
    def holds(self) -> None:
        """Hold each consumer to what it is owed."""
        ran["steps"] += 1
        self.look()
        for client in self.clients:
            self.hear(client)
        assert self.loop.failures == []
        assert self.errors == []

    def teardown(self) -> None:
        """Let everything go."""
        self.end()
