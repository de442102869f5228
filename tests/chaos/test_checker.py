"""The checker finds every fault that is planted, and nothing where there is none."""

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
    Consumer,
    Delivered,
    Dropped,
    History,
    Log,
    Opening,
    Ready,
)
from tests.chaos.planted import FAULTS, PLAIN, Fault, clean, event, got, places
from tests.chaos.simulated import Simulation
from tests.chaos.violations import Rule

SEEDS = st.integers(0, 2**32)


def test_a_clean_history_is_clean() -> None:
    """Find nothing, and count what was said."""
    verdict = check(clean())
    assert (verdict.violations, verdict.recovered, verdict.gaps) == ([], 1, 1)


@pytest.mark.parametrize(("plant", "rule"), [pytest.param(*it[1:], id=it[0]) for it in FAULTS])
def test_a_planted_fault_is_found(plant: Fault, rule: Rule) -> None:
    """Name the rule that is broken."""
    history = clean()
    plant(history)
    verdict = check(history)
    assert rule in {violation.rule for violation in verdict.violations}, verdict
    assert rule.name in str(verdict)


def test_every_rule_has_a_planted_fault() -> None:
    """Leave no rule untried."""
    assert {rule for _, _, rule in FAULTS} == set(Rule)


def test_an_offset_that_the_log_has_twice_is_found_in_the_log_alone() -> None:
    """Need neither an answer nor a consumer for it."""
    log = Log("log.0", [event(1), replace(event(2), offset="log.1")])
    assert [it.rule for it in check_log(log)] == [Rule.OFFSET_REUSED]


@pytest.mark.parametrize("saved", [True, False])
def test_a_change_that_was_not_answered_may_have_happened(saved: bool) -> None:
    """Take what a recovered connection's rooms say of it; in between either is right."""
    history = clean()
    records = history.consumers[PLAIN].records
    at = places(history, PLAIN, Delivered, 6)[0]
    rooms = ("furniture:1", "material:haya", "type:furniture_created")
    told = rooms if saved else (rooms[0], rooms[2])
    records[1] = Connected(57, "p")
    del records[at + 1 :]
    records += [
        Changing(63, "subscribe", ("material:haya",)),
        Dropped(64),
        Opening(65, resumes=True),
        Connected(66, "p", recovered=True),
        *got(7, 8),
        Ready(88, "log.8", told, recovered=True, replayed=2),
    ]
    assert check(history).violations == []


@given(SEEDS, st.integers(10, 200))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_a_generated_history_is_clean(seed: int, steps: int) -> None:
    """Find nothing in what a server without fault leaves, whatever its clients do."""
    verdict = check(Simulation(Random(seed)).run(steps))
    assert verdict.violations == [], verdict


def steady(history: History) -> list[Consumer]:
    """Return the consumers that never change rooms: of them every event is certain."""
    return [
        consumer
        for consumer in history.consumers
        if not any(isinstance(record, Changing) for record in consumer.records)
    ]


def any_of(history: History, random: Random, kind: type, **fields: object) -> tuple[Consumer, int]:
    """Return a place in a consumer's records at random."""
    found = [
        (consumer, at)
        for consumer in steady(history)
        for at, it in enumerate(consumer.records)
        if isinstance(it, kind) and all(getattr(it, key) == fields[key] for key in fields)
    ]
    assume(found)
    return random.choice(found)


def forget(history: History, random: Random) -> None:
    """Lose one delivery."""
    consumer, at = any_of(history, random, Delivered)
    del consumer.records[at]


def repeat(history: History, random: Random) -> None:
    """Deliver one event again, somewhere later."""
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
    """Change one delivered body."""
    consumer, at = any_of(history, random, Delivered)
    record = consumer.records[at]
    assert isinstance(record, Delivered)
    consumer.records[at] = replace(record, furniture=record.furniture | {"altura": -1})


def miscount(history: History, random: Random) -> None:
    """Tell a wrong number of replayed events."""
    consumer, at = any_of(history, random, Ready)
    record = consumer.records[at]
    assert isinstance(record, Ready)
    consumer.records[at] = replace(record, replayed=record.replayed + random.choice((-1, 1)))


def claim(history: History, random: Random) -> None:
    """Call a fresh session recovered, or the reverse."""
    consumer, at = any_of(history, random, Connected)
    record = consumer.records[at]
    assert isinstance(record, Connected)
    later = consumer.records[at:]
    assume(any(isinstance(it, Ready) for it in later))
    consumer.records[at] = replace(record, recovered=not record.recovered)


def lose(history: History, random: Random) -> None:
    """Lose an acknowledged event from the log."""
    kept = {it.id for it in history.attempts if isinstance(it.outcome, Acknowledged)}
    found = [at for at, it in enumerate(history.log.events) if it.id in kept]
    assume(found)
    del history.log.events[random.choice(found)]


def double(history: History, random: Random) -> None:
    """Append an event's copy to the log."""
    assume(history.log.events)
    copy = random.choice(history.log.events)
    history.log.events.append(replace(copy, offset="log.999999"))


def intrude(history: History, random: Random) -> None:
    """Deliver the last event to a consumer in none of its rooms."""
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
    """Find one change in a clean history."""
    random = Random(seed)
    history = Simulation(random).run(80)
    mutate(history, random)
    assert check(history).violations


def test_the_simulation_does_what_it_is_for() -> None:
    """Have recovered connections, gaps, changes of rooms and refusals in the generated runs."""
    runs = [Simulation(Random(seed)).run(150) for seed in range(20)]
    records = [it for run in runs for consumer in run.consumers for it in consumer.records]
    assert any(isinstance(it, Ready) and it.recovered and it.replayed for it in records)
    assert any(isinstance(it, Ready) and it.gap for it in records)
    assert {it.kind for it in records if isinstance(it, Changing)} == {"subscribe", "unsubscribe"}
