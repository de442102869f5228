"""The clients of a history: their steps, each compared with the model."""

from __future__ import annotations

import json
from typing import Any

from tests.histories.client import Client
from tests.histories.model import (
    ONLY_FRESH,
    ConnectionStart,
    ModelConnection,
    ModelSession,
    Outcomes,
    Position,
    reconnect_outcomes,
)
from tests.histories.server import SLOW_SECONDS
from tests.histories.server_machine import LIFETIME_SECONDS, ServerMachine, counts
from tests.histories.strategies import CLIENTS, ConnectOptions, Draft, OffsetChoice
from tests.histories.transport import Packet


class ClientMachine(ServerMachine):
    """A history with a server and its clients. The rules are made of these steps."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = [Client() for _ in range(CLIENTS)]

    # Connecting.

    def position(self, choice: OffsetChoice | None, client: Client | None) -> Position | None:
        """Return the position of an offset choice; some depend on the client."""
        if choice is None:
            return None
        log, number = self.log, choice.number
        if choice.base == "another epoch":
            return Position(self.epochs[-2], number)
        if choice.base == "received":
            received = client.received if client is not None else []
            return received[-1 - number] if number < len(received) else None
        if choice.base == "session start":
            session = self.sessions.get(client.pid or "") if client is not None else None
            place = 0 if session is None else session.earliest_start + number
        else:
            place = {
                "end": log.end - number,
                "oldest": log.oldest + number,
                "future": log.end + number,
            }[choice.base]
        return Position(log.epoch, max(0, place))

    def outcomes(self, pid: str | None, claim: Position | None) -> Outcomes:
        """Return the allowed outcomes of a reconnect with this ``pid``."""
        session = self.sessions.get(pid or "")
        if session is None:
            return ONLY_FRESH
        if session.left_at is not None and self.loop.now - session.left_at > LIFETIME_SECONDS:
            return ONLY_FRESH
        return reconnect_outcomes(self.log, session, claim)

    def connect_client(
        self,
        client: Client,
        options: ConnectOptions,
        pid: str | None,
        claim: Position | None,
        since: Position | None,
        drafts: list[Draft],
        *,
        twin: Client | None = None,
    ) -> None:
        """Connect a client while events are published, and compare its start with the model.

        Args:
            client: the client; an older connection of it may still be open.
            options: how it connects.
            pid: the session that it asks for; None: it asks for none.
            claim: the offset of its last event, as it claims.
            since: the offset after which it asks for events.
            drafts: the events that are published meanwhile.
            twin: a second client that sends the same handshake at the same time.
        """
        outcomes = None if pid is None else self.outcomes(pid, claim)
        since_was_in_log = since is not None and self.log.has_all_after(since)
        start = ConnectionStart(self.log.end, since, since_was_in_log)
        older = self._older_connection(client, pid)
        if pid is not None:
            options = options._replace(recovery=True)
        if options.rooms is not None:
            options = options._replace(rooms=client.allowed(options.rooms))
        auth = _handshake_auth(options, client.token, pid, claim, since)
        events = [self.event(draft) for draft in drafts]
        if twin is not None:
            twin.connect(self.server, options, auth)
        if options.publish_first:
            publish = self.loop.create_task(self.server.publish(events))
        client.connect(self.server, options, auth)
        if not options.publish_first:
            publish = self.loop.create_task(self.server.publish(events))
        self.loop.run_until_idle()
        self.check_publish(events, publish.result())
        if outcomes is not None and pid is not None:
            outcomes |= self.outcomes(pid, claim)
        self._check_older_connection(older)
        if twin is not None:
            self._keep_open_one(client, twin)
        self._check_connect_answer(client, options, pid, claim, outcomes, start)
        self.check(client)

    def _older_connection(self, client: Client, pid: str | None) -> Client | None:
        """Return a client's open connection to the same session; end a connection to another."""
        connection = client.connection
        if connection is None:
            return None
        if connection.session is None or connection.session.pid != pid:
            self.cut_client(client)
            return None
        older = Client()
        vars(older).update(vars(client), received=[])  # the client reads no more of its packets
        return older

    def _check_older_connection(self, older: Client | None) -> None:
        """Check that a superseded connection is closed, and that its events were right."""
        if older is None:
            return
        assert older.transport is not None
        assert older.transport.closed, "the superseded connection is still open"
        assert older.connection is not None
        assert older.connection.session is not None
        older.connection.session.complete_until = None
        older.connection.check(_events(older.new_packets()), may_lag=True)

    def _keep_open_one(self, client: Client, twin: Client) -> None:
        """Give the client the one of two connections that is still open."""
        assert client.transport is not None
        assert twin.transport is not None
        assert client.transport.closed != twin.transport.closed, "one session, two connections"
        if client.transport.closed:
            client.transport, client.engine_session = twin.transport, twin.engine_session

    def _check_connect_answer(
        self,
        client: Client,
        options: ConnectOptions,
        pid: str | None,
        claim: Position | None,
        outcomes: Outcomes | None,
        start: ConnectionStart,
    ) -> None:
        assert client.transport is not None
        answer = client.transport.written[0]
        assert answer.type == "0", answer
        session = self.sessions.get(pid or "")
        if session is not None and answer.data.get("pid") == pid:
            assert outcomes is not None
            assert outcomes.recovered_after, "the session must not be recovered"
            assert answer.data == {"sid": session.sid, "pid": pid}
            start.recovered = True
            counts["recovered"] += 1
            if claim is not None and claim.epoch == self.log.epoch:
                session.claimed = max(session.claimed, claim.place)
            session.complete_until = session.left_at = None
            client.connection = ModelConnection(
                self.log,
                session.rooms,
                start,
                session,
                max(outcomes.recovered_after),
                outcomes.recovered_after,
                may_lag=True,
                sight=client.sight,
            )
            return
        assert outcomes is None or outcomes.fresh, "the session was not recovered"
        counts["fresh" if pid is None else "lost"] += 1
        if session is not None:
            session.ended = True
        self._start_fresh(client, options, answer.data, start)
        if pid is not None and start.since is None:
            start.missed_events = self._may_have_missed(claim, start.log_end)

    def _may_have_missed(self, claim: Position | None, log_end: int) -> bool | None:
        """Tell whether a client without its session may have missed events; None: undecided.

        It has missed none if it claims the log's end. The end may have moved while it connected.
        """
        end = self.log.end
        claims_end = (
            claim is not None and claim.epoch == self.log.epoch and log_end <= claim.place <= end
        )
        if claims_end and log_end != end:
            return None
        return not claims_end

    def _start_fresh(
        self,
        client: Client,
        options: ConnectOptions,
        answer: dict[str, str],
        start: ConnectionStart,
    ) -> None:
        default_rooms = ["catalog"] if client.token is None else list(client.sight)
        named = default_rooms if options.rooms is None else options.rooms
        rooms = dict.fromkeys((room for room in named if not room.endswith(":*")), 0)
        since, log_end = start.since, start.log_end
        place = since.place if since is not None and since.epoch == self.log.epoch else log_end
        session = None
        if options.recovery:
            position = since or Position(self.log.epoch, log_end)
            session = ModelSession(answer["pid"], answer["sid"], position, place, rooms)
            self.sessions[session.pid] = session
            client.previous_pid, client.pid, client.received = client.pid, session.pid, []
        else:
            assert answer.keys() == {"sid"}
        client.connection = ModelConnection(
            self.log,
            rooms,
            start,
            session,
            place,
            may_lag=since is not None,
            sight=client.sight,
        )

    # While connected.

    def change_rooms(self, client: Client, *changes: tuple[str, list[str]]) -> None:
        """Send subscribes and unsubscribes at once; each ack has the rooms after its change."""
        if client.connection is None:
            return
        current = client.connection.rooms
        acks = []
        for command, named in changes:
            rooms = client.allowed(named) if command == "subscribe" else named
            for room in rooms:
                if command == "subscribe":
                    current.setdefault(room, self.log.end)
                else:
                    current.pop(room, None)
            packet = f'2{len(acks)}["{command}",{json.dumps(rooms)}]'
            self.server.receive(client.engine_session, packet)
            acks.append({"ok": True, "rooms": sorted(current)})
        self.loop.run_until_idle()
        self.check(client)
        assert client.acks == acks

    def read(self, client: Client, count: int | None) -> None:
        """Let a client read this many packets; None: all packets, and later ones at once."""
        if client.transport is None:
            return
        client.slow_waits = 0
        if count is None:
            client.transport.read_all(self.loop.now)
        else:
            client.transport.read(count, self.loop.now)
        self.loop.run_until_idle()
        self.check(client)

    def release_reads(self) -> None:
        """Let the log answer its held reads."""
        self.server.reads.release()
        self.loop.run_until_idle()
        for client in self.clients:
            self.check(client)
            client.slow_waits = 0

    def is_parked(self, client: Client) -> bool:
        """Tell whether the server certainly waits for a client to read."""
        if client.transport is None or client.connection is None:
            return False
        if self.server.reads.point is not None:
            return False
        owed = self.log.owed(client.connection.received_until, client.connection.rooms)
        return client.transport.full and bool(owed)

    # Disconnecting.

    def note_disconnect(self, client: Client) -> None:
        """Note the place of a client's disconnect, which the server sees."""
        if client.connection is not None and client.connection.session is not None:
            client.connection.session.complete_until = client.connection.received_until
            client.connection.session.left_at = self.loop.now

    def cut_client(self, client: Client) -> None:
        """Cut a client's transport, and let the server see it."""
        if client.transport is not None and client.engine_session is not None:
            self.server.cut(client.engine_session)
            self.loop.run_until_idle()
            assert client.transport.closed
            self.note_disconnect(client)
        client.forget_connection()

    # Checking.

    def check(self, client: Client) -> None:
        """Compare a client's new packets with the model. If its connection was closed, say why."""
        transport, connection = client.transport, client.connection
        if transport is None or connection is None:
            return
        packets = client.new_packets()
        client.acks = [packet.data[0] for packet in packets if packet.type == "3"]
        read_is_held = self.server.reads.point is not None and connection.may_lag
        may_lag = transport.full or read_is_held
        connection.check(_events(packets), may_lag=may_lag or transport.closed)
        if transport.closed:
            slow = transport.full and self.loop.now - transport.read_at >= SLOW_SECONDS
            overtaken = connection.may_lag and connection.received_until < self.log.oldest
            assert slow or overtaken, "the server closed the connection without a reason"
            counts["overtaken" if overtaken else "too slow"] += 1
            self.note_disconnect(client)
            client.forget_connection()
        connection.may_lag = may_lag


def _handshake_auth(
    options: ConnectOptions,
    token: str | None,
    pid: str | None,
    claim: Position | None,
    since: Position | None,
) -> dict[str, Any]:
    auth: dict[str, Any] = {} if options.rooms is None else {"rooms": options.rooms}
    if token is not None:
        auth["token"] = token
    if pid is not None:
        auth["pid"] = pid
    if claim is not None:
        auth["offset"] = str(claim)
    if not options.recovery:
        auth["recovery"] = False
    if since is not None:
        auth["since"] = str(since)
    return auth


def _events(packets: list[Packet]) -> list[list[Any]]:
    assert {packet.type for packet in packets} <= {"0", "2", "3"}, packets
    return [packet.data for packet in packets if packet.type == "2"]
