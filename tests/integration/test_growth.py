"""The growth of costs and the capacity model. No test checks how fast anything is."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import filling, growth, growth_connections, growth_log
from benchmarks.capacity import Costs, Demand, Limits, at_rate, plan, use
from benchmarks.filling import Content, fill
from benchmarks.growth import CURVES
from benchmarks.http import Requester
from benchmarks.servers import running
from benchmarks.storage import storage_in

COSTS = Costs(
    delivery=1e-5,
    publish=(3e-3, 2e-3, 1e-3, 4e-4),
    follow=(1e-3, 8e-4, 4e-4, 2e-4),
    idle=5e-6,
    connect=1e-3,
    background=0.01,
    valkey_publish=(1e-3, 8e-4, 4e-4, 1e-4),
    valkey_follow=1e-5,
    valkey_touch=3e-6,
    valkey_connect=1e-4,
    valkey_background=1e-4,
    consumer_bytes=14_000,
    session_bytes=1_000,
    event_bytes=1_500,
    node_bytes=60_000_000,
)

MAY_BE_ZERO = ("KiB", "kernel KiB", "idle")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each point small and brief."""
    for name, value in {
        "ROOM_CLIENTS": 20,
        "ROOM_EVENTS": 200,
        "DELIVERIES": 100,
        "SETTLE_SECONDS": 0.0,
        "PING_INTERVAL": 0.2,
    }.items():
        monkeypatch.setattr(growth_connections, name, value)
    monkeypatch.setattr(growth_log, "CLIENTS", 5)
    monkeypatch.setattr(growth_log, "BATCHES", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("name", "size"), [("clients", 10), ("rooms", 40), ("events", 200)])
def test_a_point_of_a_curve_has_figures(
    name: str, size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints a table of positive figures; some may be zero after so little work."""
    main(["--only", name, "--sizes", str(size), "--folder", str(tmp_path)])
    _, title, _, row = capsys.readouterr().out.splitlines()
    columns, cells = (line.strip("| ").split(" | ") for line in (title, row))
    assert columns[0] == f"{name}: {CURVES[name].at}"
    assert len(columns) == len(cells) > 2
    for column, cell in zip(columns[1:], cells[1:], strict=True):
        value = float(cell.replace(",", ""))
        assert value > 0 or (value == 0 and column.startswith(MAY_BE_ZERO)), column
    for _, _, plotted in CURVES[name].plots:
        assert set(plotted) <= set(columns)


def main(arguments: list[str]) -> None:
    """Run the command, and leave this process on its cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["growth", *arguments])
        patch.setattr(growth.servers, "pin", lambda core: None)
        growth.main()


def test_a_log_is_filled_further_and_a_server_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events that are copied have their own ids, and the server continues behind them."""
    monkeypatch.setattr(filling, "COPIED_EVENTS", 10)
    with storage_in(tmp_path, "ours") as storage:
        assert fill(storage, Content(events=10, pieces=4, sessions=3))
        assert not fill(storage, Content(events=35), seconds=0)
        assert fill(storage, Content(events=35))
        with running("ours", storage=storage) as server, closing(Requester(server.port)) as client:
            events = client.get("/api/events?limit=100")["events"]
            pieces = client.get("/api/furniture")["items"]
    assert len({event["id"] for event in events}) == len(events) == 35
    assert [int(event["offset"].rpartition("-")[2]) for event in events] == list(range(1, 36))
    assert len(pieces) == 4
    assert "furniture" in json.dumps(pieces)


def test_a_plan_has_as_few_nodes_as_the_limits_allow() -> None:
    """With one node less, a limit is exceeded."""
    demand = Demand(consumers=100_000, publishes=10, fan_out=100_000)
    nodes, found = plan(COSTS, demand, Limits())
    assert found.fits
    assert nodes > 5
    assert not use(COSTS, demand, Limits(), nodes - 1).fits


def test_a_plan_names_the_limit_that_no_number_of_nodes_mends() -> None:
    """Valkey has one core, and each node reads every event from it."""
    many = Demand(10_000_000, 1, 10_000_000)
    nodes, found = plan(COSTS, many, Limits())
    assert found.of_node <= 1 < found.valkey_core
    assert found.bend == "valkey core"
    cheap = replace(COSTS, valkey_touch=0, valkey_connect=0)
    assert use(cheap, many, Limits(), nodes).valkey_core < found.valkey_core


def test_an_event_costs_less_if_more_events_come() -> None:
    """Between two measured rates the cost is between theirs; beyond them it is that of the last."""
    costs = [at_rate(COSTS.publish, rate) for rate in (0, 1, 50, 75, 150, 300, 500, 3_000, 9_000)]
    assert costs == pytest.approx(sorted(costs, reverse=True))
    assert costs[:3] == [pytest.approx(3e-3)] * 3
    assert 75 * costs[3] == pytest.approx((50 * 3e-3 * 3 + 150 * 2e-3) / 4)
    assert costs[-2:] == [pytest.approx(4e-4)] * 2


def test_a_plan_ends_if_each_event_is_too_much_for_every_node() -> None:
    """Each node follows all events, so that more nodes do not help."""
    nodes, found = plan(COSTS, Demand(1_000, 10_000, 1), Limits())
    assert found.of_node > 1
    assert nodes < 1_000
