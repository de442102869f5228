"""The metrics: each server has its own registry, and labels have few values."""

from __future__ import annotations

from sio_server.metrics import TRANSPORTS, Metrics


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
