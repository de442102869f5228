"""The relay, as the process beside a site, publishes the outbox to a real broker."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse
from furniture_events.django import outbox
from furniture_events.django.models import OutboxEvent
from furniture_events.django.publishing import publish
from furniture_events.django.relay import rounds

from tests.django.catalog.models import Mueble
from tests.django.databases import on_postgres, on_servers, smoke
from tests.django.pieces import mueble
from tests.django.relays import (
    Relay,
    answer_after,
    published,
    site_environment,
    wait_for_events,
    wait_until_sent,
)
from tests.support.server import Server, wait_until

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]

RELAY_KEY = "the-key-of-the-relay"
SOUND = {
    "furniture_id": "by-hand",
    "nombre": "Mesa",
    "descripcion": "",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "juan",
}


def refused() -> dict[str, str]:
    """Return the error of each piece with a refused event."""
    rows = OutboxEvent.objects.exclude(error="")
    return {row.furniture_id: row.error for row in rows}


def events_of(piece: Mueble, events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the type and the width of each event of a piece, in order."""
    return [
        (event["type"].removeprefix("furniture_"), event["furniture"]["ancho"])
        for event in events
        if event["furniture"]["furniture_id"] == str(piece.pk)
    ]


@smoke
def test_committed_events_arrive_in_the_order_of_each_piece(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """The waiting events and the later ones are published, each piece's events in order."""
    server = start_server()
    pieces = [mueble(autor) for _ in range(3)]
    for ancho in (1, 2):
        for piece in pieces:
            piece.ancho = Decimal(ancho)
            piece.save()
    start_relay(URL=server.url)
    wait_for_events(server, 6)
    for piece in pieces:
        piece.ancho = Decimal(3)
        with transaction.atomic():
            piece.save()
            Mueble.objects.get(pk=piece.pk).delete()
    events = wait_for_events(server, 12)
    for piece in pieces:
        assert events_of(piece, events) == [
            ("created", 1),
            ("updated", 2),
            ("updated", 3),
            ("deleted", 3),
        ]
    wait_until_sent()
    assert not OutboxEvent.objects.exists()


def test_a_batch_holds_one_event_of_a_piece() -> None:
    """The next event of a piece is sent only after the answer to the earlier one."""
    rows = [OutboxEvent(pk=number, furniture_id=piece) for number, piece in enumerate("abacaab")]
    assert [[row.pk for row in batch] for batch in rounds(rows)] == [[0, 1, 3], [2, 6], [4], [5]]
    assert rounds([]) == []


@smoke
def test_the_oldest_events_are_read_within_bounds(autor: User) -> None:
    """The number and the length are bounded. An event over the length is read alone."""
    for nombre in ("a", "b", "ñ" * 200, "d"):
        mueble(autor, nombre=nombre, descripcion=nombre * 10).save()
    length = max(len(row.event) for row in OutboxEvent.objects.order_by("id")[:2])
    reads = []
    while rows := outbox.oldest("default", max_events=10, max_characters=2 * length):
        reads.append([json.loads(row.event)["furniture"]["nombre"] for row in rows])
        outbox.delete(rows, "default")
    assert reads == [["a", "b"], ["ñ" * 200], ["d"]]
    for nombre in "abc":
        mueble(autor, nombre=nombre).save()
    assert len(outbox.oldest("default", max_events=2, max_characters=10 * length)) == 2


def test_an_event_that_failed_temporarily_is_not_overtaken(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """The next event of its piece waits for it. Events of other pieces do not."""

    def fail_the_first(handler: loopback.Handler) -> None:
        first, *others = handler.seen.json["events"]
        assert first["furniture"]["ancho"] == 1
        failed = {"ok": False, "error": {"code": "log_unavailable", "message": "no"}}
        handler.answer(200, {"results": [failed, *map(broker.append, others)]})

    broker.script.append(fail_the_first)
    piece = mueble(autor, ancho=1)
    piece.save()
    piece.ancho = 2
    piece.save()
    mueble(autor, ancho=3).save()
    start_relay(URL=broker.url)
    wait_until_sent()
    events = {event["id"]: event for seen in broker.seen for event in seen.json["events"]}
    assert [events[key]["furniture"]["ancho"] for key in broker.log] == [3, 1, 2]


@smoke
@on_servers
def test_the_event_of_a_late_commit_is_published(
    autor: User,
    database: str,
    start_server: StartServer,
    start_relay: StartRelay,
) -> None:
    """Its row stands before rows that were sent earlier."""
    server = start_server()
    start_relay(URL=server.url)
    written, commit = threading.Event(), threading.Event()
    late = mueble(autor, nombre="tarde")

    def commit_late() -> None:
        with transaction.atomic():
            late.save()
            written.set()
            assert commit.wait(20)
        connections.close_all()

    thread = threading.Thread(target=commit_late)
    thread.start()
    try:
        assert written.wait(20)
        for count in (1, 2):
            mueble(autor, nombre="pronto").save()
            wait_for_events(server, count)
        wait_until_sent()
    finally:
        commit.set()
        thread.join()
    names = [event["furniture"]["nombre"] for event in wait_for_events(server, 3)]
    assert names == ["pronto", "pronto", "tarde"]


@smoke
def test_a_permanently_refused_event_is_set_aside(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """Its row has the error, other events are published, and no log line holds furniture."""
    server = start_server()
    unnamed = mueble(autor, nombre="")
    unnamed.save()
    unnamed.nombre = "Mesa"
    unnamed.save()
    large = mueble(autor, descripcion="secreta" * 10_000)
    large.save()
    publish("furniture_created", SOUND, id="the-same")
    publish("furniture_created", {**SOUND, "furniture_id": "conflict"}, id="the-same")
    sound = mueble(autor)
    sound.save()
    relay = start_relay("-v2", URL=server.url)
    events = wait_for_events(server, 3)
    wait_until_sent()
    assert events_of(unnamed, events) == [("updated", 120)]
    assert events_of(sound, events) == [("created", 120)]
    errors = refused()
    assert errors.keys() == {str(unnamed.pk), str(large.pk), "conflict"}
    assert "nombre" in errors[str(unnamed.pk)]
    assert "65536 bytes" in errors[str(large.pk)]
    assert errors["conflict"].startswith("id_conflict")
    lines = relay.wait_for("event_refused", 3)
    assert len(lines) == 3
    assert lines[0].endswith("reason=InvalidFurniture fields='nombre'\n")
    relay.stop()
    assert "exchange method=POST" in relay.output, "the log is at its most detailed level"
    for word in ("Mesa", "secreta", "roble", "juan", "by-hand", "the-same"):
        assert word not in relay.output


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "",
        '{"type":"furniture_created","furniture":',
        "[" * 100_000,
        '"a text"',
        'nonsense,"id":"a"}',
        f'{json.dumps({"type": "furniture_created", "furniture": SOUND})},{{"a":1,"id":"a"}}',
    ],
    ids=lambda text: text[:20],
)
def test_a_row_that_is_no_event_is_set_aside(
    text: str, start_server: StartServer, start_relay: StartRelay
) -> None:
    """The relay does not die of it, and the events before and behind it are published."""
    server = start_server()
    for id in ("one", "two"):
        publish("furniture_updated", {**SOUND, "furniture_id": id}, id=id)
        if id == "one":
            OutboxEvent.objects.create(type="x", furniture_id="broken", event=text)
    relay = start_relay(URL=server.url)
    relay.wait_for("event_refused")
    wait_until_sent()
    assert {"one", "two"} <= {event["id"] for event in published(server)}
    assert refused().keys() == {"broken"}
    assert relay.stop() == 0


def test_a_refused_event_is_retried_from_the_admin(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """When the broker accepts larger events, the admin's action publishes the event."""
    server = start_server(max_message_bytes=1024)
    large = mueble(autor, descripcion="larga " * 300)
    large.save()
    start_relay(URL=server.url)
    wait_until(lambda: refused().keys() == {str(large.pk)}, "the event is set aside")
    server.stop()
    server = start_server(port=server.port)
    admin = Client()
    admin.force_login(User.objects.create_superuser("ana"))
    answer = admin.post(
        reverse("admin:furniture_events_outboxevent_changelist"),
        {"action": "retry", "_selected_action": [OutboxEvent.objects.get().pk]},
    )
    assert answer.status_code == 302
    assert events_of(large, wait_for_events(server, 1)) == [("created", 120)]
    wait_until_sent()
    assert refused() == {}


def test_a_broker_with_smaller_batches_gets_smaller_batches(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """Only an event that is too large by itself is set aside."""
    server = start_server(max_batch_bytes=2048)
    for number in range(30):
        mueble(autor, nombre=f"Mesa {number}").save()
    large = mueble(autor, descripcion="larga " * 400)
    large.save()
    mueble(autor, nombre="Mesa 30").save()
    relay = start_relay("--once", URL=server.url)
    assert relay.wait() == 0, relay.output
    assert "batch_refused" in relay.output
    names = [event["furniture"]["nombre"] for event in published(server)]
    assert names == [f"Mesa {number}" for number in range(31)]
    assert refused().keys() == {str(large.pk)}
    assert OutboxEvent.objects.count() == 1


def test_a_wrong_key_sets_no_event_aside(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """The key is no fault of the events: they wait until the key is right."""
    server = start_server(open_publish="off", producer_keys="another-producer-s-key")
    mueble(autor).save()
    relay = start_relay(URL=server.url, KEY=RELAY_KEY)
    assert "unauthorized" in relay.wait_for("relay_waits", 2)[1]
    assert RELAY_KEY not in relay.output
    assert OutboxEvent.objects.filter(error="").count() == 1
    server.stop()
    server = start_server(
        port=server.port, open_publish="off", producer_keys=f"another-producer-s-key,{RELAY_KEY}"
    )
    wait_for_events(server, 1)
    wait_until_sent()


def test_the_relay_waits_for_a_broker_that_is_down(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """Its waits grow up to the bound, and are short again after a success."""
    server = start_server()
    server.stop()
    mueble(autor).save()
    relay = start_relay(URL=server.url, BACKOFF_SECONDS=0.01, BACKOFF_MAX_SECONDS=0.1)
    waits = [
        re.search(r"failures=(\d+) delay=([\d.]+) reason='no connection", line)
        for line in relay.wait_for("relay_waits", 6)
    ]
    for number, wait in enumerate(waits[:6], start=1):
        assert wait is not None
        assert int(wait[1]) == number
        assert float(wait[2]) <= min(0.01 * 2 ** (number - 1), 0.1)
    server = start_server(port=server.port)
    wait_for_events(server, 1)
    wait_until_sent()
    server.stop()
    mueble(autor).save()
    relay.wait_for("relay_waits failures=1 ", 2)


def test_the_relay_waits_for_the_retry_after(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """The Retry-After is added to the relay's own wait."""
    broker.script.append(loopback.refuse(429, "rate_limited", Retry_After="1"))
    mueble(autor).save()
    relay = start_relay(URL=broker.url, BACKOFF_SECONDS=0.01)
    (line,) = relay.wait_for("relay_waits")
    assert 1 <= float(line.partition("delay=")[2].split()[0]) <= 1.01
    wait_until_sent()
    assert len(broker.log) == 1


def test_sigterm_ends_the_relay_after_its_request(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """The current batch is answered and deleted, no other one is sent, and the status is 0."""
    answer_now = threading.Event()
    broker.script.append(answer_after(answer_now))
    for _ in range(2):
        mueble(autor).save()
    relay = start_relay(URL=broker.url, BATCH_EVENTS=1)
    assert broker.arrived.wait(20)
    relay.signal(signal.SIGTERM)
    relay.signal(signal.SIGTERM)
    with pytest.raises(AssertionError):
        wait_until(lambda: relay.process.poll() is not None, "it ends", timeout=0.3)
    answer_now.set()
    assert relay.wait() == 0, relay.output
    assert len(broker.log) == len(broker.seen) == 1
    assert OutboxEvent.objects.count() == 1


def test_once_publishes_the_waiting_events_and_ends(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """``--once`` succeeds if all is published. Otherwise its status is 1, and one line says why."""
    server = start_server()
    mueble(autor).save()
    assert start_relay("--once", URL=server.url).wait() == 0
    assert len(published(server)) == 1
    assert not OutboxEvent.objects.exists()
    mueble(autor).save()
    active = start_relay(URL=server.url)
    active.wait_for("relay_active")
    second = start_relay("--once", URL=server.url)
    assert second.wait() == 1
    assert second.lines == ["CommandError: another relay is at work on this database\n"]
    assert active.stop() == 0
    server.stop()
    mueble(autor).save()
    down = start_relay("--once", URL=server.url)
    assert down.wait() == 1
    assert down.lines[-1].startswith("CommandError: the broker takes nothing: no connection")
    assert "Traceback" not in down.output
    assert OutboxEvent.objects.filter(error="").count() == 1


def test_status_prints_counts_and_sends_nothing(autor: User, start_relay: StartRelay) -> None:
    """``--status`` prints one line, for a person or a script."""
    empty = start_relay("--status")
    assert empty.wait() == 0
    assert empty.output == "waiting=0 oldest_seconds=none refused=0 oldest_refused_seconds=none\n"
    for _ in range(3):
        mueble(autor).save()
    row = OutboxEvent.objects.order_by("id")[1]
    row.error = "no"
    row.created_at -= timedelta(hours=1)
    row.save()
    status = start_relay("--status")
    assert status.wait() == 0
    assert re.fullmatch(
        r"waiting=2 oldest_seconds=\d\d?\.\d{3} refused=1 oldest_refused_seconds=36\d\d\.\d{3}\n",
        status.output,
    )
    assert OutboxEvent.objects.count() == 3


@on_postgres
def test_the_relay_waits_for_a_database_that_is_down(database: str) -> None:
    """The relay may start before PostgreSQL, and can be stopped then. ``--once`` fails."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = site_environment({**connection.settings_dict, "PORT": str(port)})
    relay, once = Relay(environment=environment), Relay("--once", environment=environment)
    try:
        relay.wait_for("relay_waits", 2)
        assert relay.stop() == 0
        assert once.wait() == 1
    finally:
        relay.kill()
        once.kill()
    assert "CommandError: the outbox on 'default' cannot be used" in once.output
    assert "Traceback" not in relay.output + once.output


@pytest.mark.parametrize("options", [[], ["--once"], ["--status"]])
def test_a_database_without_an_outbox_is_reported_in_one_line(
    options: list[str], fresh: dict[str, Any]
) -> None:
    """The line says to migrate, and there is no traceback."""
    relay = Relay(*options, environment=site_environment(fresh))
    try:
        assert relay.wait() == 1
    finally:
        relay.kill()
    (line,) = relay.lines
    assert line.startswith("CommandError: ")
    assert "manage.py migrate" in line


def test_a_long_retry_after_is_shortened(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """The relay waits at most RETRY_AFTER_MAX_SECONDS for a Retry-After."""
    broker.script.append(loopback.refuse(503, "shutting_down", Retry_After="86400"))
    mueble(autor).save()
    start_relay(URL=broker.url, BACKOFF_SECONDS=0.01, RETRY_AFTER_MAX_SECONDS=0.01)
    wait_until_sent()


def test_an_event_larger_than_a_batch_does_not_stop_others(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """It was sent alone, so the relay knows at once that it is too large."""
    server = start_server(max_batch_bytes=2048)
    mueble(autor).save()
    large = mueble(autor, descripcion="larga " * 400)
    large.save()
    relay = start_relay("--once", URL=server.url, BATCH_BYTES=2048)
    assert relay.wait() == 0, relay.output
    assert "batch_refused" not in relay.output
    assert (refused().keys(), len(published(server))) == ({str(large.pk)}, 1)
