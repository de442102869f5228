"""A real Prometheus scrapes a server, and reads every rule and every panel of the dashboard."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import load_vectors
from tests.support.metrics import documented
from tests.support.prometheus import FOLDER, Prometheus, prometheus, promtool
from tests.support.server import ROOT, TIMEOUT, Server, free_ports

DASHBOARD = ROOT / "deploy" / "grafana" / "furniture-events.json"
GOOD: dict[str, Any] = load_vectors("events.json")[0]["publish"]

OWN = {*documented("The server"), *documented("The relay")}
"""Other tests compare the documentation with the code."""


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """Return the expressions of all panels, with values for Grafana's variables."""
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        for panel in panels()
        for target in panel["targets"]
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with an event in its log."""
    running = Server(tmp_path_factory.mktemp("server"), event_log="sqlite:///events.db")
    request = urllib.request.Request(
        f"{running.url}/api/events",
        json.dumps(GOOD).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=TIMEOUT).close()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def scraping(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run Prometheus over the server, and over a relay that has ended."""
    targets = {8765: server.host, 9101: f"127.0.0.1:{free_ports(1)[0]}"}
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        running.wait_for("count_over_time(sio_ready[1m]) > 2")
        yield running


def test_the_rules_are_sound_and_each_alert_fires_when_it_must() -> None:
    """And none while all is well."""
    promtool("check", "config", str(FOLDER / "prometheus.yml"))
    output = promtool("test", "rules", str(FOLDER / "alerts.test.yml"))
    assert "SUCCESS" in output
    alerts = set(re.findall(r"alert: (\w+)", (FOLDER / "alerts.yml").read_text()))
    tested = set(re.findall(r'alertname="(\w+)"', (FOLDER / "alerts.test.yml").read_text()))
    assert alerts == tested


def test_the_metrics_follow_the_rules_of_prometheus(server: Server) -> None:
    """Their names, types and texts."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=TIMEOUT) as answer:
        assert promtool("check", "metrics", text=answer.read().decode()) == ""


def test_every_metric_of_the_rules_and_of_the_dashboard_exists() -> None:
    """A misspelt name would never alert, and show an empty panel."""
    texts = [(FOLDER / "alerts.yml").read_text(), *expressions()]
    named = {name for text in texts for name in re.findall(r"\b(?:sio|furniture)_\w+", text)}
    plain_names = {re.sub("_(bucket|count|sum)$", "", name) for name in named}
    assert plain_names - OWN == set()
    assert OWN - plain_names == set(), "each metric is on the dashboard"


def test_every_panel_shows_the_server(scraping: Prometheus) -> None:
    """Prometheus reads each expression. Those of the server have values, those of a relay none."""
    for expression in expressions():
        series = scraping.query(expression)
        assert bool(series) == ("furniture_relay" not in expression), expression


def test_a_server_that_is_well_alerts_nobody(scraping: Prometheus) -> None:
    """The relay that has ended is an alert."""
    scraping.wait_for('ALERTS{alertname="FurnitureRelayDown"}')
    names = {series["metric"]["alertname"] for series in scraping.query("ALERTS")}
    assert names == {"FurnitureRelayDown"}
    rules = json.loads(scraping.get("/api/v1/rules"))["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}
