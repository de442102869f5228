"""The repository's golden vectors hold for the in-memory producer, too.

Outside the repository there are none, and these tests are skipped. Vectors that are no JSON are
left out, because this client never sends them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from furniture_events import Refused
from furniture_events.testing import InMemoryProducer

FOLDER = Path(__file__).parents[3] / "tests" / "vectors"
CHECKED_CODES = {"invalid_message", "unknown_type", "invalid_furniture"}


def vectors(name: str) -> list[Any]:
    """Read a file of vectors. Without the file there are none, and the test is skipped."""
    path = FOLDER / name
    found: list[Any] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


@pytest.mark.parametrize("vector", vectors("events.json"), ids=lambda vector: vector["name"])
def test_a_valid_event_is_recorded_unchanged(vector: dict[str, Any]) -> None:
    """An event that the contract accepts arrives unchanged."""
    producer = InMemoryProducer()
    event = vector["publish"]
    published = producer.publish(event)
    (recorded,) = producer.events
    assert (recorded.type, recorded.furniture) == (event["type"], event["furniture"])
    assert published.id == event.get("id") or event.get("id") is None


@pytest.mark.parametrize(
    "vector",
    [vector for vector in vectors("errors.json") if vector["code"] in CHECKED_CODES],
    ids=lambda vector: vector["name"],
)
def test_an_invalid_event_is_refused_with_the_contracts_code(vector: dict[str, Any]) -> None:
    """The code and the fields are the contract's. Missing fields are reported first."""
    event = json.loads(vector["message"])
    with pytest.raises(Refused) as caught:
        InMemoryProducer().publish(event)
    assert caught.value.code == vector["code"]
    if isinstance(event, dict) and isinstance(event.get("furniture"), dict):
        named = {detail.field for detail in caught.value.details}
        missing = {field for field, message in caught.value.details if message == "is required"}
        assert named == (missing or set(vector.get("fields", [])))
        assert named <= set(vector.get("fields", []))
