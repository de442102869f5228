"""One trace from a request of the site through its outbox, its relay and the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from furniture_events import AsyncProducer, ConfigurationError, Producer
from furniture_events.django.models import OutboxEvent

from tests.django.databases import on_sqlite
from tests.django.live_site import KEY
from tests.django.pieces import mueble
from tests.django.relays import Relay, site_environment, wait_until_sent
from tests.django.test_publishing import FURNITURE
from tests.support.otlp import Receiver, receiver
from tests.support.server import TIMEOUT, Server

StartRelay = Callable[..., Relay]

SITE = """
import sys
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.django.pieces import mueble

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))


def save(request, nombre):
    mueble(User.objects.get(username="juan"), nombre=nombre).save()
    return HttpResponse("saved")


with override_settings(ROOT_URLCONF=(path("save/<nombre>/", save),)):
    DjangoInstrumentor().instrument()
    for nombre in sys.argv[1:]:
        assert Client().get(f"/save/{nombre}/").status_code == 200
trace.get_tracer_provider().shutdown()
"""


@pytest.fixture(scope="module")
def spans() -> Iterator[Receiver]:
    """Run a receiver, to which all processes of this module send their spans."""
    with receiver() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.variables.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def broker(spans: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a broker that knows the key of the site."""
    running = Server(tmp_path_factory.mktemp("broker"), producer_keys=KEY, tracing=True)
    yield running
    assert running.stop() == 0


def request(*names: str, **setting: object) -> None:
    """Let a process of the site serve a request for each name, which saves a piece."""
    setting = {"TRACING": True, "KEY": KEY, **setting}
    environment = site_environment(connection.settings_dict, **setting) | {
        "OTEL_SERVICE_NAME": "shop"
    }
    site = Relay(*names, environment=environment, program=("-c", SITE))
    assert site.wait() == 0, site.output


def key_of(row: OutboxEvent) -> tuple[str, str]:
    """Return the ids of the span that a row names."""
    assert row.traceparent is not None
    _, trace, span, _ = row.traceparent.split("-")
    return trace, span


@on_sqlite
def test_one_trace_goes_from_the_request_to_the_write(
    autor: User, broker: Server, spans: Receiver, start_relay: StartRelay
) -> None:
    """Each span is below the one before it, and a waiting row has the trace."""
    request("Mesa")
    (row,) = OutboxEvent.objects.all()
    relay = start_relay(URL=broker.url, KEY=KEY, TRACING=True)
    wait_until_sent()
    assert relay.stop() == 0
    created = spans.one("create catalog")
    served = spans.parent(created)
    published = spans.one("publish catalog")
    answered = spans.one("POST /api/events/batch")
    appended = spans.one("append catalog")
    delivered = spans.one("deliver catalog")
    chain = [served, created, published, answered, appended, delivered]
    assert {it.trace for it in chain} == {created.trace}
    assert [it.parent for it in chain] == ["", *(it.id for it in chain[:-1])]
    assert key_of(row) == created.key
    assert published.links == delivered.links == [created.key]
    assert [(it.service, it.kind) for it in chain] == [
        ("shop", "SERVER"),
        ("shop", "PRODUCER"),
        ("furniture-events-relay", "CLIENT"),
        ("furniture-events-server", "SERVER"),
        ("furniture-events-server", "INTERNAL"),
        ("furniture-events-server", "INTERNAL"),
    ]
    ids = {it.attributes["messaging.message.id"] for it in (created, published, delivered)}
    assert len(ids) == 1
    for field in FURNITURE:
        assert not any(field in name for it in chain for name in it.attributes)


@on_sqlite
def test_a_batch_of_two_traces_is_found_from_both(
    autor: User, broker: Server, spans: Receiver, start_relay: StartRelay
) -> None:
    """The request belongs to the first trace and links to the second, which has its delivery."""
    request("Silla", "Sillon")
    rows = list(OutboxEvent.objects.order_by("id"))
    assert start_relay("--once", URL=broker.url, KEY=KEY, TRACING=True).wait() == 0
    first, second = (next(it for it in spans.all() if it.key == key_of(row)) for row in rows)
    published = spans.one("publish catalog", messaging__batch__message_count=2)
    assert (published.trace, published.parent) == (first.trace, first.id)
    assert published.links == [first.key, second.key]
    one, two = (
        spans.one("deliver catalog", messaging__message__id=it.attributes["messaging.message.id"])
        for it in (first, second)
    )
    appended = spans.parent(one)
    assert (one.trace, two.trace) == (first.trace, second.trace)
    assert (two.parent, two.links) == (second.id, [appended.key])


@on_sqlite
def test_in_direct_mode_the_request_publishes(autor: User, broker: Server, spans: Receiver) -> None:
    """There is no outbox, and no link."""
    request("Banco", URL=broker.url, MODE="direct", DIRECT_TIMEOUT=TIMEOUT)
    published = spans.where(
        lambda it: (it.name, it.service) == ("publish catalog", "shop"), "the publish"
    )
    served = spans.parent(published)
    assert (served.service, served.kind, published.links) == ("shop", "SERVER", [])
    delivered = spans.one(
        "deliver catalog", messaging__message__id=published.attributes["messaging.message.id"]
    )
    assert delivered.trace == served.trace


@on_sqlite
def test_a_row_without_a_trace_is_published(
    autor: User, broker: Server, spans: Receiver, start_relay: StartRelay
) -> None:
    """It is from before tracing, or tracing is off in the site. The relay begins a trace."""
    mueble(autor, nombre="Cama").save()
    (row,) = OutboxEvent.objects.all()
    assert row.traceparent is None
    relay = start_relay("--once", URL=broker.url, KEY=KEY, TRACING=True)
    assert relay.wait() == 0, relay.output
    published = spans.one(
        "publish catalog", messaging__message__id=row.event.rpartition('"')[0][-36:]
    )
    assert (published.parent, published.links, published.kind) == ("", [], "PRODUCER")


@on_sqlite
@pytest.mark.parametrize("count", [1, 2])
def test_an_event_that_is_too_large_with_its_trace_goes_without(
    count: int,
    autor: User,
    broker: Server,
    spans: Receiver,
    start_relay: StartRelay,
    start_server: Callable[..., Server],
) -> None:
    """Tracing never decides whether an event comes through."""
    for _ in range(count):
        mueble(autor, nombre="Armario", descripcion="x" * 9_000).save()
    OutboxEvent.objects.update(traceparent=f"00-{'5' * 32}-{'6' * 16}-01")
    size = max(len(row.event.encode()) for row in OutboxEvent.objects.all())
    small = start_server(max_message_bytes=size, producer_keys=KEY)
    relay = start_relay("--once", URL=small.url, KEY=KEY, TRACING=True)
    assert relay.wait() == 0, relay.output
    assert not OutboxEvent.objects.exists()


@on_sqlite
def test_the_check_names_the_missing_packages(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the producers do."""
    monkeypatch.setattr("furniture_events._settings.find_spec", lambda name: None)
    for producer in (Producer, AsyncProducer):
        with pytest.raises(ConfigurationError, match="tracing needs more packages: pip install"):
            producer("http://localhost", tracing=True)
