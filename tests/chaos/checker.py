"""Checks the history of a run against the server's promises. Pure.

The reference is the order of the log, read after the run. The rooms of each event are computed
from it by the words of the contract, without the server's code. A consumer cannot know exactly when
a change of its rooms took effect: any moment between request and answer is allowed, but one such
moment must explain all events that the consumer got.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.consumer_check import ConsumerCheck
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
    """The violations, and the number of gaps and recoveries, which are no violations."""

    violations: list[Violation] = field(default_factory=list)
    gaps: int = 0
    recovered: int = 0

    def __str__(self) -> str:
        counts = f"{self.recovered} connections recovered, {self.gaps} gaps announced"
        listed = "".join(f"\n  {violation}" for violation in self.violations[:50])
        return f"{len(self.violations)} violations; {counts}{listed}"


def check(history: History) -> Verdict:
    """Check a whole history against all rules."""
    order = Order(history.log, history.attempts)
    verdict = Verdict(check_log(history.log) + check_answers(history.log, history.attempts))
    verdict.violations += check_offsets(history)
    for consumer in history.consumers:
        consumer_check = ConsumerCheck(consumer, order)
        verdict.violations += consumer_check.check(settled=history.settled)
        verdict.gaps += consumer_check.gaps
        verdict.recovered += consumer_check.recovered
    return verdict


def check_consumer(consumer: Consumer, order: Order, *, settled: bool = True) -> list[Violation]:
    """Check the records of one consumer against the log."""
    return ConsumerCheck(consumer, order).check(settled=settled)


def check_log(log: Log) -> list[Violation]:
    """Find repeated ids and offsets, and timestamps that decrease."""
    found = []
    ids: set[str] = set()
    offsets = {log.start}
    for event in log.events:
        if event.id in ids:
            found.append(Violation(Rule.DOUBLED, "log", "a second time", event.offset, event.id))
        if event.offset in offsets:
            found.append(Violation(Rule.OFFSET_REUSED, "log", "twice", event.offset, event.id))
        ids.add(event.id)
        offsets.add(event.offset)
    for before, after in pairwise(log.events):
        if after.timestamp < before.timestamp:
            description = f"{after.timestamp} after {before.timestamp}"
            found.append(Violation(Rule.LOG_DISORDER, "log", description, after.offset, after.id))
    return found


def check_offsets(history: History) -> list[Violation]:
    """Find offsets that named two events, in the log, in answers or in deliveries."""
    named = {event.offset: event.id for event in history.log.events}
    found = []
    reported = [
        ("answers", attempt.outcome.offset, attempt.id)
        for attempt in history.attempts
        if isinstance(attempt.outcome, Acknowledged)
    ]
    # ``ConsumerCheck`` compares deliveries with an offset of the log.
    reported += [
        (consumer.name, record.offset, record.id)
        for consumer in history.consumers
        for record in consumer.records
        if isinstance(record, Delivered) and record.offset not in named
    ]
    for subject, offset, id in reported:
        if named.setdefault(offset, id) != id:
            description = f"also {named[offset]}"
            found.append(Violation(Rule.OFFSET_REUSED, subject, description, offset, id))
    return found


def check_answers(log: Log, attempts: list[Attempt]) -> list[Violation]:
    """Compare the producers' answers with the log, in both directions."""
    logged = {event.id: event for event in log.events}
    by_id: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_id[attempt.id].append(attempt)
    found = [
        Violation(Rule.INVENTED, "log", f"{event}", event.offset, event.id)
        for event in log.events
        if not any(_matches(event, attempt) for attempt in by_id[event.id])
    ]
    for id, attempts_of_id in by_id.items():
        found += _check_id(id, attempts_of_id, logged.get(id))
    return found + _check_times(logged, attempts)


def _matches(event: LogEvent, attempt: Attempt) -> bool:
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
            description = f"{outcome}, the log has {event.offset} of {event.timestamp}"
            found.append(Violation(Rule.WRONG_ANSWER, "answers", description, outcome.offset, id))
        elif not _matches(event, attempt):
            description = f"{attempt}, the log has {event}"
            found.append(Violation(Rule.WRONG_ANSWER, "answers", description, outcome.offset, id))
    firsts = [it for it in acknowledged if not it.outcome.duplicate]  # type: ignore[union-attr]
    if len(firsts) > 1:
        description = f"{len(firsts)} answers say that theirs was the first append"
        found.append(Violation(Rule.FALSE_DUPLICATE, "answers", description, None, id))
    if acknowledged and not firsts and len(attempts) == 1 and not attempts[0].retries:
        description = "a duplicate of no earlier attempt"
        found.append(Violation(Rule.FALSE_DUPLICATE, "answers", description, None, id))
    if event is not None:
        alike = [attempt for attempt in attempts if _matches(event, attempt)]
        if alike and all(isinstance(attempt.outcome, Refused) for attempt in alike):
            description = canonical([str(attempt.outcome) for attempt in alike])
            found.append(Violation(Rule.REFUSED_IN_LOG, "log", description, event.offset, id))
    return found


def _check_times(logged: dict[str, LogEvent], attempts: list[Attempt]) -> list[Violation]:
    """Find events before another event that was acknowledged before they were first sent."""
    places = {id: place for place, id in enumerate(logged)}
    sent: dict[str, float] = {}
    for attempt in attempts:
        sent[attempt.id] = min(attempt.began, sent.get(attempt.id, attempt.began))
    acknowledged = sorted(
        (attempt.ended, places[attempt.id], attempt.id)
        for attempt in attempts
        if isinstance(attempt.outcome, Acknowledged) and attempt.id in places
    )
    found = []
    last, latest, next_index = -1, "", 0
    for began, id in sorted((began, id) for id, began in sent.items() if id in places):
        while next_index < len(acknowledged) and acknowledged[next_index][0] < began:
            _, place, acknowledged_id = acknowledged[next_index]
            next_index += 1
            if place > last:
                last, latest = place, acknowledged_id
        if places[id] < last:
            description = f"{latest} had been acknowledged"
            found.append(Violation(Rule.OUT_OF_TIME, "log", description, logged[id].offset, id))
    return found
