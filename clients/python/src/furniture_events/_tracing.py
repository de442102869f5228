"""Traces of publishes, with OpenTelemetry. Imported only if tracing is on.

If the process has set up OpenTelemetry, its tracer provider gets the spans. Otherwise this module
makes one, which sends to the receiver that the standard ``OTEL_*`` variables name. The spans hold
ids, counts and names of errors, but no furniture and no key.
"""

import atexit
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from furniture_events._encoding import EncodedEvent
from furniture_events._http import AsyncPool, Pool
from furniture_events._wire import Answer, Outcome, Send

__all__ = ["TracedAsyncPool", "TracedEvent", "TracedPool", "creating", "set_service"]

_PROTOCOL = "http/protobuf"
_CLOSE_SECONDS = 3.0
_MESSAGING = {"messaging.system": "furniture_events", "messaging.destination.name": "catalog"}
_TRACEPARENT = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_logger = logging.getLogger("furniture_events")
_propagator = TraceContextTextMapPropagator()
_service = "furniture-events-producer"


@dataclass(frozen=True, slots=True)
class TracedEvent(EncodedEvent):
    """An event with the context of the span in which it was made, as a W3C ``traceparent``.

    The body has it beside the event's own keys, where the broker looks for it.
    """

    traceparent: str

    @classmethod
    def of(cls, event: EncodedEvent, traceparent: str) -> EncodedEvent:
        """Add the context to an event, unless it is not well-formed."""
        if not _TRACEPARENT.fullmatch(traceparent):
            return event
        body = event.body[:-1] + f',"traceparent":"{traceparent}"}}'.encode()
        return cls(event.id, body, traceparent)

    @property
    def context(self) -> trace.SpanContext:
        """The context of the span."""
        found = _propagator.extract({"traceparent": self.traceparent}, Context())
        return trace.get_current_span(found).get_span_context()


def set_service(name: str) -> None:
    """Name the service of this process before its first span, unless ``OTEL_*`` names it."""
    global _service  # noqa: PLW0603 - one process is one service
    _service = name


@contextmanager
def creating(events: Sequence[EncodedEvent]) -> Iterator[str | None]:
    """Make a span of the block that stores these events, to be sent later.

    Returns:
        The span's ``traceparent``, to be stored with the events. None if there is no span.
    """
    span = _tracer().start_span(
        "create catalog",
        kind=SpanKind.PRODUCER,
        attributes={**_messaging("create"), **_size(events)},
    )
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span, Context()))
    try:
        yield carrier.get("traceparent")
    except BaseException as error:
        _fail(span, error)
        raise
    finally:
        span.end()


class TracedPool:
    """A pool with a span around each request that publishes events.

    Args:
        pool: the pool.
        url: the broker's URL.
    """

    def __init__(self, pool: Pool, url: str) -> None:
        self._pool = pool
        self._server = _server(url)
        self.close = pool.close

    def exchange(self, send: Send) -> Outcome:
        """Send the request once; return the whole answer, or the error instead of it."""
        with _Publishing(send, self._server) as publishing:
            return publishing.end(self._pool.exchange(publishing.send))


class TracedAsyncPool:
    """As ``TracedPool``, for asyncio."""

    def __init__(self, pool: AsyncPool, url: str) -> None:
        self._pool = pool
        self._server = _server(url)
        self.aclose = pool.aclose

    async def exchange(self, send: Send) -> Outcome:
        """Send the request once; return the whole answer, or the error instead of it."""
        with _Publishing(send, self._server) as publishing:
            return publishing.end(await self._pool.exchange(publishing.send))


class _Publishing:
    """The span of one request. A request without events has none.

    The request belongs to the trace of the code that publishes. A relay has no such trace: there,
    it belongs to the trace of its first sampled event. It links to the spans of all its events.
    """

    def __init__(self, send: Send, server: Mapping[str, Any]) -> None:
        self.send = send
        self._span: Span = trace.INVALID_SPAN
        events = send.request.events
        if not events:
            return
        traced = {it.traceparent: it for it in events if isinstance(it, TracedEvent)}
        contexts = [it.context for it in traced.values()]
        parent = trace.get_current_span()
        if contexts and not parent.get_span_context().is_valid:
            sampled = (it for it in contexts if it.trace_flags.sampled)
            parent = trace.NonRecordingSpan(next(sampled, contexts[0]))
        self._span = _tracer().start_span(
            "publish catalog",
            trace.set_span_in_context(parent),
            # By the conventions for messages: only a span whose context goes with the events is
            # their producer.
            SpanKind.CLIENT if contexts else SpanKind.PRODUCER,
            {**_messaging("publish"), **_size(events), **server},
            [Link(context) for context in contexts],
        )
        headers = dict(send.request.headers)
        _propagator.inject(headers, trace.set_span_in_context(self._span))
        self.send = replace(send, request=replace(send.request, headers=headers))

    def __enter__(self) -> Self:
        return self

    def end(self, outcome: Outcome) -> Outcome:
        """Note the outcome, and return it."""
        if isinstance(outcome, Answer):
            self._span.set_attribute("http.response.status_code", outcome.status)
            if outcome.status >= 400:  # noqa: PLR2004 - the first status of an error
                self._span.set_attribute("error.type", str(outcome.status))
                self._span.set_status(StatusCode.ERROR)
        else:
            _fail(self._span, outcome)
        return outcome

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            _fail(self._span, error)
        self._span.end()


def _messaging(operation: str) -> dict[str, Any]:
    return {
        **_MESSAGING,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _size(events: Sequence[EncodedEvent]) -> dict[str, Any]:
    """Return the id of one event, or the number of several."""
    if len(events) == 1:
        return {"messaging.message.id": events[0].id}
    return {"messaging.batch.message_count": len(events)}


def _fail(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


def _server(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return {"server.address": parts.hostname, "server.port": port}


def _tracer() -> trace.Tracer:
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # the process has set up none
        provider = _own_provider()
    return provider.get_tracer("furniture_events")


@cache
def _own_provider() -> trace.TracerProvider:
    """Make the provider of this process, as the variables ``OTEL_*`` say.

    If they name another protocol, it makes no spans: tracing must never stop a save.
    """
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if os.environ.get(name, _PROTOCOL) != _PROTOCOL:
            _logger.warning("tracing_off variable=%s must_be=%s", name, _PROTOCOL)
            return trace.NoOpTracerProvider()
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    atexit.register(_send_last, provider)
    return provider


def _send_last(provider: TracerProvider) -> None:
    """Send the last spans, for a bounded time, also if nobody takes them."""
    sending = threading.Thread(target=provider.shutdown, daemon=True)
    sending.start()
    sending.join(_CLOSE_SECONDS)
