"""A receiver of OpenTelemetry's spans: OTLP over HTTP, decoded, in this process."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.server import wait_until

SENDER = {"OTEL_BSP_SCHEDULE_DELAY": "20"}
"""Variables of a process that sends its spans soon, so that no test waits for five seconds."""


class Span(NamedTuple):
    """A span. Ids are in hexadecimal; ``parent`` is empty if it has none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: str
    start: int
    end: int
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    failed: bool

    @property
    def key(self) -> tuple[str, str]:
        """Return the ids, as they are in links."""
        return self.trace, self.id


class Receiver:
    """The received spans.

    Attributes:
        variables: the environment of a process that sends its spans here.
    """

    def __init__(self, port: int) -> None:
        endpoint = f"http://127.0.0.1:{port}"
        self.variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **SENDER}
        self._spans: list[Span] = []

    def take(self, body: bytes) -> None:
        """Decode the body of a request."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            self._spans += [
                _span(service, span) for scope in resource.scope_spans for span in scope.spans
            ]

    def all(self) -> list[Span]:
        """Return the received spans."""
        return list(self._spans)

    def where(self, condition: Callable[[Span], bool], what: str) -> Span:
        """Wait for a span of which a condition is true; return it."""
        (found,) = wait_until(lambda: list(filter(condition, self.all())), what)
        return found

    def parent(self, span: Span) -> Span:
        """Wait for the parent of a span, which ends later; return it."""
        return self.where(lambda it: it.id == span.parent, f"the parent of {span.name}")

    def find(self, name: str, **attributes: object) -> list[Span]:
        """Return the received spans with a name and attributes; a dot is written as ``__``."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            span
            for span in self.all()
            if span.name == name and wanted.items() <= span.attributes.items()
        ]

    def wait_for(self, name: str, count: int = 1, **attributes: object) -> list[Span]:
        """Wait until there are so many of these spans; return them."""
        found: list[Span] = wait_until(
            lambda: len(it := self.find(name, **attributes)) >= count and it,
            f"{count} spans {name} {attributes}",
        )
        assert len(found) == count
        return found

    def one(self, name: str, **attributes: object) -> Span:
        """Wait for a span; return it."""
        (span,) = self.wait_for(name, 1, **attributes)
        return span


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _span(service: str, span: trace_pb2.Span) -> Span:
    return Span(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        _attributes(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            running.take(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
