"""One small correct history, written by hand, and faults to plant into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
from tests.chaos.violations import Rule

EVENTS = [  # piece, type, material, author; event 5 moves its piece from roble to pino
    ("1", "furniture_created", "roble", "Juan"),
    ("2", "furniture_created", "pino", "Eva"),
    ("1", "furniture_updated", "roble", "Juan"),
    ("2", "furniture_updated", "pino", "Eva"),
    ("1", "furniture_updated", "pino", "Juan"),
    ("3", "furniture_created", "haya", "Eva"),
    ("1", "furniture_deleted", "pino", "Juan"),
    ("1", "furniture_created", "haya", "Ana"),
]
TIME = "2024-01-15T14:30:00.00{}Z"
CATALOG, ROBLE, FRESH, PLAIN = range(4)


def furniture(number: int) -> dict[str, Any]:
    """Return the furniture of an event."""
    piece, _, material, author = EVENTS[number - 1]
    return {"furniture_id": piece, "material": material, "autor_username": author, "altura": 75}


def event(number: int) -> LogEvent:
    """Return an event of the log, numbered from 1."""
    type = EVENTS[number - 1][1]
    return LogEvent(f"log.{number}", f"e{number}", type, furniture(number), TIME.format(number))


def got(*numbers: int) -> list[Record]:
    """Return the records of delivered events."""
    events = map(event, numbers)
    return [Delivered(0, it.offset, it.id, it.type, it.furniture, it.timestamp) for it in events]


def clean() -> History:
    """Return a history without a fault. Event n is sent at 10n and acknowledged at 10n + 5."""
    attempts = []
    for number in range(1, len(EVENTS) + 1):
        it, at = event(number), 10.0 * number
        ok = Acknowledged(it.offset, it.timestamp)
        outcome = Unanswered() if number == 4 else ok
        attempts.append(Attempt(it.id, it.type, it.furniture, at, at + 5, outcome))
        if number == 3:
            again = replace(ok, duplicate=True)
            attempts.append(Attempt(it.id, it.type, it.furniture, at + 6, at + 7, again))
    attempts += [
        Attempt("refused", "furniture_created", furniture(1), 12, 13, Refused("log_unavailable")),
        Attempt("silent", "furniture_created", furniture(1), 12, 13, Unanswered()),
    ]
    catalog: list[Record] = [
        Connecting(1),
        Connected(2, "a"),
        Ready(3, "log.0", ("catalog",)),
        *got(1, 2, 3),
        Disconnected(38),
        Connecting(61, resumes=True),
        Connected(62, "a", recovered=True),
        *got(4, 5, 6),
        Ready(67, "log.6", ("catalog",), recovered=True, replayed=3),
        *got(7, 8),
    ]
    roble: list[Record] = [
        Connecting(1, ("material:roble",), "log.0"),
        Connected(2, "b"),
        Ready(3, "log.0", ("material:roble",)),
        *got(1),
        Changing(26, "subscribe", ("author:Eva",)),
        Changed(28, ("author:Eva", "material:roble")),
        *got(3, 4, 5),
        Changing(56, "unsubscribe", ("author:Eva",)),
        Changed(66, ("material:roble",)),
        Disconnected(67),
        Connecting(68, ("material:roble",), "log.5"),
        Connected(69, "b2"),
        Ready(70, "log.6", ("material:roble",)),
    ]
    fresh: list[Record] = [
        Connecting(1, ("material:pino",)),
        Connected(2, "c"),
        Ready(3, "log.0", ("material:pino",)),
        *got(2),
        Disconnected(28),
        Connecting(57, ("material:pino",), resumes=True),
        Connected(58, "c2"),
        Ready(59, "log.5", ("material:pino",), gap=True),
        *got(7),
    ]
    plain: list[Record] = [
        Connecting(56, ("furniture:1", "type:furniture_created"), "log.2"),
        Connected(57),
        *got(3, 5),
        Ready(58, "log.5", ("furniture:1", "type:furniture_created"), replayed=2),
        *got(6, 7, 8),
    ]
    by_name = {"catalog": catalog, "roble": roble, "fresh": fresh, "plain": plain}
    consumers = [Consumer(name, records) for name, records in by_name.items()]
    events = [event(number) for number in range(1, len(EVENTS) + 1)]
    return History(attempts, Log("log.0", events), consumers)


Fault = Callable[[History], object]


def places(
    history: History, consumer_index: int, kind: type, number: int | None = None
) -> list[int]:
    """Return the indices of a consumer's records of this type, and of this event if it is given."""
    return [
        index
        for index, it in enumerate(history.consumers[consumer_index].records)
        if isinstance(it, kind) and (number is None or getattr(it, "id", None) == f"e{number}")
    ]


def without(consumer_index: int, number: int) -> Fault:
    """Remove an event from a consumer's records."""

    def plant(history: History) -> None:
        del history.consumers[consumer_index].records[
            places(history, consumer_index, Delivered, number)[0]
        ]

    return plant


def add(consumer_index: int, number: int, after: int) -> Fault:
    """Insert an event after another one into a consumer's records."""

    def plant(history: History) -> None:
        at = places(history, consumer_index, Delivered, after)[0] + 1
        history.consumers[consumer_index].records[at:at] = got(number)

    return plant


def swap(consumer_index: int, number: int) -> Fault:
    """Swap an event with the next record of a consumer."""

    def plant(history: History) -> None:
        at = places(history, consumer_index, Delivered, number)[0]
        records = history.consumers[consumer_index].records
        records[at : at + 2] = records[at + 1], records[at]

    return plant


def changed(consumer_index: int, kind: type, nth: int, **fields: Any) -> Fault:
    """Change fields of a consumer's nth record of this type."""

    def plant(history: History) -> None:
        at = places(history, consumer_index, kind)[nth]
        records = history.consumers[consumer_index].records
        records[at] = replace(records[at], **fields)

    return plant


def logged(number: int, **fields: Any) -> Fault:
    """Change fields of an event in the log."""

    def plant(history: History) -> None:
        history.log.events[number - 1] = replace(history.log.events[number - 1], **fields)

    return plant


def unlogged(number: int) -> Fault:
    """Remove an event from the log and from all consumers."""

    def plant(history: History) -> None:
        del history.log.events[number - 1]
        for consumer_index, consumer in enumerate(history.consumers):
            for at in reversed(places(history, consumer_index, Delivered, number)):
                del consumer.records[at]

    return plant


def appended(id: str, offset: str = "log.9", number: int = 6) -> Fault:
    """Append an event to the end of the log. No consumer has to have it yet."""

    def plant(history: History) -> None:
        history.settled = False
        copy = replace(event(number), id=id, offset=offset, timestamp=TIME.format(9))
        history.log.events.append(copy)

    return plant


def answered(number: int, *, nth: int = 0, **fields: Any) -> Fault:
    """Change fields of an answer."""

    def plant(history: History) -> None:
        found = [at for at, it in enumerate(history.attempts) if it.id == f"e{number}"][nth]
        attempt = history.attempts[found]
        history.attempts[found] = replace(attempt, outcome=replace(attempt.outcome, **fields))

    return plant


def refused_though_logged(history: History) -> None:
    """Refuse an event that is in the log."""
    history.attempts[1] = replace(history.attempts[1], outcome=Refused("log_unavailable"))


def sent_after_a_later_event(history: History) -> None:
    """Send the first event of the log after later events were acknowledged."""
    history.attempts[0] = replace(history.attempts[0], began=70.5, ended=71)


def ends(consumer_index: int) -> Fault:
    """Disconnect a consumer permanently."""
    return lambda history: history.consumers[consumer_index].records.append(Disconnected(90))


def after_the_subscribe(history: History) -> None:
    """Remove an event that was sent after the answer to a subscribe."""
    without(ROBLE, 4)(history)


def dropped_before_ready(history: History) -> None:
    """End the connection that should have announced a gap before it did."""
    records = history.consumers[FRESH].records
    at = places(history, FRESH, Ready)[1]
    records[at : at + 1] = [
        Disconnected(59),
        Connecting(60, ("material:pino",), resumes=True),
        Connected(60, "c2", recovered=True),
        Ready(61, "log.5", ("material:pino",), recovered=True),
    ]


OTHER = furniture(2) | {"altura": 76}

FAULTS: list[tuple[str, Fault, Rule]] = [
    ("a lost event", unlogged(6), Rule.LOST),
    ("a lost event of a room without consumers", unlogged(1), Rule.LOST),
    ("a lost duplicate", unlogged(3), Rule.LOST),
    ("an event twice in the log", appended("e4"), Rule.DOUBLED),
    ("an unanswered event twice in the log", appended("e4", number=4), Rule.DOUBLED),
    ("an acknowledged event twice in the log", appended("e6"), Rule.DOUBLED),
    ("a refused event in the log", appended("refused", number=1), Rule.REFUSED_IN_LOG),
    ("a refusal of an event in the log", refused_though_logged, Rule.REFUSED_IN_LOG),
    ("an event without a producer", appended("nobody"), Rule.INVENTED),
    ("another body in the log", logged(6, furniture=OTHER), Rule.INVENTED),
    ("another type in the log", logged(6, type="furniture_updated"), Rule.INVENTED),
    ("another offset in the answer", answered(6, offset="log.99"), Rule.WRONG_ANSWER),
    ("another offset in the duplicate's answer", answered(3, nth=1, offset="x"), Rule.WRONG_ANSWER),
    ("another timestamp in the answer", answered(6, timestamp=TIME.format(0)), Rule.WRONG_ANSWER),
    (
        "another body in the log than in the acknowledged attempt",
        logged(2, furniture=OTHER),
        Rule.WRONG_ANSWER,
    ),
    ("two first answers", answered(3, nth=1, duplicate=False), Rule.FALSE_DUPLICATE),
    ("a duplicate of no earlier attempt", answered(6, duplicate=True), Rule.FALSE_DUPLICATE),
    ("an event before its time", sent_after_a_later_event, Rule.OUT_OF_TIME),
    ("a timestamp that decreases", logged(4, timestamp=TIME.format(0)), Rule.LOG_DISORDER),
    ("an offset twice in the log", appended("silent", "log.2", 1), Rule.OFFSET_REUSED),
    ("an answer with another's offset", answered(6, offset="log.5"), Rule.OFFSET_REUSED),
    (
        "an offset that is delivered with another event",
        changed(CATALOG, Delivered, 1, id="e9"),
        Rule.OFFSET_REUSED,
    ),
    ("an offset of no log", changed(CATALOG, Delivered, 7, offset="old.8"), Rule.UNKNOWN_OFFSET),
    ("a position of no log", changed(PLAIN, Ready, 0, position="old.1"), Rule.UNKNOWN_OFFSET),
    ("another body", changed(CATALOG, Delivered, 1, furniture=OTHER), Rule.WRONG_BODY),
    (
        "75 as 75.0",
        changed(PLAIN, Delivered, 1, furniture=furniture(5) | {"altura": 75.0}),
        Rule.WRONG_BODY,
    ),
    ("another timestamp", changed(PLAIN, Delivered, 4, timestamp=TIME.format(0)), Rule.WRONG_BODY),
    ("another type", changed(FRESH, Delivered, 0, type="furniture_deleted"), Rule.WRONG_BODY),
    ("an event twice", add(CATALOG, 2, 2), Rule.DUPLICATE),
    ("an event twice, later", add(PLAIN, 6, 7), Rule.DUPLICATE),
    ("an event again after the reconnect", add(CATALOG, 3, 4), Rule.DUPLICATE),
    ("two events swapped", swap(CATALOG, 2), Rule.OUT_OF_ORDER),
    ("two replayed events swapped", swap(PLAIN, 3), Rule.OUT_OF_ORDER),
    ("a hole", without(CATALOG, 2), Rule.HOLE),
    ("a hole in a recovered connection", without(CATALOG, 7), Rule.HOLE),
    ("a hole in one room only", without(ROBLE, 3), Rule.HOLE),
    ("a hole in the room that a piece has left", without(ROBLE, 5), Rule.HOLE),
    ("a hole after a subscribe", after_the_subscribe, Rule.HOLE),
    ("a hole over a reconnect", without(CATALOG, 4), Rule.HOLE),
    ("a hole at the end", without(CATALOG, 8), Rule.HOLE),
    ("a hole in a replay", without(PLAIN, 3), Rule.HOLE),
    ("a gap that is not announced", changed(FRESH, Ready, 1, gap=False), Rule.HOLE),
    ("a gap that is lost with its connection", dropped_before_ready, Rule.HOLE),
    ("an event of a foreign room", add(ROBLE, 7, 5), Rule.FOREIGN),
    ("an event of a room left", add(ROBLE, 8, 5), Rule.FOREIGN),
    ("an event from before the subscribe", add(ROBLE, 2, 1), Rule.FOREIGN),
    ("an event of a deleted piece's rooms", add(FRESH, 8, 7), Rule.FOREIGN),
    ("an event before since", changed(PLAIN, Connecting, 0, since="log.3"), Rule.FOREIGN),
    ("the old sid in a new session", changed(FRESH, Connected, 1, sid="c"), Rule.FALSE_RECOVERY),
    ("a since of no log", changed(PLAIN, Connecting, 0, since="old.2"), Rule.UNKNOWN_OFFSET),
    (
        "another sid in a recovered session",
        changed(CATALOG, Connected, 1, sid="z"),
        Rule.FALSE_RECOVERY,
    ),
    (
        "recovered, with a new session",
        changed(FRESH, Connected, 1, recovered=True),
        Rule.FALSE_RECOVERY,
    ),
    (
        "recovered at the first connection",
        changed(CATALOG, Connected, 0, recovered=True),
        Rule.FALSE_RECOVERY,
    ),
    ("recovered, only in ready", changed(ROBLE, Ready, 1, recovered=True), Rule.FALSE_RECOVERY),
    ("recovered, not in ready", changed(CATALOG, Ready, 1, recovered=False), Rule.FALSE_RECOVERY),
    ("an event lost by a false recovery", without(CATALOG, 5), Rule.HOLE),
    ("a gap in recovery", changed(CATALOG, Ready, 1, gap=True), Rule.GAP_ON_RECOVERED),
    ("one event too many in replayed", changed(CATALOG, Ready, 1, replayed=4), Rule.WRONG_COUNT),
    ("no event in replayed", changed(PLAIN, Ready, 0, replayed=0), Rule.WRONG_COUNT),
    ("ready too early", swap(PLAIN, 5), Rule.NOT_READY),
    ("ready before its replay", changed(CATALOG, Ready, 1, position="log.4"), Rule.NOT_READY),
    ("an old position", changed(ROBLE, Ready, 1, position="log.5"), Rule.STALE_POSITION),
    ("other rooms in ready", changed(ROBLE, Ready, 0, rooms=("catalog",)), Rule.WRONG_ROOMS),
    (
        "other rooms after a subscribe",
        changed(ROBLE, Changed, 0, rooms=("author:Eva",)),
        Rule.WRONG_ROOMS,
    ),
    (
        "a room that was left and returns",
        changed(ROBLE, Ready, 1, rooms=("author:Eva", "material:roble")),
        Rule.WRONG_ROOMS,
    ),
    ("a consumer that does not reconnect", ends(PLAIN), Rule.NEVER_CAME_BACK),
]
