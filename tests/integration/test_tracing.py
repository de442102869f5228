"""The traces of a server, as a receiver of OpenTelemetry gets them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from furniture_events import AsyncProducer, Producer
from furniture_events._tracing import _own_provider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from tests.conftest import load_vectors
from tests.support.otlp import SENDER, Receiver, Span, receiver
from tests.support.raw import plain, raw_socketio
from tests.support.server import ROOT, TIMEOUT, Server, free_ports, start_expecting_failure

GOOD: dict[str, Any] = load_vectors("events.json")[0]["publish"]
KEY = "a-key-of-a-producer"
TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "1bf7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture(scope="module")
def spans() -> Iterator[Receiver]:
    """Run a receiver."""
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def server(spans: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that sends its spans there, and stores its events on a disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in spans.variables.items():
            patch.setenv(name, value)
        running = Server(
            tmp_path_factory.mktemp("tracing"),
            event_log="sqlite:///events.db",
            producer_keys=f"site:{KEY}",
            tracing=True,
        )
    yield running
    assert running.stop() == 0


async def post(
    server: Server, body: Any, *, path: str = "", key: str | None = KEY, **headers: str
) -> int:
    """Publish; return the status."""
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/events{path}", json=body) as answer,
    ):
        return answer.status


def chain(spans: Receiver, id: str) -> tuple[Span, Span, Span]:
    """Return the spans of an event that was published alone: request, append and delivery."""
    delivered = spans.one("deliver catalog", messaging__message__id=id)
    appended = spans.parent(delivered)
    return spans.parent(appended), appended, delivered


async def test_a_request_continues_the_trace_of_its_producer(
    server: Server, spans: Receiver
) -> None:
    """Request, append and delivery are spans below each other, and the log lines name the trace."""
    async with plain(f"{server.ws_url}/ws") as consumer:
        assert await post(server, GOOD | {"id": "one"}, traceparent=TRACEPARENT) == 201
        await consumer.receive()
    request, appended, delivered = chain(spans, "one")
    assert [it.trace for it in (request, appended, delivered)] == [TRACE] * 3
    assert (request.name, request.parent, request.kind) == ("POST /api/events", SPAN, "SERVER")
    assert request.attributes["http.response.status_code"] == 201
    assert appended.attributes["furniture_events.appended"] == 1
    assert (delivered.parent, delivered.links) == (appended.id, [])
    assert delivered.attributes["furniture_events.consumers"] == 1
    assert request.start <= appended.start <= delivered.start <= delivered.end
    assert {it.service for it in (request, appended, delivered)} == {"furniture-events-server"}
    for line in ("received", "delivered"):
        assert server.wait_for_log(line, id="one")["trace_id"] == TRACE


async def test_each_event_of_a_batch_has_its_last_span_in_its_own_trace(
    server: Server, spans: Receiver
) -> None:
    """The request belongs to one trace. An event of another trace links to the append in it."""
    one = GOOD | {"id": "same", "traceparent": f"00-{TRACE}-{'1' * 16}-01"}
    two = GOOD | {"id": "other", "traceparent": f"00-{OTHER}-{'2' * 16}-01"}
    bad = GOOD | {"id": "bad", "traceparent": 7}
    body = {"events": [one, two, bad]}
    assert await post(server, body, path="/batch", traceparent=TRACEPARENT) == 200
    same, other, last = (
        spans.one("deliver catalog", messaging__message__id=id) for id in ("same", "other", "bad")
    )
    appended = spans.parent(same)
    assert appended.name == "append catalog"
    assert appended.attributes["messaging.batch.message_count"] == 3
    assert (same.trace, same.links) == (TRACE, [(TRACE, "1" * 16)])
    assert (other.trace, other.parent, other.links) == (OTHER, "2" * 16, [appended.key])
    assert (last.trace, last.parent, last.links) == (TRACE, appended.id, [])


@pytest.mark.parametrize(
    ("id", "key", "traceparent"),
    [
        ("stranger", None, TRACEPARENT),
        ("zeros", KEY, f"00-{'0' * 32}-{SPAN}-01"),
        ("upper", KEY, TRACEPARENT.upper()),
        ("short", KEY, TRACEPARENT[:-1]),
        ("long", KEY, f"01-{TRACE}-{SPAN}-01-{'x' * 100}"),
        ("two", KEY, f"{TRACEPARENT},{TRACEPARENT}"),
        ("nothing", KEY, ""),
    ],
)
async def test_another_traceparent_is_ignored(
    id: str, key: str | None, traceparent: str, server: Server, spans: Receiver
) -> None:
    """The event gets a trace of its own. A stranger's header never counts."""
    event = GOOD | {"id": id, "traceparent": traceparent}
    assert (
        await post(server, {"events": [event]}, path="/batch", key=key, traceparent=traceparent)
        == 200
    )
    request, _, delivered = chain(spans, id)
    assert request.parent == ""
    assert request.trace not in (TRACE, OTHER)
    assert delivered.links == []


async def test_an_unsampled_trace_has_no_spans(server: Server, spans: Receiver) -> None:
    """The producer has decided it. The next event comes through, so the receiver would have it."""
    unsampled = f"00-{'3' * 32}-{SPAN}-00"
    assert await post(server, GOOD | {"id": "unsampled"}, traceparent=unsampled) == 201
    assert await post(server, GOOD | {"id": "sampled"}) == 201
    chain(spans, "sampled")
    assert not spans.find("deliver catalog", messaging__message__id="unsampled")


async def test_publishes_of_connections_have_traces_of_their_own(
    server: Server, spans: Receiver
) -> None:
    """Over Socket.IO and over plain WebSocket."""
    async with (
        raw_socketio(server.url, "websocket") as client,
        plain(f"{server.ws_url}/ws") as socket,
    ):
        assert (await client.call("furniture_created", json.dumps(GOOD | {"id": "socketio"})))["ok"]
        await socket.send(GOOD | {"id": "websocket"})
        first = chain(spans, "socketio")
        second = chain(spans, "websocket")
    for root, appended, delivered in (first, second):
        assert (root.name, root.parent, root.kind) == ("publish catalog", "", "SERVER")
        assert (appended.parent, delivered.parent) == (root.id, appended.id)
    assert first[0].trace != second[0].trace
    assert server.wait_for_log("received", id="socketio")["trace_id"] == first[0].trace


async def test_a_refused_event_is_a_span_with_the_code(server: Server, spans: Receiver) -> None:
    """The client is at fault, so the span has not failed. Nothing is appended."""
    assert await post(server, {"type": "furniture_created"}) == 422
    request = spans.one("POST /api/events", http__response__status_code=422)
    assert request.attributes["error.type"] == "invalid_furniture"
    assert not request.failed


async def test_a_duplicate_is_appended_once_and_delivered_once(
    server: Server, spans: Receiver
) -> None:
    """Its second request has a span that says so."""
    event = GOOD | {"id": "again"}
    assert await post(server, event) == 201
    chain(spans, "again")
    assert await post(server, event, traceparent=f"00-{'4' * 32}-{SPAN}-01") == 200
    appended = spans.where(
        lambda it: (it.name, it.trace) == ("append catalog", "4" * 32), "the second append"
    )
    assert appended.attributes["furniture_events.appended"] == 0
    assert len(spans.find("deliver catalog", messaging__message__id="again")) == 1


async def test_a_producer_continues_the_trace_of_its_caller(
    server: Server, spans: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The synchronous one and the asynchronous one. Reads have no span."""
    for name, value in spans.variables.items():
        monkeypatch.setenv(name, value)
    caller = NonRecordingSpan(SpanContext(int("8" * 32, 16), int(SPAN, 16), False, TraceFlags(1)))
    with use_span(caller):
        async with AsyncProducer(server.url, key=KEY, tracing=True) as producer:
            await producer.publish(GOOD | {"id": "asynchronous"})
            await producer.position()
        with Producer(server.url, key=KEY, tracing=True) as blocking:
            await asyncio.to_thread(blocking.publish, GOOD | {"id": "synchronous"})
    for id in ("asynchronous", "synchronous"):
        request, _, _ = chain(spans, id)
        published = spans.one(
            "publish catalog", messaging__message__id=id, server__port=server.port
        )
        assert (published.trace, published.parent) == ("8" * 32, SPAN)
        assert (published.kind, published.service) == ("PRODUCER", "furniture-events-producer")
        assert published.attributes["http.response.status_code"] == 201
        assert (request.parent, request.trace) == (published.id, published.trace)
    _own_provider().shutdown()
    _own_provider.cache_clear()


def test_a_receiver_that_is_down_holds_up_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for it for a few seconds only, and its log lines name it."""
    endpoint = f"http://user:secret@127.0.0.1:{free_ports(1)[0]}"
    for name, value in {**SENDER, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")  # there is a second attempt
    server = Server(tmp_path, tracing=True)
    line = server.wait_for_log("tracing", service_name="shop")
    assert line["receiver"] == endpoint.partition("@")[2]
    asyncio.run(post(server, GOOD, key=None))
    failure = server.wait_for_log("tracing_failed", receiver=line["receiver"])
    assert "Connection refused" in failure["reason"]
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < TIMEOUT


def test_another_protocol_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    message = start_expecting_failure(tmp_path, event_log="memory://", tracing=True)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: this server sends its spans with http/protobuf" in message


OFF = """
import os, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "google"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.settings"
import django
django.setup()
from django.core.management import call_command
from furniture_events import AsyncProducer, Producer
from furniture_events.django import publish
from sio_server.app import make_app, make_tracing
from sio_server.settings import Settings
from tests.conftest import load_vectors

settings = Settings(event_log="memory://")
make_app(settings, tracing=make_tracing(settings))
Producer("http://127.0.0.1:9").close()
AsyncProducer("http://127.0.0.1:9")
call_command("migrate", verbosity=0)
publish("furniture_created", load_vectors("events.json")[0]["publish"]["furniture"])
from furniture_events.django.models import OutboxEvent
assert OutboxEvent.objects.get().traceparent is None
"""


def test_without_the_setting_nothing_needs_opentelemetry() -> None:
    """A server, producers, and a site that writes into its outbox, without the packages.

    Nothing can be said about ``sys.modules``: if the packages are there, the client of Valkey
    imports a part of them for metrics of its own.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFF],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
