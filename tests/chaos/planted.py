"""One small clean history, written by hand, and the faults that are planted into it."""

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
from tests.chaos.violations import Rule

WHAT = [  # piece, type, material, author; 5 is told to pino and to roble
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
    """Return the piece of an event."""
    piece, _, material, author = WHAT[number - 1]
    return {"furniture_id": piece, "material": material, "autor_username": author, "altura": 75}


def event(number: int) -> LogEvent:
    """Return an event of the log, numbered from 1."""
    type = WHAT[number - 1][1]
    return LogEvent(f"log.{number}", f"e{number}", type, furniture(number), TIME.format(number))


def got(*numbers: int) -> list[Told]:
    """Return what a consumer records of events."""
    events = map(event, numbers)
    return [Delivered(0, it.offset, it.id, it.type, it.furniture, it.timestamp) for it in events]


def clean() -> History:
    """Return a history without fault. Event n is sent at 10n and acknowledged at 10n + 5."""
    attempts = []
    for number in range(1, len(WHAT) + 1):
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
    catalog: list[Told] = [
        Opening(1),
        Connected(2, "a"),
        Ready(3, "log.0", ("catalog",)),
        *got(1, 2, 3),
        Dropped(38),
        Opening(61, resumes=True),
        Connected(62, "a", recovered=True),
        *got(4, 5, 6),
        Ready(67, "log.6", ("catalog",), recovered=True, replayed=3),
        *got(7, 8),
    ]
    roble: list[Told] = [
        Opening(1, ("material:roble",), "log.0"),
        Connected(2, "b"),
        Ready(3, "log.0", ("material:roble",)),
        *got(1),
        Changing(26, "subscribe", ("author:Eva",)),
        Changed(28, ("author:Eva", "material:roble")),
        *got(3, 4, 5),
        Changing(56, "unsubscribe", ("author:Eva",)),
        Changed(66, ("material:roble",)),
        Dropped(67),
        Opening(68, ("material:roble",), "log.5"),
        Connected(69, "b2"),
        Ready(70, "log.6", ("material:roble",)),
    ]
    fresh: list[Told] = [
        Opening(1, ("material:pino",)),
        Connected(2, "c"),
        Ready(3, "log.0", ("material:pino",)),
        *got(2),
        Dropped(28),
        Opening(57, ("material:pino",), resumes=True),
        Connected(58, "c2"),
        Ready(59, "log.5", ("material:pino",), gap=True),
        *got(7),
    ]
    plain: list[Told] = [
        Opening(56, ("furniture:1", "type:furniture_created"), "log.2"),
        Connected(57),
        *got(3, 5),
        Ready(58, "log.5", ("furniture:1", "type:furniture_created"), replayed=2),
        *got(6, 7, 8),
    ]
    told = {"catalog": catalog, "roble": roble, "fresh": fresh, "plain": plain}
    consumers = [Consumer(name, records) for name, records in told.items()]
    events = [event(number) for number in range(1, len(WHAT) + 1)]
    return History(attempts, Log("log.0", events), consumers)


Fault = Callable[[History], object]


def places(history: History, who: int, kind: type, number: int | None = None) -> list[int]:
    """Return where a consumer has records of a kind, and of an event."""
    return [
        index
        for index, it in enumerate(history.consumers[who].records)
        if isinstance(it, kind) and (number is None or getattr(it, "id", None) == f"e{number}")
    ]


def without(who: int, number: int) -> Fault:
    """Take an event away from a consumer."""

    def plant(history: History) -> None:
        del history.consumers[who].records[places(history, who, Delivered, number)[0]]

    return plant


def add(who: int, number: int, after: int) -> Fault:
    """Give a consumer an event after another."""

    def plant(history: History) -> None:
        at = places(history, who, Delivered, after)[0] + 1
        history.consumers[who].records[at:at] = got(number)

    return plant


def swap(who: int, number: int) -> Fault:
    """Let a consumer have an event after the next record."""

    def plant(history: History) -> None:
        at = places(history, who, Delivered, number)[0]
        records = history.consumers[who].records
        records[at : at + 2] = records[at + 1], records[at]

    return plant


def changed(who: int, kind: type, nth: int, **fields: Any) -> Fault:
    """Change fields of a consumer's nth record of a kind."""

    def plant(history: History) -> None:
        at = places(history, who, kind)[nth]
        records = history.consumers[who].records
        records[at] = replace(records[at], **fields)

    return plant


def logged(number: int, **fields: Any) -> Fault:
    """Change fields of an event in the log."""

    def plant(history: History) -> None:
        history.log.events[number - 1] = replace(history.log.events[number - 1], **fields)

    return plant


def unlogged(number: int) -> Fault:
    """Take an event out of the log, and away from everybody."""

    def plant(history: History) -> None:
        del history.log.events[number - 1]
        for who, consumer in enumerate(history.consumers):
            for at in reversed(places(history, who, Delivered, number)):
                del consumer.records[at]

    return plant


def appended(id: str, offset: str = "log.9", number: int = 6) -> Fault:
    """Append an event to the log, as late as nobody need have it."""

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


def refused_though_kept(history: History) -> None:
    """Answer with an error what is in the log."""
    history.attempts[1] = replace(history.attempts[1], outcome=Refused("log_unavailable"))


def told_before_it_was_sent(history: History) -> None:
    """Send an early event of the log late."""
    history.attempts[0] = replace(history.attempts[0], began=70.5, ended=71)


def ends(who: int) -> Fault:
    """Let a consumer never come back."""
    return lambda history: history.consumers[who].records.append(Dropped(90))


def after_the_subscribe(history: History) -> None:
    """Let what was sent after a subscribe's answer be missed."""
    without(ROBLE, 4)(history)


def dropped_before_ready(history: History) -> None:
    """Let the connection that should have said gap die before it did."""
    records = history.consumers[FRESH].records
    at = places(history, FRESH, Ready)[1]
    records[at : at + 1] = [
        Dropped(59),
        Opening(60, ("material:pino",), resumes=True),
        Connected(60, "c2", recovered=True),
        Ready(61, "log.5", ("material:pino",), recovered=True),
    ]


OTHER = furniture(2) | {"altura": 76}

FAULTS: list[tuple[str, Fault, Rule]] = [
    ("a lost event", unlogged(6), Rule.LOST),
    ("a lost event that nobody was in the room of", unlogged(1), Rule.LOST),
    ("a lost duplicate", unlogged(3), Rule.LOST),
    ("an event twice in the log", appended("e4"), Rule.DOUBLED),
    ("an unanswered event twice in the log", appended("e4", number=4), Rule.DOUBLED),
    ("an acknowledged one twice in the log", appended("e6"), Rule.DOUBLED),
    ("a refused event in the log", appended("refused", number=1), Rule.REFUSED_KEPT),
    ("a refusal of what is kept", refused_though_kept, Rule.REFUSED_KEPT),
    ("an event of nobody", appended("nobody"), Rule.INVENTED),
    ("another body in the log", logged(6, furniture=OTHER), Rule.INVENTED),
    ("another type in the log", logged(6, type="furniture_updated"), Rule.INVENTED),
    ("another offset in the answer", answered(6, offset="log.99"), Rule.WRONG_ANSWER),
    ("another offset in the duplicate's", answered(3, nth=1, offset="x"), Rule.WRONG_ANSWER),
    ("another timestamp in the answer", answered(6, timestamp=TIME.format(0)), Rule.WRONG_ANSWER),
    ("another body in the answer's log", logged(2, furniture=OTHER), Rule.WRONG_ANSWER),
    ("two firsts", answered(3, nth=1, duplicate=False), Rule.FALSE_DUPLICATE),
    ("a duplicate of nothing", answered(6, duplicate=True), Rule.FALSE_DUPLICATE),
    ("an event before its time", told_before_it_was_sent, Rule.OUT_OF_TIME),
    ("time that runs backwards", logged(4, timestamp=TIME.format(0)), Rule.LOG_DISORDER),
    ("an offset twice in the log", appended("silent", "log.2", 1), Rule.OFFSET_REUSED),
    ("an answer with another's offset", answered(6, offset="log.5"), Rule.OFFSET_REUSED),
    ("an offset for another event", changed(CATALOG, Delivered, 1, id="e9"), Rule.OFFSET_REUSED),
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
    ("a hole in a room since its subscribe", after_the_subscribe, Rule.HOLE),
    ("a hole over a reconnect", without(CATALOG, 4), Rule.HOLE),
    ("a hole at the end", without(CATALOG, 8), Rule.HOLE),
    ("a hole in a replay", without(PLAIN, 3), Rule.HOLE),
    ("a gap that was not told", changed(FRESH, Ready, 1, gap=False), Rule.HOLE),
    ("a gap that was lost with its connection", dropped_before_ready, Rule.HOLE),
    ("an event of a foreign room", add(ROBLE, 7, 5), Rule.FOREIGN),
    ("an event of a room left", add(ROBLE, 8, 5), Rule.FOREIGN),
    ("an event from before the subscribe", add(ROBLE, 2, 1), Rule.FOREIGN),
    ("an event of a deleted piece's rooms", add(FRESH, 8, 7), Rule.FOREIGN),
    ("an event from before since", changed(PLAIN, Opening, 0, since="log.3"), Rule.FOREIGN),
    ("a former sid", changed(FRESH, Connected, 1, sid="c"), Rule.FALSE_RECOVERY),
    ("a since of no log", changed(PLAIN, Opening, 0, since="old.2"), Rule.UNKNOWN_OFFSET),
    ("another sid", changed(CATALOG, Connected, 1, sid="z"), Rule.FALSE_RECOVERY),
    (
        "recovered, of a new session",
        changed(FRESH, Connected, 1, recovered=True),
        Rule.FALSE_RECOVERY,
    ),
    ("recovered at first", changed(CATALOG, Connected, 0, recovered=True), Rule.FALSE_RECOVERY),
    ("recovered, in ready alone", changed(ROBLE, Ready, 1, recovered=True), Rule.FALSE_RECOVERY),
    ("recovered, not in ready", changed(CATALOG, Ready, 1, recovered=False), Rule.FALSE_RECOVERY),
    ("an event lost by a false recovery", without(CATALOG, 5), Rule.HOLE),
    ("a gap in recovery", changed(CATALOG, Ready, 1, gap=True), Rule.GAP_ON_RECOVERED),
    ("one more replayed", changed(CATALOG, Ready, 1, replayed=4), Rule.WRONG_COUNT),
    ("none replayed", changed(PLAIN, Ready, 0, replayed=0), Rule.WRONG_COUNT),
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
        "a room that comes back",
        changed(ROBLE, Ready, 1, rooms=("author:Eva", "material:roble")),
        Rule.WRONG_ROOMS,
    ),
    ("a consumer that stays away", ends(PLAIN), Rule.NEVER_CAME_BACK),
]
