"""The Prometheus metrics, in their own registry. No label has a value that a client chose."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRANSPORTS = ("socketio", "websocket", "sse")


class Metrics:
    """The server's counters."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.published = Counter(
            "sio_events_published_total",
            "Acknowledged events, by type, and whether they were duplicates.",
            ("type", "duplicate"),
            registry=self.registry,
        )
        self.refused = Counter(
            "sio_commands_refused_total",
            "Commands that were answered with an error, by the error's code.",
            ("code",),
            registry=self.registry,
        )
        self.delivered = Counter(
            "sio_deliveries_total",
            "Events written to consumers, live or replayed.",
            registry=self.registry,
        )
        self.parked = Counter(
            "sio_consumers_parked_total",
            "Times that a slow consumer was parked.",
            registry=self.registry,
        )
        connections = Gauge(
            "sio_connections",
            "Open connections, by transport.",
            ("transport",),
            registry=self.registry,
        )
        self.connections = {name: connections.labels(name) for name in TRANSPORTS}

    def deliveries(self) -> int:
        """Return the number of deliveries since the start."""
        (metric,) = self.delivered.collect()
        return int(metric.samples[0].value)

    def render(self) -> bytes:
        """Return the text of ``/metrics``."""
        return generate_latest(self.registry)
