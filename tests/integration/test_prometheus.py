"""A real Prometheus scrapes a server and a relay, and reads every rule and every panel."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import tests.django.site_process  # noqa: F401 isort: skip - it sets up Django

from tests.conftest import load_vectors
from tests.django.relays import Relay, site_environment
from tests.support.metrics import documented
from tests.support.prometheus import FOLDER, Prometheus, prometheus, promtool
from tests.support.server import ROOT, TIMEOUT, Server, free_ports, wait_until

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


ROWS = """
from datetime import timedelta
from django.core.management import call_command
from django.utils import timezone
from furniture_events.django.models import OutboxEvent

call_command("migrate", "furniture_events", verbosity=0)
before = timezone.now() - timedelta(minutes=2)
event = '{"type":"furniture_created","furniture":{},"id":"1"}'  # only a broker refuses it
common = {"type": "furniture_created", "event": event}
OutboxEvent.objects.create(furniture_id="1", created_at=before, **common)
OutboxEvent.objects.create(furniture_id="2", error="refused", **common)
"""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Run a relay whose broker is down, over an outbox with a late row and a refused row."""
    file = tmp_path_factory.mktemp("site") / "site.db"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    environment = site_environment(database, URL=f"http://127.0.0.1:{free_ports(1)[0]}")
    prepared = Relay(environment=environment, program=("-c", ROWS))
    assert prepared.wait() == 0, prepared.output
    running = Relay("--metrics", "0", environment=environment)
    yield running
    running.kill()


@pytest.fixture(scope="module")
def scraping(
    server: Server, relay: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Run Prometheus over the server and the relay."""
    (line,) = relay.wait_for("relay_metrics url=")
    targets = {8765: server.host, 9101: urlsplit(line.strip().partition("url=")[2]).netloc}
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        running.wait_for("count_over_time(sio_ready[1m]) > 2")
        running.wait_for("count_over_time(furniture_relay_active[1m]) > 2")
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


def alerts(scraping: Prometheus) -> set[str]:
    """Return the names of the present alerts."""
    return {series["metric"]["alertname"] for series in scraping.query("ALERTS")}


def test_every_panel_shows_the_server_and_the_relay(scraping: Prometheus) -> None:
    """Prometheus reads each expression, and finds values."""
    for expression in expressions():
        assert scraping.query(expression), expression


def test_a_relay_without_its_broker_alerts_somebody(scraping: Prometheus) -> None:
    """A row is late, and one was refused. The server is well, and so are all rules."""
    for alert in ("FurnitureOutboxWaits", "FurnitureEventsRefused"):
        scraping.wait_for(f'ALERTS{{alertname="{alert}"}}')
    assert alerts(scraping) == {"FurnitureOutboxWaits", "FurnitureEventsRefused"}
    rules = json.loads(scraping.get("/api/v1/rules"))["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}


def test_a_relay_that_has_ended_is_another_alert(scraping: Prometheus, relay: Relay) -> None:
    """Its last figures no longer count."""
    relay.kill()
    scraping.wait_for('ALERTS{alertname="FurnitureRelayDown"}')
    wait_until(lambda: alerts(scraping) == {"FurnitureRelayDown"}, "only this alert")
