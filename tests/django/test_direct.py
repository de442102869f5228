"""Direct mode: published at the commit, and whatever the broker does, the request goes on."""

from __future__ import annotations

import json
import logging
import socket
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings
from django.urls import path
from furniture_events import Producer
from furniture_events.django import direct, publish
from furniture_events.django.models import OutboxEvent

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries
from tests.django.test_publishing import FURNITURE
from tests.django.test_transactions import save_and_answer
from tests.support.server import Server, wait_until

urlpatterns = [path("save/<int:status>/", save_and_answer)]


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count from nothing."""
    monkeypatch.setattr(direct, "counts", Counter())
    return direct.counts


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """Return a listener that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def url_of(listener: socket.socket) -> str:
    """Return where it listens."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def published(server: Server) -> list[dict[str, Any]]:
    """Return what is in the broker's log."""
    with urllib.request.urlopen(f"{server.url}/api/events") as answer:
        return list(json.load(answer)["events"])


def lost_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, as errors, of events that are lost; no line holds any content."""
    assert "roble" not in caplog.text
    assert "a-producer-key" not in caplog.text
    return [each.message for each in caplog.records if each.levelno >= logging.ERROR]


def test_what_is_committed_is_published(
    autor: User, start_server: Callable[..., Server], counts: Counter[str]
) -> None:
    """In order, at the commit and not before, without the outbox; a rollback takes it back."""
    server = start_server(producer_keys="a-producer-key")
    with override_setting(MODE="direct", URL=server.url, DIRECT_TIMEOUT=10):
        with transaction.atomic():
            piece = mueble(autor)
            piece.save()
            piece.delete()
            assert published(server) == []
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor).save()
            raise ZeroDivisionError
        publish("furniture_updated", FURNITURE)
    assert summaries(published(server)) == [("created",), ("deleted",), ("updated",)]
    assert (counts, OutboxEvent.objects.count()) == ({"published": 3}, 0)


def test_a_commit_is_one_request(
    autor: User, broker: loopback.Broker, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With the events that no savepoint took back, in order; each one's answer is its own."""
    with override_setting(MODE="direct", URL=broker.url, DIRECT_TIMEOUT=10):
        for _ in range(2):
            with transaction.atomic():
                for nombre in ("a", "b", ""):
                    mueble(autor, nombre=nombre).save()
                with pytest.raises(ZeroDivisionError), transaction.atomic():
                    mueble(autor, nombre="never").save()
                    raise ZeroDivisionError
                with transaction.atomic():
                    mueble(autor, nombre="c").save()
                    with pytest.raises(ZeroDivisionError), transaction.atomic():
                        mueble(autor, nombre="never").save()
                        raise ZeroDivisionError
    assert [summaries(seen.json["events"], "nombre") for seen in broker.seen] == [
        [("created", nombre) for nombre in ("a", "b", "", "c")]
    ] * 2
    assert counts == {"published": 6, "lost": 2}
    assert lost_lines(caplog) == ["event_lost reason='InvalidFurniture'"] * 2


def test_nobody_there(autor: User, counts: Counter[str], caplog: pytest.LogCaptureFixture) -> None:
    """The row is committed, the view answers, the event is lost: counted, and one line each."""
    with override_setting(MODE="direct", URL=f"http://127.0.0.1:{free_port()}", DIRECT_TIMEOUT=10):
        with override_settings(ROOT_URLCONF=__name__):
            assert Client().get("/save/200/").status_code == 200
            assert Client().get("/save/200/").status_code == 200
    assert (Mueble.objects.count(), counts) == (2, {"lost": 2})
    assert lost_lines(caplog) == [
        "event_lost reason='Unreachable'",
        "event_lost reason='the broker did not answer a moment ago'",
    ]


def test_a_broker_that_never_answers_is_left_alone_for_a_while(
    autor: User, mute: socket.socket, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The first commit waits for the timeout, once for all it has to say, the next for nothing."""
    with override_setting(MODE="direct", URL=url_of(mute), DIRECT_TIMEOUT=0.5):
        with transaction.atomic():
            for nombre in "ab":
                mueble(autor, nombre=nombre).save()
        mueble(autor, nombre="c").save()
    assert (Mueble.objects.count(), counts) == (3, {"lost": 3})
    assert lost_lines(caplog) == [
        *["event_lost reason='AnswerTimeout'"] * 2,
        "event_lost reason='the broker did not answer a moment ago'",
    ]
    mute.accept()[0].close()
    with pytest.raises(BlockingIOError):
        mute.accept()


def test_a_broker_that_comes_back_is_published_to(
    start_server: Callable[..., Server], counts: Counter[str]
) -> None:
    """After the pause the next event tries again."""
    port = free_port()
    with override_setting(MODE="direct", URL=f"http://127.0.0.1:{port}", DIRECT_TIMEOUT=0.5):
        publish("furniture_created", FURNITURE)
        assert counts == {"lost": 1}
        server = start_server(port=port, producer_keys="a-producer-key")

        def is_published() -> bool:
            publish("furniture_updated", FURNITURE)
            return bool(counts["published"])

        wait_until(is_published, "an event is published")
    assert summaries(published(server)) == [("updated",)]


def test_what_the_broker_refuses_is_lost_and_holds_nobody_up(
    start_server: Callable[..., Server], counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal is an answer: the next event is sent at once."""
    server = start_server(producer_keys="a-producer-key")
    with override_setting(MODE="direct", URL=server.url, DIRECT_TIMEOUT=10):
        publish("furniture_created", {**FURNITURE, "nombre": ""})
        publish("furniture_updated", FURNITURE)
    assert counts == {"lost": 1, "published": 1}
    assert lost_lines(caplog) == ["event_lost reason='InvalidFurniture'"]


def test_what_nobody_thought_of_is_not_raised_either(
    autor: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Django logs it, with its traceback, and the request goes on."""

    def fail(*_: object) -> None:
        raise RuntimeError("out of threads")

    monkeypatch.setattr(Producer, "publish_many", fail)
    with override_setting(MODE="direct"), override_settings(ROOT_URLCONF=__name__):
        with transaction.atomic():
            mueble(autor).save()
        assert Client().get("/save/200/").status_code == 200
    assert Mueble.objects.count() == 2
    assert len(lost_lines(caplog)) == 2
    assert "RuntimeError: out of threads" in caplog.text
