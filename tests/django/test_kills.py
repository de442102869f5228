"""Committed changes are delivered once and in order, even if relays are killed at any point.

Rolled back changes are never delivered. The short run kills a relay at each point;
``make django-kills`` runs as long as its options say.
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


def test_committed_changes_are_delivered_although_relays_are_killed(
    autor: User, database: str, tmp_path: Path
) -> None:
    """Relays are killed at each point and the broker is down at times. Each commit arrives once."""
    chosen = dict(connection.settings_dict)
    writers = 8
    if database == "sqlite":  # one writer at a time; a transaction that reads first would fail
        chosen["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 30}
        writers = 3
    report = carry_out(Plan(SEED, KILLS, writers, TRANSACTIONS, DELAY_SECONDS), tmp_path, chosen)
    reports.append(f"{database}, {report}")
    assert report.violations == [], str(report)
    assert (report.refused, report.gaps) == (0, 0)
    assert report.killed == Counter({point: KILLS // len(POINTS) for point in POINTS})
    assert report.written.outcomes.total() == writers * TRANSACTIONS
    assert report.written.outcomes["rolled back"] > writers * TRANSACTIONS / 5


def test_the_committed_changes_are_no_violation() -> None:
    """The checker accepts the committed changes, in any order of different pieces."""
    assert check(WRITTEN, CLEAN) == []
    assert check(WRITTEN, [CLEAN[1], CLEAN[0], *CLEAN[2:]]) == []


@pytest.mark.parametrize(
    ("plant", "violation"),
    [
        pytest.param(lambda changes: changes.pop(2), f"lost: {CLEAN[2]}", id="lost"),
        pytest.param(lambda changes: changes.clear(), f"lost: {CLEAN[0]}", id="all lost"),
        pytest.param(
            lambda changes: changes.insert(4, changes[2]),
            f"delivered 2 times: {CLEAN[2]}",
            id="doubled",
        ),
        pytest.param(
            lambda changes: changes.insert(5, ROLLED_BACK),
            f"rolled back: {ROLLED_BACK}",
            id="rolled back",
        ),
        pytest.param(
            lambda changes: changes.insert(0, Change("3", CREATED, "g", 0)),
            f"never written: {Change('3', CREATED, 'g', 0)}",
            id="never written",
        ),
        pytest.param(
            lambda changes: changes.insert(0, changes.pop(2)),
            f"out of order: {CLEAN[2]} before {CLEAN[0]}",
            id="swapped",
        ),
        pytest.param(
            lambda changes: changes.insert(3, changes.pop(4)),
            f"out of order: {CLEAN[4]} before {CLEAN[3]}",
            id="deleted before its last update",
        ),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[list[Change]], object], violation: str) -> None:
    """The checker names a change that was lost, doubled, swapped, rolled back or invented."""
    delivered = list(CLEAN)
    plant(delivered)
    assert violation in check(WRITTEN, delivered)


def test_the_writers_records_are_read(tmp_path: Path) -> None:
    """A savepoint's changes are rolled back even if the transaction is committed."""
    committed, undone, rolled_back = CLEAN[0], CLEAN[1], CLEAN[2]
    lines = [
        {"outcome": "committed", "changes": [committed], "undone": [undone]},
        {"outcome": "rolled back", "changes": [rolled_back], "undone": []},
    ]
    (tmp_path / "w0.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_written(tmp_path) == (
        [committed],
        [undone, rolled_back],
        Counter({"committed": 1, "rolled back": 1}),
    )


def test_an_event_holds_its_change() -> None:
    """The token and the version are fields of the published furniture."""
    furniture = {"furniture_id": "1", "material": "w0-1", "descripcion": "7"}
    event = {"type": CREATED, "furniture": furniture}
    assert change_of(event) == Change("1", CREATED, "w0-1", 7)
