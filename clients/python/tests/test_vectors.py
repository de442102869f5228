"""The project's golden vectors, where the repository is around the package.

The stand-in judges an event by the same vectors as the broker. What is no JSON at all never
reaches a broker from this client, so those vectors are not its concern.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from furniture_events import Refused
from furniture_events.testing import InMemoryProducer

FOLDER = Path(__file__).parents[3] / "tests" / "vectors"
JUDGED = {"invalid_message", "unknown_type", "invalid_furniture"}


def vectors(name: str) -> list[Any]:
    """Read a file of vectors; none where there is no such file, which skips its test."""
    path = FOLDER / name
    found: list[Any] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


@pytest.mark.parametrize("vector", vectors("events.json"), ids=lambda vector: vector["name"])
def test_sound_event_is_recorded_as_it_is(vector: dict[str, Any]) -> None:
    """An event that the contract accepts arrives unchanged."""
    producer = InMemoryProducer()
    event = vector["publish"]
    published = producer.publish(event)
    (recorded,) = producer.events
    assert (recorded.type, recorded.furniture) == (event["type"], event["furniture"])
    assert published.id == event.get("id") or event.get("id") is None


@pytest.mark.parametrize(
    "vector",
    [vector for vector in vectors("errors.json") if vector["code"] in JUDGED],
    ids=lambda vector: vector["name"],
)
def test_unsound_event_is_refused_with_the_same_code(vector: dict[str, Any]) -> None:
    """The code is the contract's; so are the fields, of which those missing are told first."""
    event = json.loads(vector["message"])
    with pytest.raises(Refused) as caught:
        InMemoryProducer().publish(event)
    assert caught.value.code == vector["code"]
    if isinstance(event, dict) and isinstance(event.get("furniture"), dict):
        named = {detail.field for detail in caught.value.details}
        missing = {field for field, message in caught.value.details if message == "is required"}
        assert named == (missing or set(vector.get("fields", [])))
        assert named <= set(vector.get("fields", []))
