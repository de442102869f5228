"""Random histories of a simulated server without faults.

The simulation has a log, sessions, and connections with messages in flight. It shares only the
types of the records with the checker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from sio_server.contract.events import EVENT_TYPES
from tests.chaos.history import (
    Acknowledged,
    Attempt,
    Changed,
    Changing,
    Connected,
    Connecting,
    Consumer,
    Delivered,
    Disconnected,
    History,
    Log,
    LogEvent,
    Ready,
    Record,
    Refused,
    Unanswered,
)

MATERIALS = ("roble", "haya", "pino")
AUTHORS = ("Juan", "Eva")
ROOMS = (
    "catalog",
    *(f"material:{material}" for material in MATERIALS),
    *(f"author:{author}" for author in AUTHORS),
    *(f"type:{type}" for type in EVENT_TYPES),
    "furniture:1",
    "furniture:2",
)


def piece(random: Random) -> dict[str, Any]:
    """Return one of a few pieces, with random fields."""
    return {
        "furniture_id": str(random.randint(1, 4)),
        "nombre": "Mesa",
        "descripcion": "",
        "altura": random.randint(0, 200),
        "ancho": 1.5,
        "material": random.choice(MATERIALS),
        "autor_username": random.choice(AUTHORS),
    }


@dataclass
class _Client:
    """One consumer, its session on the server, and its messages in flight."""

    records: Consumer
    mode: str
    rooms: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    in_flight: list[Record] = field(default_factory=list)
    connected: bool = False
    sid: str | None = None
    last: str | None = None
    waits_for_answer: bool = False


class Simulation:
    """A server without faults, its producers and its consumers."""

    def __init__(self, random: Random, consumers: int = 4) -> None:
        self._random = random
        self._now = 0.0
        self._events: list[LogEvent] = []
        self._rooms: list[set[str]] = []
        self._states: dict[str, set[str]] = {}
        self._attempts: list[Attempt] = []
        self._sids = 0
        self._clients = []
        for number in range(consumers):
            mode = random.choice(("since", "recovery", "plain"))
            client = _Client(Consumer(f"{mode}-{number}"), mode)
            client.rooms = dict.fromkeys(random.sample(ROOMS, random.randint(1, 3)), 0)
            self._clients.append(client)

    def run(self, steps: int) -> History:
        """Take this number of random steps; return the history."""
        actions = [self._publish, self._publish, self._receive, self._receive, self._toggle]
        for _ in range(steps):
            self._random.choice([*actions, self._change])()
        for client in self._clients:
            if not client.connected:
                self._connect(client)
            while client.in_flight:
                self._receive_one(client)
        consumers = [client.records for client in self._clients]
        return History(self._attempts, Log("log.0", self._events), consumers)

    def _time(self) -> float:
        self._now += 1.0
        return self._now

    def _publish(self) -> None:
        id = f"e{len(self._attempts)}"
        fate = self._random.choice(
            ("ok", "ok", "ok", "retried", "lost", "refused", "unanswered", "repeated")
        )
        type, furniture = self._random.choice(EVENT_TYPES), piece(self._random)
        began = self._time()
        event = None if fate in ("refused", "lost") else self._append(id, type, furniture)

        def attempt(outcome: Any, began: float) -> None:
            self._attempts.append(Attempt(id, type, furniture, began, self._time(), outcome))

        if fate == "refused":
            attempt(Refused("log_unavailable"), began)
        elif fate in ("lost", "unanswered"):
            attempt(Unanswered(), began)
        else:
            assert event is not None
            retried = fate == "retried"
            first = Unanswered() if retried else Acknowledged(event.offset, event.timestamp)
            attempt(first, began)
            if retried or fate == "repeated":
                duplicate = Acknowledged(event.offset, event.timestamp, duplicate=True)
                attempt(duplicate, self._time())

    def _append(self, id: str, type: str, furniture: dict[str, Any]) -> LogEvent:
        seq = len(self._events) + 1
        event = LogEvent(f"log.{seq}", id, type, furniture, f"{int(self._time()):08}")
        state = {f"material:{furniture['material']}", f"author:{furniture['autor_username']}"}
        name = furniture["furniture_id"]
        rooms = {"catalog", f"furniture:{name}", f"type:{type}"}
        self._rooms.append(rooms | state | self._states.get(name, set()))
        self._states[name] = state
        if type == "furniture_deleted":
            del self._states[name]
        self._events.append(event)
        for client in self._clients:
            if client.connected:
                self._write(client)
        return event

    def _write(self, client: _Client) -> int:
        """Send a client all of its new events; return their number."""
        count = 0
        for seq in range(client.sent + 1, len(self._events) + 1):
            came_by = client.rooms.keys() & self._rooms[seq - 1]
            if any(client.rooms[room] < seq for room in came_by):
                event = self._events[seq - 1]
                furniture = dict(reversed(event.furniture.items()))
                client.in_flight.append(
                    Delivered(0, event.offset, event.id, event.type, furniture, event.timestamp)
                )
                count += 1
        client.sent = len(self._events)
        return count

    def _end(self) -> str:
        return f"log.{len(self._events)}"

    def _receive(self) -> None:
        client = self._random.choice(self._clients)
        for _ in range(min(len(client.in_flight), self._random.randint(1, 5))):
            self._receive_one(client)

    def _receive_one(self, client: _Client) -> None:
        record = client.in_flight.pop(0)
        fields = {name: getattr(record, name) for name in record.__slots__}
        client.records.records.append(type(record)(**{**fields, "at": self._time()}))
        if isinstance(record, Connected):
            client.sid = record.sid
        elif isinstance(record, Ready):
            client.last = client.last or record.position
        elif isinstance(record, Delivered):
            client.last = record.offset
        elif isinstance(record, Changed):
            client.waits_for_answer = False

    def _toggle(self) -> None:
        client = self._random.choice(self._clients)
        if client.connected:
            client.in_flight.clear()
            client.connected = client.waits_for_answer = False
            client.records.records.append(Disconnected(self._time()))
        else:
            self._connect(client)

    def _connect(self, client: _Client) -> None:
        at, end = self._time(), self._end()
        client.connected = True
        rooms = tuple(sorted(client.rooms))
        records = client.records.records
        if client.mode != "recovery":
            since = client.last or end
            client.last = since
            records.append(Connecting(at, rooms, since))
            client.rooms = dict.fromkeys(client.rooms, 0)
            client.sent = int(since.removeprefix("log."))
            self._sids += 1
            client.in_flight.append(Connected(0, f"s{self._sids}"))
            count = self._write(client)
            client.in_flight.append(Ready(0, end, rooms, replayed=count))
            return
        records.append(Connecting(at, rooms, resumes=client.sid is not None))
        if client.sid is None or self._random.random() < 0.2:
            lost = client.sid is not None and client.last != end
            self._sids += 1
            client.in_flight.append(Connected(0, f"s{self._sids}"))
            client.in_flight.append(Ready(0, end, rooms, gap=lost))
            # The client receives both at once. If it lost them, it would not know of the session.
            while client.in_flight:
                self._receive_one(client)
            client.last = end
            client.rooms = dict.fromkeys(client.rooms, len(self._events))
            client.sent = len(self._events)
            return
        client.in_flight.append(Connected(0, client.sid, recovered=True))
        assert client.last is not None
        client.sent = int(client.last.removeprefix("log."))
        count = self._write(client)
        client.in_flight.append(Ready(0, end, rooms, recovered=True, replayed=count))

    def _change(self) -> None:
        client = self._random.choice(self._clients)
        ready = next(
            (it for it in client.records.records[::-1] if not isinstance(it, Delivered)), None
        )
        if (
            not client.connected
            or client.waits_for_answer
            or not isinstance(ready, Ready | Changed)
        ):
            return
        client.waits_for_answer = True
        room = self._random.choice(ROOMS)
        kind = "unsubscribe" if room in client.rooms else "subscribe"
        client.records.records.append(Changing(self._time(), kind, (room,)))
        if kind == "subscribe":
            client.rooms[room] = len(self._events)
        else:
            del client.rooms[room]
        client.in_flight.append(Changed(0, tuple(sorted(client.rooms))))
