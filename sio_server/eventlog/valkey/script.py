"""The event log's steps, as its script in Valkey takes and answers them. Encodes and decodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sio_server.contract.events import Event, Offset, Record, format_timestamp
from sio_server.contract.rooms import CATALOG, event_rooms, state_rooms
from sio_server.eventlog import reading
from sio_server.eventlog.appending import AppendPlan
from sio_server.eventlog.contract import AppendResult, Bounds, Page, Retention
from sio_server.eventlog.valkey.connection import Script

SCRIPT = Script("log.lua")

MAX_EXAMINED_EVENTS = 1_000
"""How many events a read examines at most: the server does nothing else meanwhile."""

TRIMMED = 100
"""How many events beyond the retention go with an append, beside as many as come."""

SWEPT = 500
"""How many go in a step of their own."""

REMEMBERED = 86_400_000
"""Milliseconds for which an append can be asked for again."""


class Marks(NamedTuple):
    """What the log is.

    Attributes:
        epoch: its present one.
        start: the seq at which that began; what came before was of another.
        oldest: the seqs after this are kept.
        last: the last seq.
    """

    epoch: str
    start: int
    oldest: int
    last: int

    @property
    def bounds(self) -> Bounds:
        """The log's bounds."""
        return reading.bounds(self.epoch, self.oldest, self.last)


class Request(NamedTuple):
    """What the script is to do."""

    keys: tuple[str, ...]
    arguments: tuple[str | int, ...]


class Appended(NamedTuple):
    """What became of an append: its answers, and the last event that they name."""

    answers: list[AppendResult]
    last: Offset


class Store:
    """The log's keys, and what passes between this node and the script.

    Args:
        prefix: of every key, one hash tag: all of them are in one slot of a cluster.
        node: names the node, anew each time it starts.
        retention: how long events are kept.
        clock: seconds since the Unix epoch.

    Attributes:
        seen: the last event that this node has seen.
    """

    def __init__(
        self, prefix: str, node: str, retention: Retention, clock: Callable[[], float]
    ) -> None:
        self.log = f"{prefix}:log"
        self.events = f"{prefix}:events"
        self.seen = Offset("", 0)
        self._keys = self.log, self.events, f"{prefix}:ids", f"{prefix}:pieces"
        self._appended = f"{prefix}:appended:{node}"
        self._retention = retention
        self._clock = clock

    # Appending.

    def append(self, number: int, events: Iterable[Event]) -> Request:
        """Return the request to append events.

        Args:
            number: the append's; a request with the same number is the same append.
            events: with an id in common, the first of them counts.
        """
        unique: dict[str, Event] = {}
        for event in events:
            unique.setdefault(event.id, event)
        encoded = [part for event in unique.values() for part in _encode(event)]
        now = int(self._clock() * 1000)
        keep = self._retention.events, self._since(), TRIMMED
        request = self._request("append", number, REMEMBERED, now, *keep, *encoded)
        return request._replace(keys=(*request.keys, self._appended))

    def appended(self, events: Sequence[Event], answer: str) -> Appended:
        """Return what the script's answer to an append means for each of the events."""
        told = json.loads(answer)
        epoch, known = told["epoch"], told["known"]

        def find(id: str) -> Record | None:
            if id not in known:
                return None
            seq, at, type, head = known[id]
            return Record(Offset(epoch, seq), type, (), _body(head, at))

        before = Offset(epoch, int(told["first"]) - 1)
        step = AppendPlan(before, int(told["at"]), find=find, last_state=lambda piece: ())
        answers = [step.add(event) for event in events]
        seqs = [before.seq + len(step.records), *(int(entry[0]) for entry in known.values())]
        return Appended(answers, Offset(epoch, max(seqs)))

    # Reading.

    def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Request:
        """Return the request to read as the log's ``read`` does."""
        epoch, seq = after or ("", 0)
        names: Iterable[str] = ()
        if rooms is not None and CATALOG not in rooms:
            names = map(json.dumps, rooms)
            limit = limit if rooms else 0
        examined = limit if rooms is None else MAX_EXAMINED_EVENTS
        return self._request("read", epoch, seq, limit, examined, reading.PAGE_BYTES, *names)

    def page(
        self, after: Offset | None, rooms: Collection[str] | None, limit: int, answer: str
    ) -> Page:
        """Return the page that the script's answer to ``read`` means."""
        told = json.loads(answer)
        kept = _marks(told).bounds
        seqs = reading.plan(after, rooms, limit, kept)
        if isinstance(seqs, Page):
            return seqs
        records = [
            Record(Offset(kept.position.epoch, seq), type, _decode_rooms(rooms), _body(head, at))
            for seq, at, type, rooms, head in told["events"]
        ]
        return reading.page(records, range(seqs[0], int(told["examined"]) + 1), limit, kept)

    def look(self) -> Request:
        """Return the request to read the log's marks."""
        return self.read(None, None, 0)

    @staticmethod
    def marks(answer: str) -> Marks:
        """Return the marks that an answer to ``read`` tells."""
        return _marks(json.loads(answer))

    def record(self, epoch: str, entry: Any) -> Record:
        """Return the record that an entry of the stream is."""
        entry_id, flat = entry
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Record(
            Offset(epoch, int(entry_id.partition("-")[0])),
            fields["type"],
            _decode_rooms(fields["rooms"]),
            _body(fields["head"], int(fields["at"])),
        )

    # Keeping it small.

    def sweep(self) -> Request:
        """Return the request to take a step in trimming; answered by how many events went."""
        return self._request("sweep", self._retention.events, self._since(), SWEPT)

    def _request(self, step: str, *arguments: str | int) -> Request:
        seen = self.seen
        return Request(self._keys, (step, reading.new_epoch(), seen.epoch, seen.seq, *arguments))

    def _since(self) -> int:
        return int((self._clock() - self._retention.seconds) * 1000)


def _marks(told: dict[str, Any]) -> Marks:
    return Marks(told["epoch"], int(told["start"]), int(told["oldest"]), int(told["last"]))


_TAIL = '"}'
"""What follows the timestamp in a body. What precedes it, the head, is made before it is known."""


def _encode(event: Event) -> tuple[str, ...]:
    furniture = event.furniture
    state = state_rooms(furniture["material"], furniture["autor_username"])
    deleted = event.type == "furniture_deleted"
    return (
        event.id,
        event.type,
        furniture["furniture_id"],
        _encode_rooms(event_rooms(event.type, furniture)),
        "" if deleted else _encode_rooms(state),
        event.body("").removesuffix(_TAIL),
    )


def _body(head: str, at: int) -> str:
    return f"{head}{format_timestamp(at)}{_TAIL}"


# Rooms are lines, a JSON string each. JSON escapes line ends within names, so that a line is a
# room's whole name or none.


def _encode_rooms(rooms: Iterable[str]) -> str:
    return "\n".join(map(json.dumps, rooms))


def _decode_rooms(rooms: str) -> tuple[str, ...]:
    return tuple(map(json.loads, rooms.split("\n")))
