"""Under all attacks, the healthy clients feel little, and the server's costs stay bounded.

The short run divides the attacks between the event logs, and its phases are so short that one pause
of the machine decides about them: its targets for waits and acks are lower. The length of ``make
siege`` is an option, and there every attack is tried with both.
"""

from __future__ import annotations

import faulthandler
import random
from pathlib import Path

import pytest

from tests.siege.attack import Attack
from tests.siege.judge import BUSY, QUIET
from tests.siege.options import (
    ATTACKS,
    CONSUMERS,
    LOG,
    LONG,
    ROOT,
    SECONDS,
    SEED,
    TABLE,
    reports,
)
from tests.siege.registry import chosen
from tests.siege.run import Plan, Siege

LOGS = ("sqlite", "valkey")
BOTH = ("sessions", "recoveries")
"""The families whose attacks are different for each event log."""

REST_SECONDS, SETTLE_SECONDS = (20, 30) if LONG else (15, 15)
TARGETS = QUIET if LONG else BUSY


def attacks_on(log: str) -> list[Attack]:
    """Return the attacks that are tried with an event log."""
    attacks = chosen(ATTACKS)
    if LONG or ATTACKS:
        return attacks
    dealt = [it.name for it in attacks]
    random.Random(SEED).shuffle(dealt)
    own = set(dealt[LOGS.index(log) :: len(LOGS)])
    return [it for it in attacks if it.name in own or it.family in BOTH]


@pytest.mark.alone
@pytest.mark.parametrize("log", LOGS)
def test_a_siege_holds_up_no_healthy_client(log: str, tmp_path: Path) -> None:
    """Try each attack by itself, then all at once, and check every target."""
    if LOG not in (log, "both"):
        pytest.skip(f"SIEGE_LOG={LOG}")
    # A siege of a server that fails takes longer than pytest waits for a test. Each step of it has
    # a timeout of its own.
    faulthandler.cancel_dump_traceback_later()
    seconds = SECONDS / len(LOGS) if LOG == "both" else SECONDS
    plan = Plan(
        root=ROOT,
        log=log,
        attacks=attacks_on(log),
        seconds=seconds,
        consumers=CONSUMERS,
        seed=SEED,
        rest=REST_SECONDS,
        settle=SETTLE_SECONDS,
        targets=TARGETS,
    )
    siege = Siege(plan, tmp_path)
    try:
        siege.carry_out()
    finally:
        reports.append(str(siege.report))
        if TABLE:
            with Path(TABLE).open("a") as file:
                file.write(f"{siege.report}\n\n")
    missed_targets = len(siege.report.failures)
    assert missed_targets == 0, "the report is at the end of the output"
