"""The consumers of a history, held to the model."""

from __future__ import annotations

import json
from typing import Any

from tests.histories.broker import LIFETIME, Broker, ran
from tests.histories.client import Client
from tests.histories.drawn import CLIENTS, Draft, How, Point
from tests.histories.model import (
    LOST,
    Beginning,
    Connection,
    Position,
    Session,
    Ways,
    ways_back,
)
from tests.histories.node import SLOW_SECONDS


class World(Broker):
    """A server and its clients: what the rules are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = [Client() for _ in range(CLIENTS)]

    def position(self, point: Point | None, client: Client | None) -> Position | None:
        """Return the position that a point names, for a client where that matters."""
        if point is None:
            return None
        log, number = self.log, point.number
        if point.of == "elsewhere":
            return Position(self.epochs[-2], number)
        if point.of == "got":
            got = client.got if client is not None else []
            return got[-1 - number] if number < len(got) else None
        if point.of == "start":
            session = self.sessions.get(client.pid or "") if client is not None else None
            place = 0 if session is None else session.may_start + number
        else:
            place = {
                "end": log.end - number,
                "oldest": log.oldest + number,
                "future": log.end + number,
            }[point.of]
        return Position(log.epoch, max(0, place))

    def ways(self, pid: str | None, claim: Position | None) -> Ways:
        """Return what a client meets with that comes back with this ``pid``."""
        session = self.sessions.get(pid or "")
        if session is None:
            return LOST
        if session.left is not None and self.loop.now - session.left > LIFETIME:
            return LOST
        return ways_back(self.log, session, claim)

    def open(
        self,
        client: Client,
        how: How,
        pid: str | None,
        claim: Position | None,
        since: Position | None,
        drafts: list[Draft],
        *,
        twin: Client | None = None,
    ) -> None:
        """Let a client connect, while events are published; hold the answer to the model.

        Args:
            pid: what it comes back to; None: it doesn't.
            claim: what it says that it got last.
            since: after what it asks to be served.
            twin: what has asked for the same, at the same time.
        """
        ways = None if pid is None else self.ways(pid, claim)
        beginning = Beginning(self.log.end, since, since is not None and self.log.has(since))
        older = self._step_aside(client, pid)
        if pid is not None:
            how = how._replace(recovery=True)
        auth = _auth(how, pid, claim, since)
        events = [self.event(draft) for draft in drafts]
        if twin is not None:
            twin.call(self.node, how, auth)
        if how.published_first:
            published = self.loop.create_task(self.node.publish(events))
        client.call(self.node, how, auth)
        if not how.published_first:
            published = self.loop.create_task(self.node.publish(events))
        self.loop.settle()
        self.check_answers(events, published.result())
        if ways is not None and pid is not None:
            ways |= self.ways(pid, claim)
        self._end_older(older)
        if twin is not None:
            self._take_one_of(client, twin)
        self._opened(client, how, pid, claim, ways, beginning)
        self.hear(client)

    def _step_aside(self, client: Client, pid: str | None) -> Client | None:
        """Return a client's older connection to the same session; any other one ends."""
        connection = client.connection
        if connection is None:
            return None
        if connection.session is None or connection.session.pid != pid:
            self.cut_off(client)
            return None
        older = Client()
        vars(older).update(vars(client), got=[])  # what it still brings, nobody reads
        return older

    def _end_older(self, older: Client | None) -> None:
        """Hold an older connection to its end, which nobody is told."""
        if older is None:
            return
        assert older.line is not None
        assert older.line.closed, "the older connection goes on"
        assert older.connection is not None
        assert older.connection.session is not None
        older.connection.session.stood = None
        older.connection.hear(_events(older.hear()), waits=True)

    def _take_one_of(self, client: Client, twin: Client) -> None:
        """Let a client have the one connection of two that goes on."""
        assert client.line is not None
        assert twin.line is not None
        assert client.line.closed != twin.line.closed, "one session, two connections"
        if client.line.closed:
            client.line, client.engine = twin.line, twin.engine

    def _opened(
        self,
        client: Client,
        how: How,
        pid: str | None,
        claim: Position | None,
        ways: Ways | None,
        beginning: Beginning,
    ) -> None:
        assert client.line is not None
        connect = client.line.written[0]
        assert connect.kind == "0", connect
        session = self.sessions.get(pid or "")
        if session is not None and connect.data.get("pid") == pid:
            assert ways is not None
            assert ways.after, "came back from nowhere"
            assert connect.data == {"sid": session.sid, "pid": pid}
            beginning.recovered = True
            ran["recovered"] += 1
            if claim is not None and claim.epoch == self.log.epoch:
                session.said = max(session.said, claim.place)
            session.stood = session.left = None
            client.connection = Connection(
                self.log,
                session.rooms,
                beginning,
                session,
                max(ways.after),
                ways.after,
                behind=True,
            )
            return
        assert ways is None or ways.lost, "not let back in"
        ran["fresh" if pid is None else "lost"] += 1
        if session is not None:
            session.ended = True
        self._begin_session(client, how, connect.data, beginning)
        if pid is not None and beginning.since is None:
            low, end = beginning.low, self.log.end
            near = claim is not None and claim.epoch == self.log.epoch and low <= claim.place <= end
            beginning.lost = not near if low == end or not near else None

    def _begin_session(
        self, client: Client, how: How, connected: dict[str, str], beginning: Beginning
    ) -> None:
        rooms = dict.fromkeys(["catalog"] if how.rooms is None else how.rooms, 0)
        since, low = beginning.since, beginning.low
        place = since.place if since is not None and since.epoch == self.log.epoch else low
        session = None
        if how.recovery:
            start = since or Position(self.log.epoch, low)
            session = Session(connected["pid"], connected["sid"], start, place, rooms)
            self.sessions[session.pid] = session
            client.former, client.pid, client.got = client.pid, session.pid, []
        else:
            assert connected.keys() == {"sid"}
        client.connection = Connection(
            self.log, rooms, beginning, session, place, behind=since is not None
        )

    def change_rooms(self, client: Client, *changes: tuple[str, list[str]]) -> None:
        """Ask for changes, at once; each answer tells all the rooms as they are then."""
        if client.connection is None:
            return
        mine = client.connection.rooms
        answers = []
        for verb, rooms in changes:
            for room in rooms:
                if verb == "subscribe":
                    mine.setdefault(room, self.log.end)
                else:
                    mine.pop(room, None)
            self.node.receive(client.engine, f'2{len(answers)}["{verb}",{json.dumps(rooms)}]')
            answers.append({"ok": True, "rooms": sorted(mine)})
        self.loop.settle()
        self.hear(client)
        assert client.answers == answers

    def hear(self, client: Client) -> None:
        """Hold a connection to what it was written, and to its end if it has come to that."""
        line, connection = client.line, client.connection
        if line is None or connection is None:
            return
        messages = client.hear()
        client.answers = [message.data[0] for message in messages if message.kind == "3"]
        held = self.node.gate.hold is not None and connection.behind
        connection.hear(_events(messages), waits=line.full or held or line.closed)
        if line.closed:
            slow = line.full and self.loop.now - line.read_at >= SLOW_SECONDS
            overtaken = connection.behind and connection.passed < self.log.oldest
            assert slow or overtaken, "closed for nothing"
            ran["overtaken" if overtaken else "too slow"] += 1
            self.note_leave(client)
            client.forget()
        connection.behind = line.full or held

    def note_leave(self, client: Client) -> None:
        """Note where a client stood that the server sees go."""
        if client.connection is not None and client.connection.session is not None:
            client.connection.session.stood = client.connection.passed
            client.connection.session.left = self.loop.now

    def cut_off(self, client: Client) -> None:
        """Cut a client's transport, and let the server see it."""
        if client.line is not None and client.engine is not None:
            self.node.cut(client.engine)
            self.loop.settle()
            assert client.line.closed
            self.note_leave(client)
        client.forget()

    def read(self, client: Client, count: int | None) -> None:
        """Let a client read so many packets; None: all, and those to come."""
        if client.line is None:
            return
        client.patience = 0
        if count is None:
            client.line.read_on(self.loop.now)
        else:
            client.line.read(count, self.loop.now)
        self.loop.settle()
        self.hear(client)

    def is_parked(self, client: Client) -> bool:
        """Tell whether a client is certainly being waited for."""
        if client.line is None or client.connection is None or self.node.gate.hold is not None:
            return False
        owed = self.log.owed(client.connection.passed, client.connection.rooms)
        return client.line.full and bool(owed)

    def let_reads_go(self) -> None:
        """Let the log answer."""
        self.node.gate.open()
        self.loop.settle()
        for client in self.clients:
            self.hear(client)
            client.patience = 0


def _auth(
    how: How, pid: str | None, claim: Position | None, since: Position | None
) -> dict[str, Any]:
    auth: dict[str, Any] = {} if how.rooms is None else {"rooms": how.rooms}
    if pid is not None:
        auth["pid"] = pid
    if claim is not None:
        auth["offset"] = str(claim)
    if not how.recovery:
        auth["recovery"] = False
    if since is not None:
        auth["since"] = str(since)
    return auth


def _events(messages: list[Any]) -> list[list[Any]]:
    assert {message.kind for message in messages} <= {"0", "2", "3"}, messages
    return [message.data for message in messages if message.kind == "2"]
