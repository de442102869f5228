"""The metrics of a relay, over HTTP, in Prometheus's text format.

A scrape counts the outbox itself, in a thread of its own. So the figures are right even if the
relay hangs, and no scrape gets an answer if the relay has ended.
"""

import logging
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, NamedTuple

from django.db import Error, connections

from furniture_events.django import outbox
from furniture_events.django.relay import Relay

__all__ = ["METRICS", "serve_metrics"]

_logger = logging.getLogger("furniture_events.django")

_REQUEST_SECONDS = 5.0
"""How long a client may take to send its request. Others wait meanwhile."""


class Metric(NamedTuple):
    """A metric: its name, its type and its meaning. Each has the label ``database``."""

    name: str
    type: str
    text: str


METRICS = (
    Metric("furniture_relay_waiting", "gauge", "Rows of the outbox that wait."),
    Metric("furniture_relay_oldest_waiting_seconds", "gauge", "How long the oldest of them waits."),
    Metric("furniture_relay_refused", "gauge", "Rows that the broker has refused permanently."),
    Metric("furniture_relay_oldest_refused_seconds", "gauge", "The age of the oldest of them."),
    Metric("furniture_relay_drained_total", "counter", "Rows that this relay has published."),
    Metric(
        "furniture_relay_failures", "gauge", "Failures in a row, of the broker or the database."
    ),
    Metric("furniture_relay_active", "gauge", "1: this relay drains the outbox. 0: it stands by."),
)


@contextmanager
def serve_metrics(relay: Relay, host: str, port: int) -> Iterator[str]:
    """Serve the metrics of a relay in a thread; yield their URL.

    Args:
        relay: the relay of this process.
        host: the address to listen on.
        port: the port; 0: any free one.

    Raises:
        OSError: the port cannot be used.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND, "the metrics are at /metrics")
                return
            body = _render(relay).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "furniture_events"

        def log_message(self, format: str, *args: Any) -> None:
            _logger.debug("relay_metrics %s", format % args)

    class Server(TCPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        allow_reuse_address = True

    with Server((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        shown = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{shown}:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


def _render(relay: Relay) -> str:
    """Return the text of the metrics. What the database does not tell now is ``NaN``."""
    try:
        waiting, oldest, refused, oldest_refused = outbox.status(relay.database)
        counts = [waiting, _seconds(oldest), refused, _seconds(oldest_refused)]
    except Error as error:
        _logger.warning("relay_metrics_without_database reason=%r", str(error))
        counts = [math.nan] * 4
    finally:
        connections[relay.database].close()  # of this thread
    values = [*counts, relay.drained, relay.failures, int(relay.is_active)]
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
        f'{name}{{database="{_escaped(relay.database)}"}} {value}\n'
        for (name, kind, text), value in zip(METRICS, values, strict=True)
    )


def _seconds(age: timedelta | None) -> float:
    return 0.0 if age is None else max(0.0, age.total_seconds())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
