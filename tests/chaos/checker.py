"""Holds a run's history to what the server promises. Pure.

The log's own order, read when all is over, is the measure. Rooms are computed from it here, by the
contract's words and with none of the server's code. Where a consumer can't know when a change of
its rooms took effect, every moment between its asking and the answer is allowed, but one moment
has to fit all that it saw.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.consumption import Walk
from tests.chaos.history import (
    Acknowledged,
    Attempt,
    Consumer,
    Delivered,
    History,
    Log,
    LogEvent,
    Refused,
)
from tests.chaos.order import Order, canonical, same
from tests.chaos.violations import Rule, Violation


@dataclass(slots=True)
class Verdict:
    """What was found, and how often the server said what can't be held against it."""

    violations: list[Violation] = field(default_factory=list)
    gaps: int = 0
    recovered: int = 0

    def __str__(self) -> str:
        said = f"{self.recovered} connections recovered, {self.gaps} gaps told"
        shown = "".join(f"\n  {violation}" for violation in self.violations[:50])
        return f"{len(self.violations)} violations; {said}{shown}"


def check(history: History) -> Verdict:
    """Hold a whole history to all rules."""
    order = Order(history.log, history.attempts)
    verdict = Verdict(check_log(history.log) + check_answers(history.log, history.attempts))
    verdict.violations += check_offsets(history)
    for consumer in history.consumers:
        walk = Walk(consumer, order)
        verdict.violations += walk.check(settled=history.settled)
        verdict.gaps += walk.gaps
        verdict.recovered += walk.recovered
    return verdict


def check_consumer(consumer: Consumer, order: Order, *, settled: bool = True) -> list[Violation]:
    """Hold one consumer to the log."""
    return Walk(consumer, order).check(settled=settled)


def check_log(log: Log) -> list[Violation]:
    """Look for ids and offsets that are there twice, and for time that runs backwards."""
    found = []
    ids: set[str] = set()
    offsets = {log.start}
    for event in log.events:
        if event.id in ids:
            found.append(Violation(Rule.DOUBLED, "log", "once more", event.offset, event.id))
        if event.offset in offsets:
            found.append(Violation(Rule.OFFSET_REUSED, "log", "twice", event.offset, event.id))
        ids.add(event.id)
        offsets.add(event.offset)
    for before, after in pairwise(log.events):
        if after.timestamp < before.timestamp:
            what = f"{after.timestamp} after {before.timestamp}"
            found.append(Violation(Rule.LOG_DISORDER, "log", what, after.offset, after.id))
    return found


def check_offsets(history: History) -> list[Violation]:
    """Look for an offset that ever named another event than the log's, or two outside it."""
    named = {event.offset: event.id for event in history.log.events}
    found = []
    told = [
        ("answers", attempt.outcome.offset, attempt.id)
        for attempt in history.attempts
        if isinstance(attempt.outcome, Acknowledged)
    ]
    # What the log has is held to it by the consumer's own rules.
    told += [
        (consumer.name, record.offset, record.id)
        for consumer in history.consumers
        for record in consumer.records
        if isinstance(record, Delivered) and record.offset not in named
    ]
    for who, offset, id in told:
        if named.setdefault(offset, id) != id:
            what = f"{named[offset]} too"
            found.append(Violation(Rule.OFFSET_REUSED, who, what, offset, id))
    return found


def check_answers(log: Log, attempts: list[Attempt]) -> list[Violation]:
    """Hold the log to what the producers were told, and their answers to the log."""
    kept = {event.id: event for event in log.events}
    by_id: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_id[attempt.id].append(attempt)
    found = [
        Violation(Rule.INVENTED, "log", f"{event}", event.offset, event.id)
        for event in log.events
        if not any(_is(event, attempt) for attempt in by_id[event.id])
    ]
    for id, tried in by_id.items():
        found += _check_id(id, tried, kept.get(id))
    return found + _check_times(kept, attempts)


def _is(event: LogEvent, attempt: Attempt) -> bool:
    return attempt.type == event.type and same(attempt.furniture, event.furniture)


def _check_id(id: str, attempts: list[Attempt], event: LogEvent | None) -> list[Violation]:
    found = []
    acknowledged = [it for it in attempts if isinstance(it.outcome, Acknowledged)]
    for attempt in acknowledged:
        outcome = attempt.outcome
        assert isinstance(outcome, Acknowledged)
        if event is None:
            found.append(Violation(Rule.LOST, "answers", f"{attempt}", outcome.offset, id))
        elif (outcome.offset, outcome.timestamp) != (event.offset, event.timestamp):
            what = f"{outcome}, the log has {event.offset} of {event.timestamp}"
            found.append(Violation(Rule.WRONG_ANSWER, "answers", what, outcome.offset, id))
        elif not _is(event, attempt):
            what = f"{attempt}, the log has {event}"
            found.append(Violation(Rule.WRONG_ANSWER, "answers", what, outcome.offset, id))
    firsts = [it for it in acknowledged if not it.outcome.duplicate]  # type: ignore[union-attr]
    if len(firsts) > 1:
        what = f"{len(firsts)} answers say that they are the first"
        found.append(Violation(Rule.FALSE_DUPLICATE, "answers", what, None, id))
    if acknowledged and not firsts and len(attempts) == 1 and not attempts[0].retries:
        what = "a duplicate of nothing"
        found.append(Violation(Rule.FALSE_DUPLICATE, "answers", what, None, id))
    if event is not None:
        alike = [attempt for attempt in attempts if _is(event, attempt)]
        if alike and all(isinstance(attempt.outcome, Refused) for attempt in alike):
            what = canonical([str(attempt.outcome) for attempt in alike])
            found.append(Violation(Rule.REFUSED_KEPT, "log", what, event.offset, id))
    return found


def _check_times(kept: dict[str, LogEvent], attempts: list[Attempt]) -> list[Violation]:
    """Look for an event that lies before one whose answer was there when it was first sent."""
    places = {id: place for place, id in enumerate(kept)}
    sent: dict[str, float] = {}
    for attempt in attempts:
        sent[attempt.id] = min(attempt.began, sent.get(attempt.id, attempt.began))
    told = sorted(
        (attempt.ended, places[attempt.id], attempt.id)
        for attempt in attempts
        if isinstance(attempt.outcome, Acknowledged) and attempt.id in places
    )
    found = []
    last, latest, next_told = -1, "", 0
    for began, id in sorted((began, id) for id, began in sent.items() if id in places):
        while next_told < len(told) and told[next_told][0] < began:
            _, place, told_id = told[next_told]
            next_told += 1
            if place > last:
                last, latest = place, told_id
        if places[id] < last:
            what = f"{latest} had been acknowledged"
            found.append(Violation(Rule.OUT_OF_TIME, "log", what, kept[id].offset, id))
    return found
