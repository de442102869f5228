"""Committed means delivered, once and in order, wherever relays die; rolled back means never.

The short run kills relays at each point; ``make django-kills`` is as long as it is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.django.kills.checker import DELETED, Change, Written, change_of, check, read_written
from tests.django.kills.options import DELAY_SECONDS, KILLS, SEED, TRANSACTIONS, reports
from tests.django.kills.run import POINTS, Plan, carry_out

CREATED, UPDATED = "furniture_created", "furniture_updated"

CLEAN = [
    Change("1", CREATED, "a", 1),
    Change("2", CREATED, "b", 2),
    Change("1", UPDATED, "c", 3),
    Change("2", UPDATED, "d", 5),
    Change("2", DELETED, "d", 5),
    Change("1", UPDATED, "f", 6),
]
ROLLED_BACK = Change("1", UPDATED, "e", 4)
WRITTEN = Written(CLEAN[::-1], [ROLLED_BACK], Counter())


def test_committed_is_delivered_wherever_relays_die(
    autor: User, database: str, tmp_path: Path
) -> None:
    """Relays die at each point and the broker is away: each commit is told once, in order."""
    chosen = dict(connection.settings_dict)
    writers = 8
    if database == "sqlite":  # one at a time writes; a transaction that reads first would fail
        chosen["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 30}
        writers = 3
    report = carry_out(Plan(SEED, KILLS, writers, TRANSACTIONS, DELAY_SECONDS), tmp_path, chosen)
    reports.append(f"{database}, {report}")
    assert report.violations == [], str(report)
    assert (report.refused, report.gaps) == (0, 0)
    assert report.killed == Counter({point: KILLS // len(POINTS) for point in POINTS})
    assert report.written.outcomes.total() == writers * TRANSACTIONS
    assert report.written.outcomes["rolled back"] > writers * TRANSACTIONS / 5


def test_what_is_as_it_should_be_is_no_violation() -> None:
    """The checker finds nothing in changes that are as they were committed, in any interleaving."""
    assert check(WRITTEN, CLEAN) == []
    assert check(WRITTEN, [CLEAN[1], CLEAN[0], *CLEAN[2:]]) == []


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        pytest.param(lambda it: it.pop(2), f"lost: {CLEAN[2]}", id="lost"),
        pytest.param(lambda it: it.clear(), f"lost: {CLEAN[0]}", id="all lost"),
        pytest.param(
            lambda it: it.insert(4, it[2]), f"delivered 2 times: {CLEAN[2]}", id="doubled"
        ),
        pytest.param(
            lambda it: it.insert(5, ROLLED_BACK), f"rolled back: {ROLLED_BACK}", id="rolled back"
        ),
        pytest.param(
            lambda it: it.insert(0, Change("3", CREATED, "g", 0)),
            f"never written: {Change('3', CREATED, 'g', 0)}",
            id="never written",
        ),
        pytest.param(
            lambda it: it.insert(0, it.pop(2)),
            f"out of order: {CLEAN[2]} before {CLEAN[0]}",
            id="swapped",
        ),
        pytest.param(
            lambda it: it.insert(3, it.pop(4)),
            f"out of order: {CLEAN[4]} before {CLEAN[3]}",
            id="deleted before its last update",
        ),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[list[Change]], object], told: str) -> None:
    """The checker names what was lost, doubled, swapped, rolled back or made up."""
    delivered = list(CLEAN)
    plant(delivered)
    assert told in check(WRITTEN, delivered)


def test_what_writers_wrote_down_is_read(tmp_path: Path) -> None:
    """What a savepoint undid is rolled back though its transaction is committed."""
    kept, undone, lost = CLEAN[0], CLEAN[1], CLEAN[2]
    lines = [
        {"outcome": "committed", "changes": [kept], "undone": [undone]},
        {"outcome": "rolled back", "changes": [lost], "undone": []},
    ]
    (tmp_path / "w0.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_written(tmp_path) == (
        [kept],
        [undone, lost],
        Counter({"committed": 1, "rolled back": 1}),
    )


def test_an_event_tells_its_change() -> None:
    """The token and the version are read from the furniture that is published."""
    furniture = {"furniture_id": "1", "material": "w0-1", "descripcion": "7"}
    event = {"type": CREATED, "furniture": furniture}
    assert change_of(event) == Change("1", CREATED, "w0-1", 7)
