"""The judgement finds each missed target, and none where the targets are reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.siege.figures import MIB, Deliveries, Row, Waits
from tests.siege.judge import (
    BUSY,
    MEMORY_SLACK_BYTES,
    ONE_CONNECTION_BYTES,
    QUIET,
    REPEATED,
    Rule,
    better,
    judge,
)
from tests.siege.table import COLUMNS, table

CALM = Row(
    "calm",
    "sqlite",
    seconds=10,
    waits=Waits(20, 0.003, 0.006, 0.01),
    share=1,
    start=80 * MIB,
    end=80 * MIB,
    rest=80 * MIB,
    peak=80 * MIB,
)
ALLOWED = 0.25 + 10 * 0.01


def good() -> Row:
    """Return a phase in which every target is just reached."""
    return Row(
        "empty_pings",
        "sqlite",
        seconds=10,
        waits=Waits(12, 0.01, 0.1, QUIET.longest(CALM)),
        share=QUIET.acks_share,
        start=100 * MIB,
        end=400 * MIB,
        rest=105 * MIB + MEMORY_SLACK_BYTES,
        peak=100 * MIB + 10 * ONE_CONNECTION_BYTES,
        connections=10,
        statuses=Counter({"503": 7}),
        deliveries=Deliveries(cuts=3, refusals=2),
        publisher_cuts=1,
        errors=Counter(log_unavailable=2),
    )


def deliver(row: Row, **counts: int) -> None:
    """Change what the healthy consumers have got."""
    row.deliveries = replace(row.deliveries, **counts)


def wait_longer(row: Row) -> None:
    """Let one healthy publish wait a millisecond longer than allowed."""
    row.waits = replace(row.waits, longest=ALLOWED + 0.001)


PLANTED: list[tuple[Rule, Callable[[Row], object]]] = [
    (Rule.DIED, lambda row: setattr(row, "exit_status", -9)),
    (Rule.DIED, lambda row: setattr(row, "exit_status", 0)),
    (Rule.LONG_WAIT, wait_longer),
    (Rule.FEW_ACKS, lambda row: setattr(row, "share", QUIET.acks_share - 0.01)),
    (Rule.MEMORY_KEPT, lambda row: setattr(row, "rest", row.rest + 1)),
    (Rule.MEMORY_OF_ONE, lambda row: setattr(row, "peak", row.peak + 10)),
    (Rule.MEMORY_OF_ONE, lambda row: setattr(row, "connections", 9)),
    (Rule.TRACEBACK, lambda row: row.tracebacks.append("Traceback")),
    (Rule.STATUS, lambda row: row.statuses.update(["500"])),
    (Rule.STATUS, lambda row: row.statuses.update(["502"])),
    (Rule.MISSING, lambda row: deliver(row, missing=1)),
    (Rule.DOUBLED, lambda row: deliver(row, doubled=1)),
    (Rule.BEHIND, lambda row: deliver(row, behind=1)),
    (Rule.GAP, lambda row: deliver(row, gaps=1)),
    (Rule.NO_ENTRY, lambda row: setattr(row, "newcomer", None)),
    (Rule.NO_ENTRY, lambda row: setattr(row, "newcomer", 503)),
    (Rule.UNHEALTHY, lambda row: setattr(row, "health", None)),
    (Rule.STUCK, lambda row: setattr(row, "is_stuck", True)),
    (Rule.STOPPED, lambda row: setattr(row, "stopped", "the server holds 3072 MiB")),
    (Rule.SILENT, lambda row: setattr(row, "lacks_files", True)),
]


def test_a_phase_that_just_reaches_the_targets_misses_none() -> None:
    """Each bound belongs to the allowed values, and cuts are only reported."""
    assert judge(good(), CALM) == []


@pytest.mark.parametrize(
    ("rule", "plant"), PLANTED, ids=[f"{it[0].name}-{at}" for at, it in enumerate(PLANTED)]
)
def test_a_planted_fault_is_found(rule: Rule, plant: Callable[[Row], object]) -> None:
    """The judgement names the missed target, and only that one."""
    row = good()
    plant(row)
    (failure,) = judge(row, CALM)
    assert failure.rule is rule
    assert "sqlite empty_pings" in str(failure)


def test_a_busy_machine_excuses_only_waits_and_acks() -> None:
    """Up to its own targets."""
    row = good()
    row.waits = replace(row.waits, longest=BUSY.longest(CALM))
    row.share = BUSY.acks_share
    assert [it.rule for it in judge(row, CALM)] == [Rule.LONG_WAIT, Rule.FEW_ACKS]
    assert judge(row, CALM, BUSY) == []
    row.waits = replace(row.waits, longest=BUSY.longest(CALM) + 0.001)
    row.share -= 0.01
    row.tracebacks.append("Traceback")
    assert [it.rule for it in judge(row, CALM, BUSY)] == [
        Rule.LONG_WAIT,
        Rule.FEW_ACKS,
        Rule.TRACEBACK,
    ]


def test_every_rule_has_a_planted_fault() -> None:
    """Each target is missed by at least one planted fault."""
    assert {rule for rule, _ in PLANTED} == set(Rule)


def test_only_noise_and_a_level_of_memory_are_excuses_for_another_try() -> None:
    """No other target may be missed and then reached."""
    assert {Rule.LONG_WAIT, Rule.FEW_ACKS, Rule.MEMORY_KEPT} == REPEATED


@pytest.mark.parametrize("order", [1, -1])
def test_two_tries_count_together(order: int) -> None:
    """Noise is excused by a try without it, and another fault of either try is not."""
    slow, kept, broken = good(), good(), good()
    wait_longer(slow)
    kept.rest += 1
    broken.tracebacks.append("Traceback")
    assert judge(better(*(slow, kept)[::order], CALM), CALM) == []
    assert [it.rule for it in judge(better(*(slow, broken)[::order], CALM), CALM)] == [
        Rule.TRACEBACK
    ]
    kept, both = good(), good()
    kept.rest += 1
    wait_longer(both)
    both.rest += 1
    assert [it.rule for it in judge(better(*(kept, both)[::order], CALM), CALM)] == [
        Rule.MEMORY_KEPT
    ]


def test_a_server_that_may_not_open_files_may_shut_newcomers_out_if_it_says_so() -> None:
    """A warning is enough, and so is any answer, or none, to the newcomer."""
    row = good()
    row.lacks_files, row.newcomer, row.warnings = True, None, 1
    assert judge(row, CALM) == []


@pytest.mark.parametrize("rule", [Rule.MISSING, Rule.DOUBLED, Rule.BEHIND])
def test_consumers_that_lack_events_get_another_server(rule: Rule) -> None:
    """Otherwise they would still lack the events in the next phase."""
    row = good()
    assert row.is_clean
    deliver(row, **{rule.name.lower(): 1})
    assert not row.is_clean


def test_the_table_has_a_cell_for_each_column() -> None:
    """The table is Markdown, and names the missed targets."""
    lines = table([(CALM, []), (good(), ["STATUS", "BEHIND"])]).splitlines()
    assert [line.count("|") for line in lines] == [len(COLUMNS) + 1] * 4
    assert "503 7" in lines[-1]
    assert "cuts 3" in lines[-1]
    assert lines[-1].endswith("| STATUS, BEHIND |")
