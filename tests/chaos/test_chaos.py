"""Under faults, no acknowledged event is lost, and every consumer gets every event exactly once.

The short runs inject each fault at least once. The length of ``make chaos`` is an option.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest

from tests.chaos.backing import BACKINGS
from tests.chaos.counted import CountedRun, seen
from tests.chaos.history import Connected
from tests.chaos.options import KILLS, LOG, MODE, PUBLISHES, SEED, reports
from tests.chaos.run import Plan, Report, Run

UNREACHABLE_LOG_FAULTS = ("log_cut", "log_silent", "log_ended")


async def carry_out(plan: Plan, folder: Path, run: Run | None = None) -> Report:
    """Carry out a plan, and fail with its report if anything is wrong."""
    run = run or Run(plan, folder)
    report = await run.carry_out()
    reports.append(str(report))
    if report.verdict.violations:
        file = folder / "history.json"
        file.write_text(json.dumps(asdict(report.history), default=str))
        reports.append(f"the history: {file}")
    assert report.verdict.violations == [], str(report)
    assert report.troubles == []
    assert set(report.statuses) == {0}
    assert not report.stuck, "a client would not have reconnected by itself"
    return report


@pytest.mark.parametrize("mode", ["recovery", "since"])
async def test_one_server_keeps_its_promises_under_each_fault(mode: str, tmp_path: Path) -> None:
    """Inject every fault once, in an order that the seed decides, with both ways to fill a disk."""
    faults = list(BACKINGS["sqlite"].faults)
    Random(f"{SEED} {mode}").shuffle(faults)
    plan = Plan(SEED, mode, tuple(faults), publishes=300, mounted=mode == "recovery")
    report = await carry_out(plan, tmp_path)
    assert sorted(report.faults) == sorted(faults)
    assert report.disconnects > 10
    assert report.outcomes["log_unavailable"]
    assert (report.verdict.recovered > 10) == (mode == "recovery")


async def test_two_servers_keep_their_promises_under_each_fault(tmp_path: Path) -> None:
    """Over one Valkey, which is killed too. An unreachable Valkey has a test of its own."""
    faults = [
        name for name in BACKINGS["valkey"].faults if name not in ("roll", *UNREACHABLE_LOG_FAULTS)
    ]
    Random(SEED).shuffle(faults)
    plan = Plan(SEED, "recovery", tuple(faults), publishes=300, log="valkey")
    report = await carry_out(plan, tmp_path)
    assert sorted(report.faults) == sorted(faults)
    assert report.verdict.recovered > 10


async def test_a_rolling_restart_recovers_every_session_without_a_gap(tmp_path: Path) -> None:
    """Two servers restart twice. Every session is recovered on the other server, without a gap."""
    plan = Plan(SEED, "recovery", ("roll", "roll"), publishes=300, log="valkey", restless=False)
    report = await carry_out(plan, tmp_path)
    assert report.statuses == [0] * 6, "two restarts and the end, for each server"
    for consumer in report.history.consumers[: plan.socketio]:
        first, *later = [it for it in consumer.records if isinstance(it, Connected)]
        assert later
        assert [first.recovered, *(it.recovered for it in later)] == [False, *(True for _ in later)]
    assert report.verdict.gaps == 0


async def test_no_event_is_lost_without_a_reachable_log(tmp_path: Path) -> None:
    """Publishes are refused or wait. When the log returns, no consumer is told a gap."""
    plan = Plan(
        SEED, "recovery", UNREACHABLE_LOG_FAULTS, publishes=300, log="valkey", restless=False
    )
    report = await carry_out(plan, tmp_path)
    assert report.outcomes["log_unavailable"] >= len(UNREACHABLE_LOG_FAULTS)
    assert report.verdict.gaps == 0


async def test_the_metrics_are_what_the_checker_has_counted(tmp_path: Path) -> None:
    """Over processes that are killed and drained: recoveries, replays, gaps, events, refusals."""
    plan = Plan(SEED, "recovery", ("kill", "drain"), publishes=100, mounted=False, restless=False)
    run = CountedRun(plan, tmp_path)
    report = await carry_out(plan, tmp_path, run)
    expected = seen(report)
    assert {name: run.counted[name] for name in expected} == expected
    assert report.verdict.recovered == 2 * plan.socketio
    assert min(expected.values()) == report.verdict.gaps == 0


@pytest.mark.parametrize("mode", ["recovery", "since"])
async def test_a_long_run(mode: str, tmp_path: Path) -> None:
    """Kill the server ``CHAOS_KILLS`` times, with as many other faults in between."""
    if MODE not in (mode, "both"):
        pytest.skip(f"CHAOS_MODE={MODE}")
    random = Random(f"{SEED} {mode} long")
    faults = ["kill"] * KILLS + random.choices(BACKINGS[LOG].faults, k=KILLS)
    random.shuffle(faults)
    between = max(25, PUBLISHES // max(1, len(faults)))
    plan = Plan(SEED, mode, tuple(faults), PUBLISHES, between, log=LOG, socketio=18, plain=8)
    await carry_out(plan, tmp_path)
