"""The rules of a history: the steps of producers, consumers, faults and time, in any order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.histories.client import Client
from tests.histories.client_machine import ClientMachine
from tests.histories.event_logs import HoldPoint
from tests.histories.model import Sight
from tests.histories.server import SLOW_SECONDS
from tests.histories.server_machine import LIFETIME_SECONDS, counts
from tests.histories.strategies import (
    CLIENTS,
    ConnectOptions,
    Draft,
    OffsetChoice,
    claims,
    client_indexes,
    connect_options,
    draft_lists,
    drafts,
    lifetime_shares,
    mostly_no_drafts,
    rarely,
    room_lists,
    sights,
    since_choices,
)

MIN_EVENTS_TO_LOSE = 15
"""The least number of events of a log that is lost: the loss of a short log proves little."""


class Histories(ClientMachine):
    """Hypothesis runs the rules in any order, and checks the invariant after each."""

    @initialize(
        on_disk=st.integers(0, 3).map(lambda number: number == 3),
        retained_events=st.sampled_from((3, 5, 10)),
        recent_events=st.sampled_from((0, 2, 100)),
        client_sights=st.lists(sights, min_size=CLIENTS, max_size=CLIENTS),
    )
    def start(
        self,
        on_disk: bool,
        retained_events: int,
        recent_events: int,
        client_sights: list[Sight],
    ) -> None:
        """Start a server over an empty log. The tokens of some clients bound what they see."""
        for number, (client, sight) in enumerate(zip(self.clients, client_sights, strict=True)):
            client.bound(sight, f"client-{number}")
        self.start_first(
            on_disk=on_disk, retained_events=retained_events, recent_events=recent_events
        )

    # Producers.

    @rule(drafts=draft_lists)
    def publish(self, drafts: list[Draft]) -> None:
        """Publish events in one batch."""
        self.publish_drafts(drafts)

    @rule(draft=drafts, number=st.integers(4, 10))
    def publish_many_for_few_rooms(self, draft: Draft, number: int) -> None:
        """Publish many similar events, so that the retention passes consumers of other rooms."""
        self.publish_drafts([draft._replace(reuses_id=None)] * number)

    # Consumers connect and reconnect.

    @rule(
        index=client_indexes,
        options=connect_options,
        since=since_choices,
        drafts=mostly_no_drafts,
    )
    def connect(
        self, index: int, options: ConnectOptions, since: OffsetChoice | None, drafts: list[Draft]
    ) -> None:
        """Connect without a session."""
        client = self.clients[index]
        self.cut_client(client)
        self.connect_client(client, options, None, None, self.position(since, None), drafts)

    @rule(
        index=client_indexes,
        options=connect_options,
        claim=claims,
        since=rarely(since_choices),
        drafts=mostly_no_drafts,
    )
    def reconnect(
        self,
        index: int,
        options: ConnectOptions,
        claim: OffsetChoice | None,
        since: OffsetChoice | None,
        drafts: list[Draft],
    ) -> None:
        """Reconnect to the session. Its older connection may still be open."""
        client = self.clients[index]
        claimed, since_position = self.position(claim, client), self.position(since, None)
        pid = client.pid or "forged"
        self.connect_client(client, options, pid, claimed, since_position, drafts)

    @rule(index=client_indexes, options=connect_options, claim=claims, drafts=draft_lists)
    def miss_events(
        self, index: int, options: ConnectOptions, claim: OffsetChoice | None, drafts: list[Draft]
    ) -> None:
        """Lose the transport, miss events, and reconnect to the session."""
        client = self.clients[index]
        self.cut_client(client)
        self.publish_drafts(drafts)
        self.reconnect(index, options, claim, None, [])

    @rule(index=client_indexes, options=connect_options, claim=claims)
    def reconnect_twice(
        self, index: int, options: ConnectOptions, claim: OffsetChoice | None
    ) -> None:
        """Reconnect over two connections at once, of which only one keeps the session."""
        client = self.clients[index]
        claimed = self.position(claim, client)
        if not self.outcomes(client.pid, claimed).fresh:
            self.connect_client(client, options, client.pid, claimed, None, [], twin=Client())

    @rule(index=client_indexes, options=connect_options, claim=claims)
    def reconnect_to_previous_session(
        self, index: int, options: ConnectOptions, claim: OffsetChoice | None
    ) -> None:
        """Reconnect to the session before the last, which may have been refused before."""
        client = self.clients[index]
        client.pid, client.previous_pid, client.received = client.previous_pid, client.pid, []
        self.reconnect(index, options, claim, None, [])

    # Consumers change their rooms.

    @rule(index=client_indexes, rooms=room_lists)
    def subscribe(self, index: int, rooms: list[str]) -> None:
        """Enter rooms. The client may be in some of them."""
        self.change_rooms(self.clients[index], ("subscribe", rooms))

    @rule(index=client_indexes, rooms=room_lists)
    def unsubscribe(self, index: int, rooms: list[str]) -> None:
        """Leave rooms. The client need not be in all of them."""
        self.change_rooms(self.clients[index], ("unsubscribe", rooms))

    @rule(index=client_indexes, left=room_lists, entered=room_lists)
    def leave_and_enter(self, index: int, left: list[str], entered: list[str]) -> None:
        """Leave rooms and enter others, without waiting for the first ack."""
        self.change_rooms(self.clients[index], ("unsubscribe", left), ("subscribe", entered))

    @rule(
        index=client_indexes,
        options=connect_options,
        number=st.integers(1, 4),
        rooms=room_lists,
        drafts=draft_lists,
    )
    def reconnect_before_subscribe(
        self,
        index: int,
        options: ConnectOptions,
        number: int,
        rooms: list[str],
        drafts: list[Draft],
    ) -> None:
        """Enter rooms, and reconnect from an older offset: they still count from the subscribe."""
        self.publish_drafts(drafts)
        self.subscribe(index, rooms)
        self.reconnect(index, options, OffsetChoice("end", number), None, [])

    @rule(
        index=client_indexes,
        options=connect_options,
        number=st.integers(1, 4),
        rooms=room_lists,
        drafts=draft_lists,
    )
    def subscribe_during_replay(
        self,
        index: int,
        options: ConnectOptions,
        number: int,
        rooms: list[str],
        drafts: list[Draft],
    ) -> None:
        """Enter rooms while the log is read for a replay, and publish events for them."""
        self.hold_reads("before")
        self.connect(index, options, OffsetChoice("end", number), [])
        self.subscribe(index, rooms)
        self.publish_drafts(drafts)

    # Consumers are slow, and so is the log.

    @rule(index=client_indexes, max_unread=st.integers(0, 3))
    def stop_reading(self, index: int, max_unread: int) -> None:
        """Read no packets until the next read."""
        transport = self.clients[index].transport
        if transport is not None:
            transport.stop_reading(max_unread)

    @rule(index=client_indexes, count=st.integers(1, 4))
    def read_some(self, index: int, count: int) -> None:
        """Read a few packets."""
        self.read(self.clients[index], count)

    @rule(index=client_indexes)
    def read_all(self, index: int) -> None:
        """Read every packet, and every later packet at once."""
        self.read(self.clients[index], None)

    @rule(
        index=client_indexes,
        max_unread=st.integers(0, 3),
        drafts=draft_lists,
        reads=st.booleans(),
    )
    def be_slow(self, index: int, max_unread: int, drafts: list[Draft], reads: bool) -> None:
        """Stop reading while events come. Then read everything, or never again."""
        self.stop_reading(index, max_unread)
        self.publish_drafts(drafts)
        self.check(self.clients[index])
        if reads:
            self.read_all(index)
        else:
            self.wait_slow_seconds()
            self.wait_slow_seconds()

    @rule(point=st.sampled_from(("before", "after")))
    def hold_reads(self, point: HoldPoint) -> None:
        """Let reads of the log wait."""
        self.release_reads()
        self.server.reads.hold(point)

    @precondition(lambda self: self.server.reads.point is not None)
    @rule()
    def release_held_reads(self) -> None:
        """Let the held reads of the log continue."""
        self.release_reads()

    # Consumers disconnect.

    @rule(index=client_indexes)
    def cut(self, index: int) -> None:
        """Lose the transport, which the server sees."""
        self.cut_client(self.clients[index])

    @rule(index=client_indexes)
    def disconnect(self, index: int) -> None:
        """Send a DISCONNECT, which ends the session permanently."""
        client = self.clients[index]
        if client.connection is None or client.engine_session is None:
            return
        if client.connection.session is not None:
            client.connection.session.ended = True
        self.server.receive(client.engine_session, "1")
        self.loop.run_until_idle()
        self.server.cut(client.engine_session)
        self.loop.run_until_idle()
        client.forget_connection()

    # Faults and time.

    @precondition(lambda self: self.is_on_disk)
    @rule()
    def restart(self) -> None:
        """Stop the server and start it again."""
        self.release_reads()
        for client in self.clients:
            self.note_disconnect(client)
            client.forget_connection()
        self.server.stop()
        self.start_with_same_log()

    @precondition(lambda self: self.is_on_disk)
    @rule()
    def kill(self) -> None:
        """Kill the server and start it again."""
        self.server.kill()
        for client in self.clients:
            self.note_disconnect(client)
            if client.connection is not None and client.connection.session is not None:
                client.connection.session.complete_until = None  # no server saw the disconnect
            client.forget_connection()
        self.start_with_same_log()

    @precondition(lambda self: self.log.end > MIN_EVENTS_TO_LOSE)
    @rule()
    def lose_log(self) -> None:
        """Kill the server, and start another one with an empty log."""
        self.server.kill()
        for client in self.clients:
            client.forget_connection()
        self.start_with_new_log()

    @rule()
    def wait_slow_seconds(self) -> None:
        """Let the time for slow consumers pass. A consumer is closed by the second time."""
        slow = [client for client in self.clients if self.is_parked(client)]
        waits = [client.slow_waits for client in slow]
        self.loop.advance(SLOW_SECONDS + 1)
        for client in self.clients:
            self.check(client)
            client.slow_waits = client.slow_waits + 1 if client in slow else 0
        for client, count in zip(slow, waits, strict=True):
            assert client.transport is None or not count, "a slow consumer was not closed"

    @rule(share=lifetime_shares)
    def wait_long(self, share: float) -> None:
        """Let a large share of the retention pass, or more than all of it."""
        self.release_reads()
        for client in self.clients:
            self.read(client, None)
        self.loop.advance(LIFETIME_SECONDS * share)

    @rule(
        index=client_indexes,
        options=connect_options,
        claim=claims,
        share=lifetime_shares,
        cut=st.sampled_from(("before", "after", "never")),
    )
    def reconnect_late(
        self,
        index: int,
        options: ConnectOptions,
        claim: OffsetChoice | None,
        share: float,
        cut: str,
    ) -> None:
        """Reconnect after a long time, in which the client was connected or not."""
        if cut == "before":
            self.cut(index)
        self.wait_long(share)
        if cut == "after":
            self.cut(index)
        self.reconnect(index, options, claim, None, [])

    # The invariant.

    @invariant()
    def every_consumer_has_its_events(self) -> None:
        """Compare every client and the log with the model; the server has logged no error."""
        counts["steps"] += 1
        self.check_retention()
        for client in self.clients:
            self.check(client)
        assert self.loop.failures == []
        assert self.errors == []

    def teardown(self) -> None:
        """Stop the server, and remove the log."""
        self.end()
