"""Calls of the log's Lua script: encodes them and decodes their answers. No I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sio_server.contract.events import Event, Offset, Record, format_timestamp
from sio_server.contract.rooms import event_rooms, state_rooms
from sio_server.eventlog import reading, summaries
from sio_server.eventlog.appending import AppendPlan, PieceState
from sio_server.eventlog.clock import LogClock
from sio_server.eventlog.contract import AppendResult, Bounds, Page, PiecePage, Retention
from sio_server.eventlog.valkey.blocks import Block
from sio_server.eventlog.valkey.connection import LuaScript

LOG_SCRIPT = LuaScript("log.lua")

MAX_EXTRA_TRIMMED_EVENTS = 100
"""An append removes at most this many more events than it adds, if they exceed the retention."""

MAX_SWEPT = 500
"""How many events, and how many pieces, beyond the retention one sweep removes at most."""

APPEND_MEMORY_MILLISECONDS = 86_400_000
"""How long the script remembers a node's last append, so that the node can ask for it again."""


class LogState(NamedTuple):
    """The state of the log.

    Attributes:
        epoch: the present epoch.
        start: the seq at which the epoch began; earlier events belong to another epoch.
        oldest: the log holds the events after this seq.
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


class ScriptCall(NamedTuple):
    """The keys and arguments of one call of the script."""

    keys: tuple[str, ...]
    arguments: tuple[str | int | bytes, ...]


class AppendedEvents(NamedTuple):
    """The decoded answer to an append.

    Attributes:
        results: the result of each event.
        last: the last event that the results refer to.
    """

    results: list[AppendResult]
    last: Offset


class LogScript:
    """Encodes the calls of the log's script and decodes its answers.

    Args:
        prefix: of every key; one hash tag, so that all keys are in one slot of a cluster.
        node: the name of this node, a new one each time it starts.
        retention: the bounds of the log.
        clock: returns the seconds since the Unix epoch.

    Attributes:
        last_seen: the last event that this node has seen.
    """

    def __init__(
        self, prefix: str, node: str, retention: Retention, clock: Callable[[], float]
    ) -> None:
        self.log_key = f"{prefix}:log"
        self.events_key = f"{prefix}:events"
        self.last_seen = Offset("", 0)
        others = (
            f"{prefix}:{name}" for name in ("ids", "pieces", "piece_seqs", "states", "blocks")
        )
        self._keys = self.log_key, self.events_key, *others
        self._last_append_key = f"{prefix}:appended:{node}"
        self._retention = retention
        self._clock = clock
        self._timestamps = LogClock(clock)

    # Appending.

    def append_call(self, number: int, events: Iterable[Event]) -> ScriptCall:
        """Return the call that appends events.

        Args:
            number: the number of the append. A call with the same number is the same append.
            events: of several events with one id, only the first is sent.
        """
        unique: dict[str, Event] = {}
        for event in events:
            unique.setdefault(event.id, event)
        encoded = [part for event in unique.values() for part in _encode(event)]
        now = int(self._clock() * 1000)
        trimming = *self._bounds(), MAX_EXTRA_TRIMMED_EVENTS
        call = self._call("append", number, APPEND_MEMORY_MILLISECONDS, now, *trimming, *encoded)
        return call._replace(keys=(*call.keys, self._last_append_key))

    def decode_append(self, events: Sequence[Event], answer: str) -> AppendedEvents:
        """Decode the answer to an append of these events."""
        decoded = json.loads(answer)
        epoch, earlier = decoded["epoch"], decoded["earlier"]

        def find(id: str) -> Record | None:
            if id not in earlier:
                return None
            seq, at, type, head = earlier[id]
            return Record(Offset(epoch, seq), type, (), _body(head, at))

        before = Offset(epoch, int(decoded["first"]) - 1)
        at = int(decoded["at"])
        self._timestamps.next(at)  # of another server, maybe
        plan = AppendPlan(before, at, find=find, last_state=lambda piece: None)
        results = [plan.add(event) for event in events]
        seqs = [before.seq + len(plan.records), *(int(entry[0]) for entry in earlier.values())]
        return AppendedEvents(results, Offset(epoch, max(seqs)))

    # Reading.

    def read_call(
        self, after: Offset | None, rooms: frozenset[str] | None, limit: int
    ) -> ScriptCall:
        """Return the call that reads as the log's ``read`` does.

        Args:
            after: as in the log's ``read``; so is ``limit``.
            rooms: from ``reading.selecting``.
        """
        epoch, seq = after or ("", 0)
        if rooms is not None and not rooms:
            limit = 0
        bounds = limit, reading.max_examined(rooms, limit), reading.PAGE_BYTES
        names = rooms or ()
        blocks = summaries.max_blocks(names) if limit else 0
        hashes = b"".join(summaries.hashes(names)) if blocks else b""
        return self._call("read", epoch, seq, *bounds, blocks, hashes, *map(json.dumps, names))

    def decode_page(
        self, after: Offset | None, rooms: frozenset[str] | None, limit: int, answer: str
    ) -> Page:
        """Decode the answer to a read with these arguments."""
        decoded = json.loads(answer)
        bounds = _state(decoded).bounds
        seqs = reading.plan(after, rooms, limit, bounds)
        if isinstance(seqs, Page):
            return seqs
        records = {
            seq: Record(
                Offset(bounds.position.epoch, seq),
                type,
                _decode_rooms(names),
                _body(head, at),
                former,
            )
            for seq, at, type, names, head, former in decoded["events"]
        }
        examined = range(seqs[0], int(decoded["examined"]) + 1)
        if not records:
            return reading.empty_page(examined[-1], bounds)
        return reading.page(map(records.get, examined), examined, limit, bounds)

    def pieces_call(self, before: Offset | None, limit: int) -> ScriptCall:
        """Return the call that reads pieces as the log's ``pieces`` does."""
        most = min(limit, reading.MAX_EXAMINED_EVENTS)
        return self._call("pieces", "" if before is None else before.seq, most, reading.PAGE_BYTES)

    def decode_pieces(self, before: Offset | None, limit: int, answer: str) -> PiecePage:
        """Decode the answer to a read of pieces with these arguments."""
        decoded = json.loads(answer)
        epoch = decoded["epoch"]
        if before is not None and before.epoch != epoch:
            return PiecePage([], None)
        examined = (
            (seq, piece, PieceState(_decode_rooms(rooms) if rooms else (), furniture))
            for seq, piece, rooms, furniture in decoded["pieces"]
        )
        return reading.piece_page(epoch, examined, limit, at_end=decoded["is_end"])

    def state_call(self) -> ScriptCall:
        """Return the call that reads the log's state: a read of no events."""
        return self.read_call(None, None, 0)

    @staticmethod
    def decode_state(answer: str) -> LogState:
        """Decode the log's state in the answer to a read."""
        return _state(json.loads(answer))

    def decode_entry(self, epoch: str, entry: Any) -> Record:
        """Decode a new entry of the stream of events.

        The server that appended it knows when it was committed, by its own clock.
        """
        entry_id, names_and_values = entry
        fields = dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))
        at = int(fields["at"])
        record = Record(
            Offset(epoch, int(entry_id.partition("-")[0])),
            fields["type"],
            _decode_rooms(fields["rooms"]),
            _body(fields["head"], at),
            fields.get("former"),
        )
        record.note_commit(time.monotonic() - max(0.0, self._clock() - at / 1000))
        return record

    # Trimming.

    def sweep_call(self, epoch: str = "", blocks: Iterable[Block] = ()) -> ScriptCall:
        """Return the call that trims a little.

        Args:
            epoch: of the blocks.
            blocks: to write, if each follows those that the log has.
        """
        offered = [part for block in blocks for part in block]
        return self._call("sweep", *self._bounds(), MAX_SWEPT, epoch, *offered)

    @staticmethod
    def decode_sweep(answer: str) -> tuple[bool, Offset]:
        """Return whether there may be more to trim, and the first event that has no block."""
        decoded = json.loads(answer)
        return decoded["more"], Offset(decoded["epoch"], int(decoded["next"]))

    def _call(self, step: str, *arguments: str | int | bytes) -> ScriptCall:
        seen = self.last_seen
        return ScriptCall(self._keys, (step, reading.new_epoch(), seen.epoch, seen.seq, *arguments))

    def _bounds(self) -> tuple[int, int, int]:
        retention = self._retention
        oldest_milliseconds = int((self._clock() - retention.seconds) * 1000)
        return retention.events, oldest_milliseconds, retention.pieces


def _state(decoded: dict[str, Any]) -> LogState:
    return LogState(
        decoded["epoch"], int(decoded["start"]), int(decoded["oldest"]), int(decoded["last"])
    )


_AFTER_TIMESTAMP = '"}'
"""The end of a body, after its timestamp. The part before the timestamp is the body's head: the
node encodes the head, and the script then chooses the timestamp."""


def _encode(event: Event) -> tuple[str, ...]:
    furniture = event.furniture
    state = state_rooms(furniture["material"], furniture["autor_username"])
    deleted = event.deletes_piece
    return (
        event.id,
        event.type,
        furniture["furniture_id"],
        _encode_rooms(event_rooms(event.type, furniture)),
        "" if deleted else _encode_rooms(state),
        event.body("").removesuffix(_AFTER_TIMESTAMP),
    )


def _body(head: str, at: int) -> str:
    return f"{head}{format_timestamp(at)}{_AFTER_TIMESTAMP}"


# Rooms are lines, with one JSON string each. JSON escapes line ends within names, so that a line is
# always the whole name of one room.


def _encode_rooms(rooms: Iterable[str]) -> str:
    return "\n".join(map(json.dumps, rooms))


def _decode_rooms(rooms: str) -> tuple[str, ...]:
    return tuple(map(json.loads, rooms.split("\n")))
