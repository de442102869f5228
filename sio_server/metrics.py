"""The Prometheus metrics, in their own registry. No label has a value that a client chose.

``docs/metrics.md`` explains each of them, and a test compares the two.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRANSPORTS = ("socketio", "websocket", "sse")

SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""The bounds of the histograms' buckets."""

REFUSALS = (
    *("max_connections", "max_connections_per_address", "connect_rate"),
    *("unauthorized", "token_expired", "forbidden", "shutting_down", "log_unavailable"),
)
"""Usual reasons to refuse a connection: settings without their prefix, and codes of errors."""


class Metrics:
    """The figures of one server.

    Args:
        version: the server's version.
        event_log: the kind of its event log.
    """

    def __init__(self, version: str = "", event_log: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._gauge(
            "sio_build_info",
            "Always 1; the labels say which server this is.",
            ("version", "python", "event_log"),
        ).labels(version, platform.python_version(), event_log).set(1)

        # The way in.
        self.published = self._counter(
            "sio_events_published_total",
            "Acknowledged events, by type, and whether they were duplicates.",
            ("type", "duplicate"),
        )
        self._published: dict[tuple[str, bool], Counter] = {}  # to look up a label costs time
        self.publish_seconds = self._histogram(
            "sio_publish_seconds", "How long the log took to store the events of one request."
        )
        self.refused = self._counter(
            "sio_commands_refused_total",
            "Commands that were answered with an error, by the error's code.",
            ("code",),
        )

        # The way out.
        self.delivered = self._counter(
            "sio_deliveries_total", "Events written to consumers, live or replayed."
        )
        self.replayed = self._counter(
            "sio_events_replayed_total",
            "Events written to consumers that were not live: after a reconnect, or parked.",
        )
        self.commit_to_write = self._histogram(
            "sio_commit_to_write_seconds",
            "How long after its commit an event was written to all live consumers.",
        )
        self.tail_lag = self._gauge(
            "sio_tail_lag_events", "Events in the log that this server has not delivered yet."
        )

        # Consumers.
        connections = self._gauge(
            "sio_connections", "Open connections, by transport.", ("transport",)
        )
        self.connections = {name: connections.labels(name) for name in TRANSPORTS}
        self.connections_refused = self._counter(
            "sio_connections_refused_total",
            "Connections that were refused, by the setting or by the error's code.",
            ("reason",),
        )
        self.show_from_start(self.connections_refused, REFUSALS)
        self.recoveries = self._counter(
            "sio_recoveries_total", "Consumers that came back, by what they got.", ("result",)
        )
        self.gaps = self._counter(
            "sio_gaps_total", "Gaps that consumers were told of, by cause.", ("cause",)
        )
        self.parked = self._counter(
            "sio_consumers_parked_total", "Times that a slow consumer was parked."
        )
        self.parked_now = self._gauge(
            "sio_parked_consumers", "Slow consumers that are parked at this moment."
        )
        self.sessions_kept = self._gauge(
            "sio_sessions_kept", "Sessions that the log keeps for consumers that have left."
        )

        # The log.
        self.ready = self._gauge(
            "sio_ready", "1 if /readyz answers 200: the log takes events, and no drain has begun."
        )
        self.log_events = self._gauge("sio_log_events", "Events in the log.")
        self.log_oldest_age = self._gauge(
            "sio_log_oldest_age_seconds", "The age of the log's oldest event; 0 if it has none."
        )

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=SECONDS_BUCKETS)

    def count_published(self, type: str, duplicate: bool, count: int) -> None:
        """Count acknowledged events."""
        counter = self._published.get((type, duplicate))
        if counter is None:
            counter = self.published.labels(type, str(duplicate).lower())
            self._published[type, duplicate] = counter
        counter.inc(count)

    @staticmethod
    def show_from_start(counter: Counter, *values: Iterable[str]) -> None:
        """Show a counter as 0: absent is not 0 for an alert.

        Args:
            counter: the counter.
            values: the values of each of its labels.
        """
        for each in product(*values):
            counter.labels(*each)

    def forget_log(self) -> None:
        """Note that the log's figures are unknown: it cannot be asked."""
        for gauge in (self.tail_lag, self.sessions_kept, self.log_events, self.log_oldest_age):
            gauge.set(math.nan)

    def deliveries(self) -> int:
        """Return the number of deliveries since the start."""
        (metric,) = self.delivered.collect()
        return int(metric.samples[0].value)

    def render(self) -> bytes:
        """Return the text of ``/metrics``."""
        return generate_latest(self.registry)
