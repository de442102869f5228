"""Direct mode publishes at the commit, and no failure of the broker fails the request."""

from __future__ import annotations

import json
import logging
import socket
import unittest
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, TestCase, override_settings
from django.urls import path
from furniture_events import Producer
from furniture_events.django import direct, publish, revoke
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries
from tests.django.test_publishing import FURNITURE
from tests.django.test_transactions import save_and_answer
from tests.support.server import Server, wait_until

urlpatterns = [path("save/<int:status>/", save_and_answer)]


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Start with empty counters."""
    monkeypatch.setattr(direct, "counts", Counter())
    return direct.counts


@pytest.fixture
def silent_listener() -> Iterator[socket.socket]:
    """Return a listener that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def url_of(listener: socket.socket) -> str:
    """Return the listener's URL."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def free_port() -> int:
    """Return a port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def published(server: Server) -> list[dict[str, Any]]:
    """Return the events in the broker's log."""
    with urllib.request.urlopen(f"{server.url}/api/events") as answer:
        return list(json.load(answer)["events"])


def lost_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log's errors, which are about lost events. No line holds furniture or the key."""
    assert "roble" not in caplog.text
    assert "a-key-of-a-producer" not in caplog.text
    return [each.message for each in caplog.records if each.levelno >= logging.ERROR]


def test_committed_events_are_published(
    autor: User, start_server: Callable[..., Server], counts: Counter[str]
) -> None:
    """They are published at the commit, in order, without the outbox. A rollback drops them."""
    server = start_server(producer_keys="a-key-of-a-producer")
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
    """It has the events of savepoints that were not rolled back, and each event its own result."""
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


def test_without_a_broker_the_event_is_lost(
    autor: User, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The row is committed and the view answers. Each lost event is counted and logged."""
    with override_setting(MODE="direct", URL=f"http://127.0.0.1:{free_port()}", DIRECT_TIMEOUT=10):
        with override_settings(ROOT_URLCONF=__name__):
            assert Client().get("/save/200/").status_code == 200
            assert Client().get("/save/200/").status_code == 200
    assert (Mueble.objects.count(), counts) == (2, {"lost": 2})
    assert lost_lines(caplog) == [
        "event_lost reason='Unreachable'",
        "event_lost reason='the broker did not answer a moment ago'",
    ]


def test_after_a_timeout_the_next_commit_sends_nothing(
    autor: User,
    silent_listener: socket.socket,
    counts: Counter[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first commit waits once for all its events, and the next commit does not wait."""
    with override_setting(MODE="direct", URL=url_of(silent_listener), DIRECT_TIMEOUT=0.5):
        with transaction.atomic():
            for nombre in "ab":
                mueble(autor, nombre=nombre).save()
        mueble(autor, nombre="c").save()
    assert (Mueble.objects.count(), counts) == (3, {"lost": 3})
    assert lost_lines(caplog) == [
        *["event_lost reason='AnswerTimeout'"] * 2,
        "event_lost reason='the broker did not answer a moment ago'",
    ]
    silent_listener.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent_listener.accept()


def test_a_broker_that_comes_back_gets_events_again(
    start_server: Callable[..., Server], counts: Counter[str]
) -> None:
    """After the pause the next event is sent."""
    port = free_port()
    with override_setting(MODE="direct", URL=f"http://127.0.0.1:{port}", DIRECT_TIMEOUT=0.5):
        publish("furniture_created", FURNITURE)
        assert counts == {"lost": 1}
        server = start_server(port=port, producer_keys="a-key-of-a-producer")

        def is_published() -> bool:
            publish("furniture_updated", FURNITURE)
            return bool(counts["published"])

        wait_until(is_published, "an event is published")
    assert summaries(published(server)) == [("updated",)]


def test_a_refused_event_is_lost_and_causes_no_pause(
    start_server: Callable[..., Server], counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal is an answer, so the next event is sent at once."""
    server = start_server(producer_keys="a-key-of-a-producer")
    with override_setting(MODE="direct", URL=server.url, DIRECT_TIMEOUT=10):
        publish("furniture_created", {**FURNITURE, "nombre": "", "altura": -1})
        publish("furniture_updated", FURNITURE)
    assert counts == {"lost": 1, "published": 1}
    assert lost_lines(caplog) == ["event_lost reason='InvalidFurniture' fields='nombre,altura'"]


def test_an_unexpected_error_does_not_fail_the_request(
    autor: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    counts: Counter[str],
) -> None:
    """Each event is lost and counted. Django logs the error, and the request continues."""

    def fail(*_: object) -> None:
        raise RuntimeError("out of threads")

    monkeypatch.setattr(Producer, "publish_many", fail)
    with override_setting(MODE="direct"), override_settings(ROOT_URLCONF=__name__):
        with transaction.atomic():
            mueble(autor).save()
        assert Client().get("/save/200/").status_code == 200
    assert (Mueble.objects.count(), counts) == (2, {"lost": 2})
    lost, *others = lost_lines(caplog)
    assert (lost, len(others)) == ("event_lost reason='RuntimeError'", 3)
    assert "RuntimeError: out of threads" in caplog.text


def test_a_callback_of_other_code_that_raises_loses_no_event(
    autor: User, broker: loopback.Broker, counts: Counter[str]
) -> None:
    """Django drops all callbacks after it, so the app's own callbacks come before it."""
    with override_setting(MODE="direct", URL=broker.url, DIRECT_TIMEOUT=10):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            transaction.on_commit(lambda: 1 / 0)
            mueble(autor, nombre="a").save()
            with pytest.raises(LookupError), transaction.atomic():
                transaction.on_commit(lambda: 1 / 0)
                mueble(autor, nombre="never").save()
                raise LookupError
            transaction.on_commit(lambda: 1 / 0)
            mueble(autor, nombre="b").save()
            revoke(autor)
    events, revocation = (seen.json for seen in broker.seen)
    assert summaries(events["events"], "nombre") == [("created", "a"), ("created", "b")]
    assert revocation == {"sub": str(autor.pk)}
    assert (Mueble.objects.count(), counts) == (2, {"published": 2})


def test_a_rolled_back_transaction_calls_no_callback(
    autor: User, broker: loopback.Broker, counts: Counter[str]
) -> None:
    """Neither the app's own nor those of other code."""
    with override_setting(MODE="direct", URL=broker.url):
        with pytest.raises(LookupError), transaction.atomic():
            transaction.on_commit(lambda: 1 / 0)
            mueble(autor).save()
            raise LookupError
    assert (broker.seen, counts) == ([], {})


def test_captured_callbacks_of_a_test_are_the_apps_own(autor: User) -> None:
    """In a TestCase they stay behind the earlier callbacks, where Django looks for them."""

    class SiteTest(TestCase):
        def test(self) -> None:
            transaction.on_commit(lambda: 1 / 0)
            with capture_events() as events, self.captureOnCommitCallbacks(execute=True):
                mueble(autor).save()
            assert summaries(events) == [("created",)]

    with override_setting(MODE="direct"):
        result = unittest.TestResult()
        unittest.TestSuite([SiteTest("test")]).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
