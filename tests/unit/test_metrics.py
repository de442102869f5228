"""The metrics: each server has its own registry, and labels have few values."""

from __future__ import annotations

import math

from sio_server.metrics import TRANSPORTS, Metrics
from tests.support.metrics import documented, labels_of, parse


def test_each_server_counts_for_itself() -> None:
    """Two servers in one process do not share counters."""
    one, other = Metrics(), Metrics()
    one.delivered.inc(3)
    assert b"sio_deliveries_total 3.0" in one.render()
    assert b"sio_deliveries_total 0.0" in other.render()


def test_every_transport_is_shown_from_the_start() -> None:
    """A dashboard can tell zero from absent."""
    text = Metrics().render().decode()
    assert all(f'sio_connections{{transport="{name}"}} 0.0' in text for name in TRANSPORTS)


def test_no_creation_times_are_exported() -> None:
    """They would double the number of series."""
    assert b"_created" not in Metrics().render()


def test_the_documentation_has_every_metric_with_its_type_and_labels() -> None:
    """And no other one. An operator looks up a name there."""
    assert documented("The server") == labels_of(Metrics().registry)


def test_a_log_that_cannot_be_asked_has_no_figures() -> None:
    """A stale figure would hide the failure, and 0 would be wrong."""
    metrics = Metrics()
    metrics.log_events.set(7)
    metrics.forget_log()
    figures = parse(metrics.render().decode())
    for name in ("sio_log_events", "sio_tail_lag_events", "sio_sessions_kept"):
        assert math.isnan(figures.of(name)), name
