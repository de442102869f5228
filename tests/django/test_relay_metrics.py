"""The metrics of the relay, compared with its outbox."""

from __future__ import annotations

import math
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from furniture_events.django.relay_metrics import METRICS

from tests.django.databases import on_sqlite
from tests.django.pieces import mueble
from tests.django.relays import Relay, site_environment, wait_until_sent
from tests.support.metrics import Figures, documented, scrape
from tests.support.server import Server, readiness, wait_until

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]


def url_of(relay: Relay) -> str:
    """Return the URL of its metrics, without their path."""
    (line,) = relay.wait_for("relay_metrics url=")
    return line.strip().partition("url=")[2].removesuffix("/metrics")


def figures(url: str, expected: str, condition: Callable[[Figures], bool]) -> Figures:
    """Wait until a condition holds for the metrics; return them."""
    found: Figures = wait_until(lambda: condition(it := scrape(url)) and it, expected)
    return found


def test_the_metrics_are_those_of_the_outbox(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """While the broker is down events wait; then two are published, and one is refused."""
    server = start_server()
    server.stop()
    for nombre in ("Mesa", "Silla", ""):
        mueble(autor, nombre=nombre).save()
    relay = start_relay("--metrics", "0", URL=server.url)
    url = url_of(relay)
    assert url.startswith("http://127.0.0.1:")
    down = figures(url, "failures", lambda it: it.of("furniture_relay_failures", "default") > 1)
    assert down.of("furniture_relay_waiting", "default") == 3
    assert 0 < down.of("furniture_relay_oldest_waiting_seconds", "default") < 60
    assert down.of("furniture_relay_drained_total", "default") == 0
    assert down.of("furniture_relay_active", "default") == 1
    start_server(port=server.port)
    wait_until_sent()
    up = figures(url, "no failures", lambda it: not it.of("furniture_relay_failures", "default"))
    assert up.of("furniture_relay_waiting", "default") == 0
    assert up.of("furniture_relay_oldest_waiting_seconds", "default") == 0
    assert up.of("furniture_relay_drained_total", "default") == 2
    assert up.of("furniture_relay_refused", "default") == 1
    assert 0 < up.of("furniture_relay_oldest_refused_seconds", "default") < 60
    assert readiness(url, "/") == 404
    assert relay.stop() == 0
    with pytest.raises(urllib.error.URLError):  # an alert sees the end of the relay
        scrape(url)


@on_sqlite
def test_a_database_that_is_down_is_no_number(database: str) -> None:
    """The failures tell it; a stale count would hide it."""
    down = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/at/all.db"}
    relay = Relay("--metrics", "[::1]:0", environment=site_environment(down, URL="http://b"))
    try:
        url = url_of(relay)
        found = figures(
            url, "failures", lambda it: it.of("furniture_relay_failures", "default") > 0
        )
        assert math.isnan(found.of("furniture_relay_waiting", "default"))
        assert found.of("furniture_relay_active", "default") == 0
    finally:
        relay.kill()


@on_sqlite
def test_a_port_that_is_taken_stops_the_start(db: None, database: str) -> None:
    """The message names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"can't serve the metrics on 127.0.0.1:{port}: "):
            call_command("relay_furniture_events", f"--metrics={port}")


@on_sqlite
@pytest.mark.parametrize("address", ["http", "localhost", "127.0.0.1:", "1:65536", "-1"])
def test_another_text_is_no_address(address: str, database: str) -> None:
    """The message quotes it."""
    with pytest.raises(CommandError, match=f"{address!r} is no port"):
        call_command("relay_furniture_events", f"--metrics={address}")


@on_sqlite
@pytest.mark.parametrize("task", ["--once", "--status"])
def test_a_task_that_ends_has_no_metrics(task: str, database: str) -> None:
    """There would be no time to scrape them."""
    with pytest.raises(CommandError, match="--metrics belongs to a relay that keeps running"):
        call_command("relay_furniture_events", task, "--metrics=9101")


@on_sqlite
def test_the_documentation_has_every_metric_of_the_relay(database: str) -> None:
    """And no other one."""
    assert documented("The relay") == {it.name: f"{it.type} ['database']" for it in METRICS}
