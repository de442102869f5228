"""Clean histories, as a server without fault would leave them, at random.

A model of its own: it has a log, sessions and wires with what is under way on them, and shares
nothing with the checker but the shape of the records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.chaos.history import (
    Acknowledged,
    Attempt,
    Changed,
    Changing,
    Connected,
    Consumer,
    Delivered,
    Dropped,
    History,
    Log,
    LogEvent,
    Opening,
    Ready,
    Refused,
    Told,
    Unanswered,
)

MATERIALS = ("roble", "haya", "pino")
AUTHORS = ("Juan", "Eva")
TYPES = ("furniture_created", "furniture_updated", "furniture_deleted")
ROOMS = (
    "catalog",
    *(f"material:{material}" for material in MATERIALS),
    *(f"author:{author}" for author in AUTHORS),
    *(f"type:{type}" for type in TYPES),
    "furniture:1",
    "furniture:2",
)


def piece(random: Random) -> dict[str, Any]:
    """Make a piece of furniture, one of few."""
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
    """One consumer, its session on the server, and what is under way to it."""

    records: Consumer
    mode: str
    rooms: dict[str, int] = field(default_factory=dict)
    written: int = 0
    on_wire: list[Told] = field(default_factory=list)
    connected: bool = False
    sid: str | None = None
    last: str | None = None
    waits: bool = False


class Simulation:
    """A server without fault, its producers and its consumers, a step at a time."""

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
        """Do so many things at random; return what was written down."""
        actions = [self._publish, self._publish, self._receive, self._receive, self._toggle]
        for _ in range(steps):
            self._random.choice([*actions, self._change])()
        for client in self._clients:
            if not client.connected:
                self._connect(client)
            while client.on_wire:
                self._arrive(client)
        consumers = [client.records for client in self._clients]
        return History(self._attempts, Log("log.0", self._events), consumers)

    def _time(self) -> float:
        self._now += 1.0
        return self._now

    def _publish(self) -> None:
        id = f"e{len(self._attempts)}"
        fate = self._random.choice(
            ("ok", "ok", "ok", "again", "lost", "refused", "kept", "rightly")
        )
        type, furniture = self._random.choice(TYPES), piece(self._random)
        began = self._time()
        event = None if fate in ("refused", "lost") else self._append(id, type, furniture)

        def attempt(outcome: Any, began: float) -> None:
            self._attempts.append(Attempt(id, type, furniture, began, self._time(), outcome))

        if fate == "refused":
            attempt(Refused("log_unavailable"), began)
        elif fate in ("lost", "kept"):
            attempt(Unanswered(), began)
        else:
            assert event is not None
            again = fate == "again"
            first = Unanswered() if again else Acknowledged(event.offset, event.timestamp)
            attempt(first, began)
            if again or fate == "rightly":
                told = Acknowledged(event.offset, event.timestamp, duplicate=True)
                attempt(told, self._time())

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
        """Put all that is for a client on its wire; return how many events."""
        count = 0
        for seq in range(client.written + 1, len(self._events) + 1):
            came_by = client.rooms.keys() & self._rooms[seq - 1]
            if any(client.rooms[room] < seq for room in came_by):
                event = self._events[seq - 1]
                furniture = dict(reversed(event.furniture.items()))
                told = Delivered(0, event.offset, event.id, event.type, furniture, event.timestamp)
                client.on_wire.append(told)
                count += 1
        client.written = len(self._events)
        return count

    def _end(self) -> str:
        return f"log.{len(self._events)}"

    def _receive(self) -> None:
        client = self._random.choice(self._clients)
        for _ in range(min(len(client.on_wire), self._random.randint(1, 5))):
            self._arrive(client)

    def _arrive(self, client: _Client) -> None:
        told = client.on_wire.pop(0)
        fields = {name: getattr(told, name) for name in told.__slots__}
        client.records.records.append(type(told)(**{**fields, "at": self._time()}))
        if isinstance(told, Connected):
            client.sid = told.sid
        elif isinstance(told, Ready):
            client.last = client.last or told.position
        elif isinstance(told, Delivered):
            client.last = told.offset
        elif isinstance(told, Changed):
            client.waits = False

    def _toggle(self) -> None:
        client = self._random.choice(self._clients)
        if client.connected:
            client.on_wire.clear()
            client.connected = client.waits = False
            client.records.records.append(Dropped(self._time()))
        else:
            self._connect(client)

    def _connect(self, client: _Client) -> None:
        at, end = self._time(), self._end()
        client.connected = True
        rooms = tuple(sorted(client.rooms))
        told = client.records.records
        if client.mode != "recovery":
            since = client.last or end
            client.last = since
            told.append(Opening(at, rooms, since))
            client.rooms = dict.fromkeys(client.rooms, 0)
            client.written = int(since.removeprefix("log."))
            self._sids += 1
            client.on_wire.append(Connected(0, f"s{self._sids}"))
            count = self._write(client)
            client.on_wire.append(Ready(0, end, rooms, replayed=count))
            return
        told.append(Opening(at, rooms, resumes=client.sid is not None))
        if client.sid is None or self._random.random() < 0.2:
            lost = client.sid is not None and client.last != end
            self._sids += 1
            client.on_wire.append(Connected(0, f"s{self._sids}"))
            client.on_wire.append(Ready(0, end, rooms, gap=lost))
            # What is not received of it is as if the server had answered never.
            while client.on_wire:
                self._arrive(client)
            client.last = end
            client.rooms = dict.fromkeys(client.rooms, len(self._events))
            client.written = len(self._events)
            return
        client.on_wire.append(Connected(0, client.sid, recovered=True))
        assert client.last is not None
        client.written = int(client.last.removeprefix("log."))
        count = self._write(client)
        client.on_wire.append(Ready(0, end, rooms, recovered=True, replayed=count))

    def _change(self) -> None:
        client = self._random.choice(self._clients)
        ready = next(
            (it for it in client.records.records[::-1] if not isinstance(it, Delivered)), None
        )
        if not client.connected or client.waits or not isinstance(ready, Ready | Changed):
            return
        client.waits = True
        room = self._random.choice(ROOMS)
        kind = "unsubscribe" if room in client.rooms else "subscribe"
        client.records.records.append(Changing(self._time(), kind, (room,)))
        if kind == "subscribe":
            client.rooms[room] = len(self._events)
        else:
            del client.rooms[room]
        client.on_wire.append(Changed(0, tuple(sorted(client.rooms))))
