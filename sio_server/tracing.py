"""Traces of publishes, with OpenTelemetry. Only a server with ``SIO_TRACING`` imports this module.

Each method of ``Tracing`` takes a function and returns it with a span around its calls. So a server
without tracing calls the function itself, and pays nothing. Sampling, the name of the service and
the receiver of the spans follow from the standard ``OTEL_*`` variables, which OpenTelemetry reads.

A producer's ``traceparent`` counts only if the producer has presented a valid credential. The spans
hold ids, counts and names of errors, but no furniture and no credential.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import EventDict, WrappedLogger

from sio_server.access.principals import Principal
from sio_server.access.sources import Source
from sio_server.contract.errors import ContractError, StartError
from sio_server.contract.events import Event, Receipt, Record, parse_event
from sio_server.eventlog.contract import AppendResult
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse
from sio_server.span_exporter import SpanExporter

SERVICE = "furniture-events-server"
"""The name of the service, unless ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES`` has one."""

PROTOCOL = "http/protobuf"
MAX_TRACEPARENT_CHARACTERS = 128
"""A longer ``traceparent`` is ignored. Version 00 has 55 characters."""

MAX_UNDELIVERED_EVENTS = 10_000
"""How many appended events, which the tail has not delivered yet, may wait for their last span."""

CLOSE_SECONDS = 3.0
"""How long a stopping server waits for the receiver of the spans."""

MESSAGING = {"messaging.system": "furniture_events", "messaging.destination.name": "catalog"}
"""The room ``catalog`` gets every event, so it is the name of the destination."""

STATUS = "http.response.status_code"

Publishing = Callable[[Principal, Event], Coroutine[Any, Any, Receipt]]
Appending = Callable[[Sequence[Event]], Coroutine[Any, Any, list[AppendResult]]]
Delivering = Callable[[Sequence[Record]], list[int]]
_Response = TypeVar("_Response", web.Response, HttpResponse)
Responding = Callable[[HttpRequest, Principal, Source], Coroutine[Any, Any, _Response]]

_propagator = TraceContextTextMapPropagator()
_is_trusted: ContextVar[bool] = ContextVar("_is_trusted", default=False)
"""Whether the producer of the present request has presented a valid credential."""


@dataclass(frozen=True)
class TracedEvent(Event):
    """An event with the context of the span in which its producer has made it."""

    created_in: SpanContext


class Undelivered(NamedTuple):
    """An appended event until it is delivered: the contexts of its earlier spans."""

    appended_in: SpanContext
    created_in: SpanContext | None


class Tracing:
    """The spans of one server. It begins to send them at once.

    Raises:
        StartError: a variable ``OTEL_*`` asks for something that this server cannot do.
    """

    def __init__(self, version: str) -> None:
        _check_protocol()
        resource = Resource.create({SERVICE_VERSION: version})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(SpanExporter(self.receiver)))
        self._tracer = self._provider.get_tracer("sio_server", version)
        self._undelivered: dict[str, Undelivered] = {}

    @property
    def receiver(self) -> str:
        """The host that gets the spans."""
        names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        url = next(filter(None, map(os.environ.get, names)), "http://localhost:4318")
        return urlsplit(url).netloc.rpartition("@")[2]  # a URL may hold a password

    @property
    def service(self) -> str:
        """The name under which the spans of this server are found."""
        return str(self._provider.resource.attributes[SERVICE_NAME])

    def close(self) -> None:
        """Send the last spans, for at most ``CLOSE_SECONDS``."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)

    def request(self, respond: Responding[_Response]) -> Responding[_Response]:
        """Trace the requests of producers. Their traces continue, if they may be trusted."""

        async def traced(request: HttpRequest, principal: Principal, source: Source) -> _Response:
            trusted = _is_trusted.set(principal.is_producer)
            given = request.headers.getall("traceparent", [])
            context = Context()
            if principal.is_producer and len(given) == 1:
                context = _read_context(given[0], request.headers.get("tracestate"))
            attributes = {"http.request.method": request.method, "http.route": request.path}
            try:
                with self._span(
                    f"{request.method} {request.path}", SpanKind.SERVER, attributes, context
                ) as span:
                    try:
                        response = await respond(request, principal, source)
                    except ContractError as error:
                        span.set_attribute(STATUS, error.status)
                        raise
                    span.set_attribute(STATUS, response.status)
                    return response
            finally:
                _is_trusted.reset(trusted)

        return traced

    def parse_event(self, message: Any) -> Event:
        """Do as ``parse_event`` of the contract, and keep the ``traceparent`` of an event."""
        event = parse_event(message)
        given = message.get("traceparent")
        if not _is_trusted.get() or not isinstance(given, str):
            return event
        created_in = trace.get_current_span(_read_context(given)).get_span_context()
        if not created_in.is_valid:
            return event
        return TracedEvent(event.type, event.furniture, event.id, created_in)

    def publish(self, publish: Publishing) -> Publishing:
        """Trace the publishes over Socket.IO and plain WebSocket, each in a trace of its own."""

        async def traced(principal: Principal, event: Event) -> Receipt:
            attributes = _messaging("publish", event.id)
            with self._span("publish catalog", SpanKind.SERVER, attributes, Context()):
                return await publish(principal, event)

        return traced

    def append(self, append: Appending) -> Appending:
        """Trace the appends, each with its wait for the log and its commit."""

        async def traced(events: Sequence[Event]) -> list[AppendResult]:
            attributes = {**_messaging("append"), "messaging.batch.message_count": len(events)}
            with self._span("append catalog", SpanKind.INTERNAL, attributes) as span:
                waiting = self._expect(events, span.get_span_context())
                appended: set[str] = set()
                try:
                    results = await append(events)
                    appended = {
                        _key(it.id)
                        for it in results
                        if isinstance(it, Receipt) and not it.duplicate
                    }
                finally:
                    for key, undelivered in waiting.items():
                        if key not in appended and self._undelivered.get(key) is undelivered:
                            del self._undelivered[key]
                span.set_attribute("furniture_events.appended", len(appended))
            return results

        return traced

    def _expect(self, events: Sequence[Event], appended_in: SpanContext) -> dict[str, Undelivered]:
        """Note the contexts of events that somebody may look at."""
        waiting: dict[str, Undelivered] = {}
        for event in events:
            created_in = event.created_in if isinstance(event, TracedEvent) else None
            is_sampled = created_in is not None and created_in.trace_flags.sampled
            if is_sampled or appended_in.trace_flags.sampled:
                key = _key(event.id)
                waiting[key] = Undelivered(appended_in, created_in)
                self._undelivered.setdefault(key, waiting[key])
        while len(self._undelivered) > MAX_UNDELIVERED_EVENTS:
            del self._undelivered[next(iter(self._undelivered))]
        return waiting

    def deliver(self, deliver: Delivering) -> Delivering:
        """Trace the delivery of each event of this server, from its commit to its last write."""

        def traced(records: Sequence[Record]) -> list[int]:
            with ExitStack() as spans:
                own = [self._delivery(record, spans) for record in records]
                counts = deliver(records)
                for span, count in zip(own, counts, strict=True):
                    if span is not None:
                        span.set_attribute("furniture_events.consumers", count)
            return counts

        return traced

    def _delivery(self, record: Record, spans: ExitStack) -> Span | None:
        """Begin the span of a delivery; None if the event is not of this server, or not traced."""
        undelivered = self._undelivered.pop(record.id, None) if self._undelivered else None
        if undelivered is None:
            return None
        seconds = 0.0 if record.committed_at is None else time.monotonic() - record.committed_at
        attributes = {
            **_messaging("deliver", record.id),
            "furniture_events.type": record.type,
            "furniture_events.offset": str(record.offset),
        }
        parent, links = _family(undelivered)
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        began = time.time_ns() - int(seconds * 1e9)
        return spans.enter_context(
            self._span("deliver catalog", SpanKind.INTERNAL, attributes, context, links, began)
        )

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        context: Context | None = None,
        links: Sequence[Link] = (),
        start_time: int | None = None,
    ) -> Iterator[Span]:
        """Run a block in a span. An error's code is an attribute; only a failure is an error."""
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                code = error.code if isinstance(error, ContractError) else type(error).__name__
                span.set_attribute("error.type", code)
                if not isinstance(error, ContractError) or error.status >= 500:
                    span.set_status(StatusCode.ERROR)
                raise


def add_trace_id(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the ids of the present span to a log line."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(context.trace_id))
        event.setdefault("span_id", trace.format_span_id(context.span_id))
    return event


def _check_protocol() -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if os.environ.get(name, PROTOCOL) != PROTOCOL:
            raise StartError(f"{name}: this server sends its spans with {PROTOCOL} only")


def _read_context(traceparent: str, tracestate: str | None = None) -> Context:
    """Return the context that a producer has sent; an empty one if it is not well-formed."""
    if len(traceparent) > MAX_TRACEPARENT_CHARACTERS:
        return Context()
    carrier = {"traceparent": traceparent, "tracestate": tracestate or ""}
    return _propagator.extract(carrier, Context())


def _family(undelivered: Undelivered) -> tuple[SpanContext, list[Link]]:
    """Return the parent of an event's last span, and the links to the other earlier spans.

    A request can carry events of many traces, and it belongs to one of them. So an event of another
    trace has its last span in its own trace.
    """
    appended_in, created_in = undelivered
    if created_in is None:
        return appended_in, []
    if created_in.trace_id == appended_in.trace_id:
        return appended_in, [Link(created_in)]
    return created_in, [Link(appended_in)]


def _messaging(operation: str, id: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {**MESSAGING, "messaging.operation.name": operation}
    return found if id is None else {**found, "messaging.message.id": id}


def _key(id: str) -> str:
    """Return an event's id as it is in the JSON of its record."""
    return json.dumps(id)[1:-1]
