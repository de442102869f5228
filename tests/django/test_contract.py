"""The Django app keeps to the contract, whose sets are in ``tests/vectors/contract.json``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from furniture_events import InvalidFurniture
from furniture_events.django import conf, publish, publishing
from furniture_events.django.mapping import Lookups
from furniture_events.django.models import OutboxEvent

from tests.django.catalog.models import Mueble
from tests.django.test_publishing import FURNITURE
from tests.support.server import ROOT

CONTRACT: dict[str, Any] = json.loads((ROOT / "tests/vectors/contract.json").read_text("utf-8"))


def test_the_default_mapping_has_exactly_the_contracts_fields() -> None:
    """Each field of the contract is mapped without a word in the setting, and no other field."""
    assert set(Lookups(Mueble, {}).lookups) == set(CONTRACT["furniture"])


def test_exactly_the_contracts_fields_are_required() -> None:
    """Furniture without one of them is refused, and no other field is asked for."""
    with pytest.raises(InvalidFurniture) as caught:
        publish("furniture_created", {})
    fields = {f"furniture.{name}" for name in CONTRACT["furniture"]}
    assert {detail.field for detail in caught.value.details} == fields


def test_exactly_the_contracts_event_types_are_published() -> None:
    """Each event type of the contract gets into the outbox, and no other type does."""
    for event_type in CONTRACT["event_types"]:
        publish(event_type, FURNITURE)
    published = set(OutboxEvent.objects.values_list("type", flat=True))
    assert published == set(CONTRACT["event_types"]) == set(publishing.EVENT_TYPES)
    with pytest.raises(ValueError, match="no such event type"):
        publish("furniture_sold", FURNITURE)


def test_the_event_types_fit_into_the_outbox() -> None:
    """The column is as long as the longest event type."""
    max_length = OutboxEvent._meta.get_field("type").max_length
    assert max_length is not None
    assert max(map(len, CONTRACT["event_types"])) <= max_length


def test_the_settings_bounds_are_the_contracts() -> None:
    """By default a batch is as large as the broker takes, and no setting allows more events."""
    limits = CONTRACT["limits"]
    defaults = {each.name: each.default for each in conf.fields(conf.Config)}
    assert defaults["batch_events"] == conf.MAX_BATCH_EVENTS == limits["batch_events"]
    assert defaults["batch_bytes"] == limits["batch_bytes"]
