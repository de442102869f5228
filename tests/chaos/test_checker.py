"""The checker finds every planted fault, and no violation in a correct history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.chaos.checker import check, check_log
from tests.chaos.history import (
    Acknowledged,
    Changing,
    Connected,
    Connecting,
    Consumer,
    Delivered,
    Disconnected,
    History,
    Log,
    Ready,
)
from tests.chaos.planted import FAULTS, PLAIN, Fault, clean, event, got, places
from tests.chaos.simulated import Simulation
from tests.chaos.violations import Rule

SEEDS = st.integers(0, 2**32)


def test_a_correct_history_has_no_violations() -> None:
    """The checker finds no violation, and counts recoveries and gaps."""
    verdict = check(clean())
    assert (verdict.violations, verdict.recovered, verdict.gaps) == ([], 1, 1)


@pytest.mark.parametrize(("plant", "rule"), [pytest.param(*it[1:], id=it[0]) for it in FAULTS])
def test_a_planted_fault_is_found(plant: Fault, rule: Rule) -> None:
    """The checker names the broken rule of each fault."""
    history = clean()
    plant(history)
    verdict = check(history)
    assert rule in {violation.rule for violation in verdict.violations}, verdict
    assert rule.name in str(verdict)


def test_every_rule_has_a_planted_fault() -> None:
    """Each rule of the checker is broken by at least one planted fault."""
    assert {rule for _, _, rule in FAULTS} == set(Rule)


def test_a_repeated_offset_is_found_without_answers_and_consumers() -> None:
    """The log by itself shows that an offset names two events."""
    log = Log("log.0", [event(1), replace(event(2), offset="log.1")])
    assert [it.rule for it in check_log(log)] == [Rule.OFFSET_REUSED]


@pytest.mark.parametrize("saved", [True, False])
def test_an_unanswered_change_of_rooms_is_judged_by_the_rooms_after_recovery(saved: bool) -> None:
    """Until the recovered connection reports its rooms, both outcomes of the change are allowed."""
    history = clean()
    records = history.consumers[PLAIN].records
    at = places(history, PLAIN, Delivered, 6)[0]
    rooms = ("furniture:1", "material:haya", "type:furniture_created")
    rooms_after = rooms if saved else (rooms[0], rooms[2])
    records[1] = Connected(57, "p")
    del records[at + 1 :]
    records += [
        Changing(63, "subscribe", ("material:haya",)),
        Disconnected(64),
        Connecting(65, resumes=True),
        Connected(66, "p", recovered=True),
        *got(7, 8),
        Ready(88, "log.8", rooms_after, recovered=True, replayed=2),
    ]
    assert check(history).violations == []


@given(SEEDS, st.integers(10, 200))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_a_simulated_history_has_no_violations(seed: int, steps: int) -> None:
    """The checker accepts every history of the simulation, which is a server without faults."""
    verdict = check(Simulation(Random(seed)).run(steps))
    assert verdict.violations == [], verdict


def steady(history: History) -> list[Consumer]:
    """Return the consumers that never change rooms. For them, every event is certain."""
    return [
        consumer
        for consumer in history.consumers
        if not any(isinstance(record, Changing) for record in consumer.records)
    ]


def any_of(history: History, random: Random, kind: type, **fields: object) -> tuple[Consumer, int]:
    """Return a random record of this type: its consumer and its index."""
    found = [
        (consumer, at)
        for consumer in steady(history)
        for at, it in enumerate(consumer.records)
        if isinstance(it, kind) and all(getattr(it, key) == fields[key] for key in fields)
    ]
    assume(found)
    return random.choice(found)


def forget(history: History, random: Random) -> None:
    """Remove one delivery.

    The last one before an announced gap may be missing: the cut took it, and the gap says so.
    """
    consumer, at = any_of(history, random, Delivered)
    later = [it for it in consumer.records[at + 1 :] if isinstance(it, Delivered | Ready)]
    assume(not (later and isinstance(later[0], Ready) and later[0].gap))
    del consumer.records[at]


def repeat(history: History, random: Random) -> None:
    """Deliver one event again, at a random later time."""
    consumer, at = any_of(history, random, Delivered)
    consumer.records.insert(random.randint(at + 1, len(consumer.records)), consumer.records[at])


def exchange(history: History, random: Random) -> None:
    """Swap two deliveries."""
    consumer, one = any_of(history, random, Delivered)
    others = [at for at, it in enumerate(consumer.records) if isinstance(it, Delivered)]
    assume(len(others) > 1)
    other = random.choice([at for at in others if at != one])
    records = consumer.records
    records[one], records[other] = records[other], records[one]


def spoil(history: History, random: Random) -> None:
    """Change the body of one delivery."""
    consumer, at = any_of(history, random, Delivered)
    record = consumer.records[at]
    assert isinstance(record, Delivered)
    consumer.records[at] = replace(record, furniture=record.furniture | {"altura": -1})


def miscount(history: History, random: Random) -> None:
    """Report a wrong number of replayed events."""
    consumer, at = any_of(history, random, Ready)
    record = consumer.records[at]
    assert isinstance(record, Ready)
    consumer.records[at] = replace(record, replayed=record.replayed + random.choice((-1, 1)))


def claim(history: History, random: Random) -> None:
    """Report a new session as recovered, or the reverse."""
    consumer, at = any_of(history, random, Connected)
    record = consumer.records[at]
    assert isinstance(record, Connected)
    later = consumer.records[at:]
    assume(any(isinstance(it, Ready) for it in later))
    consumer.records[at] = replace(record, recovered=not record.recovered)


def lose(history: History, random: Random) -> None:
    """Remove an acknowledged event from the log."""
    acknowledged = {it.id for it in history.attempts if isinstance(it.outcome, Acknowledged)}
    found = [at for at, it in enumerate(history.log.events) if it.id in acknowledged]
    assume(found)
    del history.log.events[random.choice(found)]


def double(history: History, random: Random) -> None:
    """Append a copy of an event to the log."""
    assume(history.log.events)
    copy = random.choice(history.log.events)
    history.log.events.append(replace(copy, offset="log.999999"))


def intrude(history: History, random: Random) -> None:
    """Deliver the last event to a consumer outside its rooms."""
    consumer, at = any_of(history, random, Ready)
    rooms = consumer.records[at]
    assert isinstance(rooms, Ready)
    events = history.log.events
    assume(events)
    last = events[-1]
    assume(not any(isinstance(it, Delivered) and it.id == last.id for it in consumer.records))
    consumer.records.append(
        Delivered(0, last.offset, last.id, last.type, last.furniture, last.timestamp)
    )


MUTATIONS = [forget, repeat, exchange, spoil, miscount, claim, lose, double, intrude]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda it: it.__name__)
@given(SEEDS)
@settings(deadline=None, max_examples=40, derandomize=True)
def test_a_mutation_is_found(mutate: Callable[[History, Random], None], seed: int) -> None:
    """The checker finds one random change of a correct history."""
    random = Random(seed)
    history = Simulation(random).run(80)
    mutate(history, random)
    assert check(history).violations


def test_simulated_histories_contain_recoveries_gaps_and_changes_of_rooms() -> None:
    """Otherwise the tests above would prove little."""
    runs = [Simulation(Random(seed)).run(150) for seed in range(20)]
    records = [it for run in runs for consumer in run.consumers for it in consumer.records]
    assert any(isinstance(it, Ready) and it.recovered and it.replayed for it in records)
    assert any(isinstance(it, Ready) and it.gap for it in records)
    assert {it.kind for it in records if isinstance(it, Changing)} == {"subscribe", "unsubscribe"}
