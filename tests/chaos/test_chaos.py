"""Under faults nothing that was acknowledged is lost, and no consumer misses or doubles anything.

The short runs put each fault to the server at least once; ``make chaos`` is as long as it is told.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest

from tests.chaos.backing import BACKINGS
from tests.chaos.history import Connected
from tests.chaos.options import KILLS, LOG, MODE, PUBLISHES, SEED, reports
from tests.chaos.run import Plan, Report, Run

AWAY = ("log_cut", "log_silent", "log_ended")


async def carry_out(plan: Plan, folder: Path) -> Report:
    """Do a run; whatever is wrong fails the test with the run's account."""
    report = await Run(plan, folder).do()
    reports.append(str(report))
    if report.verdict.violations:
        kept = folder / "history.json"
        kept.write_text(json.dumps(asdict(report.history), default=str))
        reports.append(f"all that was written down: {kept}")
    assert report.verdict.violations == [], str(report)
    assert report.troubles == []
    assert set(report.statuses) == {0}
    assert not report.stuck, "a client was left without a reconnection of its own"
    return report


@pytest.mark.parametrize("mode", ["recovery", "since"])
async def test_each_fault_once(mode: str, tmp_path: Path) -> None:
    """Put every fault to a server, in an order of the seed; both ways to fill a disk are tried."""
    faults = list(BACKINGS["sqlite"].faults)
    Random(f"{SEED} {mode}").shuffle(faults)
    plan = Plan(SEED, mode, tuple(faults), publishes=300, mounted=mode == "recovery")
    report = await carry_out(plan, tmp_path)
    assert sorted(report.faults) == sorted(faults)
    assert report.drops > 10
    assert report.outcomes["log_unavailable"]
    assert (report.verdict.recovered > 10) == (mode == "recovery")


async def test_each_fault_once_with_two_servers(tmp_path: Path) -> None:
    """Over one Valkey, which is killed too; the other faults of it have tests of their own."""
    faults = [name for name in BACKINGS["valkey"].faults if name not in ("roll", *AWAY)]
    Random(SEED).shuffle(faults)
    plan = Plan(SEED, "recovery", tuple(faults), publishes=300, log="valkey")
    report = await carry_out(plan, tmp_path)
    assert sorted(report.faults) == sorted(faults)
    assert report.verdict.recovered > 10


async def test_a_rolling_restart_is_nobodys_business(tmp_path: Path) -> None:
    """Of two servers, twice: every session is recovered on the other one, and none has a gap."""
    plan = Plan(SEED, "recovery", ("roll", "roll"), publishes=300, log="valkey", restless=False)
    report = await carry_out(plan, tmp_path)
    assert report.statuses == [0] * 6, "two restarts and the end, of each"
    for consumer in report.history.consumers[: plan.socketio]:
        first, *later = [it for it in consumer.records if isinstance(it, Connected)]
        assert later
        assert [first.recovered, *(it.recovered for it in later)] == [False, *(True for _ in later)]
    assert report.verdict.gaps == 0


async def test_without_the_log_nothing_is_lost(tmp_path: Path) -> None:
    """Publishes are refused, or wait; all goes on when it is back, and nobody is told a gap."""
    plan = Plan(SEED, "recovery", AWAY, publishes=300, log="valkey", restless=False)
    report = await carry_out(plan, tmp_path)
    assert report.outcomes["log_unavailable"] >= len(AWAY)
    assert report.verdict.gaps == 0


@pytest.mark.parametrize("mode", ["recovery", "since"])
async def test_a_long_run(mode: str, tmp_path: Path) -> None:
    """Kill the server as often as asked, with as many other faults in between."""
    if MODE not in (mode, "both"):
        pytest.skip(f"CHAOS_MODE={MODE}")
    random = Random(f"{SEED} {mode} long")
    faults = ["kill"] * KILLS + random.choices(BACKINGS[LOG].faults, k=KILLS)
    random.shuffle(faults)
    between = max(25, PUBLISHES // max(1, len(faults)))
    plan = Plan(SEED, mode, tuple(faults), PUBLISHES, between, log=LOG, socketio=18, plain=8)
    await carry_out(plan, tmp_path)
