"""The client keeps to the contract, whose sets are in the repository's ``contract.json``.

Outside the repository there is no such file, and these tests are skipped.
"""

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from furniture_events import AsyncProducer, Producer, _contract, errors
from furniture_events._answers import ERRORS_BY_CODE
from furniture_events.testing import InMemoryProducer
from furniture_events.testing._rules import FURNITURE_RULES

FILE = Path(__file__).parents[3] / "tests" / "vectors" / "contract.json"
CONTRACT: dict[str, Any] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}

pytestmark = pytest.mark.skipif(not CONTRACT, reason="the repository is not there")


def test_event_types_are_the_contracts() -> None:
    """The client knows exactly the contract's event types."""
    assert set(_contract.EVENT_TYPES) == set(CONTRACT["event_types"])


@pytest.mark.parametrize("producer", [Producer, AsyncProducer])
def test_each_event_type_has_a_method(producer: type) -> None:
    """A producer has one method for each event type, with its name, and no other such method."""
    methods = {name for name, _ in inspect.getmembers(producer, callable) if "furniture" in name}
    assert methods == set(CONTRACT["event_types"])


def test_a_method_publishes_the_type_of_its_name(furniture: dict[str, Any]) -> None:
    """The methods do not mix the types up."""
    producer = InMemoryProducer()
    for event_type in CONTRACT["event_types"]:
        getattr(producer, event_type)(furniture)
    assert [event.type for event in producer.events] == CONTRACT["event_types"]


def test_furniture_fields_are_the_contracts() -> None:
    """The client requires exactly the contract's fields, in the contract's order."""
    assert list(_contract.FURNITURE_FIELDS) == list(CONTRACT["furniture"])


def test_the_kinds_of_rooms_are_the_contracts() -> None:
    """``catalog`` is the only room without a kind."""
    assert {"catalog", *_contract.ROOM_KINDS} == set(CONTRACT["rooms"])


def test_each_code_has_its_class_with_its_status() -> None:
    """The codes and their HTTP statuses are exactly the contract's."""
    statuses = {code: error.http_status for code, error in ERRORS_BY_CODE.items()}
    assert statuses == CONTRACT["errors"]


def test_the_errors_docstring_has_each_code_with_its_status() -> None:
    """The tree in the docstring names exactly the contract's codes and their HTTP statuses."""
    lines = re.findall(r"── \w+ +([a-z_]+) +(\d{3})\b", errors.__doc__ or "")
    assert {code: int(status) for code, status in lines} == CONTRACT["errors"]


def test_bounds_are_the_contracts() -> None:
    """Every bound that the client knows is the contract's, and the contract has no other bound."""
    assert {
        "id_characters": _contract.MAX_ID_CHARACTERS,
        "offset_characters": _contract.MAX_OFFSET_CHARACTERS,
        "integer_digits": _contract.MAX_INTEGER_DIGITS,
        "json_depth": _contract.MAX_JSON_DEPTH,
        "message_bytes": _contract.MAX_EVENT_BYTES,
        "batch_bytes": _contract.MAX_BATCH_BYTES,
        "batch_events": _contract.MAX_BATCH_EVENTS,
        "page_events": _contract.MAX_PAGE_EVENTS,
        # The broker ends a page by itself, and the client's requests have small heads.
        **{
            name: CONTRACT["limits"][name] for name in ("page_bytes", "head_bytes", "header_fields")
        },
    } == CONTRACT["limits"]


def test_a_batch_is_as_large_as_the_broker_takes() -> None:
    """The defaults of the producer's batches are the contract's bounds."""
    parameters = inspect.signature(Producer).parameters
    defaults = {name: parameters[name].default for name in ("batch_events", "batch_bytes")}
    assert defaults == {name: CONTRACT["limits"][name] for name in defaults}


def test_the_in_memory_broker_has_the_contracts_rules() -> None:
    """Its fields, their bounds and its sentences about them are exactly the contract's."""
    rules = {
        name: dataclasses.asdict(rule) | {"message": rule.message}
        for name, rule in FURNITURE_RULES.items()
    }
    assert rules == CONTRACT["furniture"]


def test_the_in_memory_broker_takes_exactly_the_contracts_event_types(
    furniture: dict[str, Any],
) -> None:
    """It appends each event type of the contract, and refuses another one."""
    producer = InMemoryProducer()
    for event_type in CONTRACT["event_types"]:
        producer.publish({"type": event_type, "furniture": furniture})
    with pytest.raises(errors.UnknownType):
        producer.publish({"type": "furniture_sold", "furniture": furniture})


def test_the_in_memory_broker_has_the_contracts_bounds(furniture: dict[str, Any]) -> None:
    """The longest id and the largest event are taken; one more character or byte is not."""
    producer = InMemoryProducer()
    id_characters = CONTRACT["limits"]["id_characters"]
    producer.furniture_created(furniture, id="x" * id_characters)
    with pytest.raises(errors.InvalidMessage):
        producer.furniture_created(furniture, id="x" * (id_characters + 1))
    event = {"type": "furniture_created", "furniture": {**furniture, "extra": ""}, "id": "i"}
    size = len(json.dumps(event, separators=(",", ":")))
    extra = "x" * (CONTRACT["limits"]["message_bytes"] - size)
    producer.furniture_created({**furniture, "extra": extra}, id="i")
    with pytest.raises(errors.TooLarge):
        producer.furniture_created({**furniture, "extra": f"{extra}x"}, id="j")
