"""An event's JSON text is made once, at the save, and is sent as it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import loopback
import pytest
from django.contrib.auth.models import User
from furniture_events.django import bulk, publish
from furniture_events.django.events import is_same_json
from furniture_events.django.models import OutboxEvent
from furniture_events.django.relay import Relay

from tests.django.catalog.models import Mueble
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.test_publishing import FURNITURE

MARKER = "a-material-that-only-this-test-has"


@contextmanager
def counting_json() -> Iterator[dict[str, int]]:
    """Count how often this thread encodes and decodes JSON that holds the marker.

    The test's broker runs in other threads, which are not counted.
    """
    counts = {"encodes": 0, "decodes": 0}
    thread = threading.current_thread()

    def counted(name: str, method: Any) -> Any:
        def count(self: Any, value: Any, *arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is thread and MARKER in repr(value):
                counts[name] += 1
            return method(self, value, *arguments, **options)

        return count

    encode, decode = json.JSONEncoder.encode, json.JSONDecoder.decode
    with mock.patch.object(json.JSONEncoder, "encode", counted("encodes", encode)):
        with mock.patch.object(json.JSONDecoder, "decode", counted("decodes", decode)):
            yield counts


def save(piece: Mueble) -> None:
    """Save a piece whose material has changed."""
    piece.material = MARKER
    piece.save()


def update(piece: Mueble) -> None:
    """Change the piece's material by a bulk update."""
    bulk.update(Mueble.objects, material=MARKER)


def publish_by_hand(piece: Mueble) -> None:
    """Publish an event of furniture that is no row."""
    publish("furniture_updated", {**FURNITURE, "material": MARKER})


@pytest.mark.parametrize("change", [save, update, publish_by_hand])
def test_an_event_is_encoded_once_from_the_save_to_the_broker(
    piece: Mueble, broker: loopback.Broker, change: Any
) -> None:
    """One change and its relaying make one encode and no decode, and the broker gets that text."""
    OutboxEvent.objects.all().delete()
    with override_setting(URL=broker.url), counting_json() as counts:
        change(piece)
        assert counts == {"encodes": 1, "decodes": 0}
        text = OutboxEvent.objects.get().event
        assert Relay("default").run_once()
    assert counts == {"encodes": 1, "decodes": 0}
    assert broker.seen[-1].body.decode() == f'{{"events":[{text}]}}'
    assert not OutboxEvent.objects.exists()


def test_an_event_is_encoded_once_in_direct_mode(piece: Mueble, broker: loopback.Broker) -> None:
    """The commit sends the text that the save has made."""
    with override_setting(MODE="direct", URL=broker.url, DIRECT_TIMEOUT=10):
        with counting_json() as counts:
            save(piece)
    assert counts == {"encodes": 1, "decodes": 0}
    assert broker.seen[-1].json["events"][0]["furniture"]["material"] == MARKER


def test_an_unchanged_save_encodes_nothing(piece: Mueble) -> None:
    """The rows before and after are compared as values."""
    save(piece)
    with counting_json() as counts:
        piece.save()
    assert counts == {"encodes": 0, "decodes": 0}


def test_the_relay_publishes_a_text_of_another_form(autor: User, broker: loopback.Broker) -> None:
    """A text with other spaces, or with its id first, was not written by this app."""
    event = {"id": 'i "1"', "type": "furniture_created", "furniture": {**FURNITURE, "altura": 1}}
    OutboxEvent.objects.create(type="furniture_created", furniture_id="x", event=json.dumps(event))
    mueble(autor).save()
    with override_setting(URL=broker.url):
        assert Relay("default").run_once()
    assert broker.seen[0].json["events"][0] == event
    assert next(iter(broker.log)) == 'i "1"'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, "x"]}, {"b": [1, "x"], "a": 1}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 0.0}, {"a": -0.0}, False),
        ({"a": None}, {}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": [1]}, {"a": [1, 1]}, False),
        ({"a": {"b": False}}, {"a": {"b": 0}}, False),
        ({"a": 1.5}, {"a": 1.5}, True),
    ],
)
def test_values_are_compared_by_their_json_text(one: Any, other: Any, same: bool) -> None:
    """True is not 1, 1 is not 1.0, and the order of keys says nothing."""
    assert is_same_json(one, other) is same
    assert (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)) is same
