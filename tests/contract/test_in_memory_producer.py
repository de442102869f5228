"""The client's in-memory producer refuses an event with the broker's own words.

Client and server never import each other. This test imports both, and gives both the same events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from furniture_events import FurnitureEventsError, Producer, Published, Refused
from furniture_events.testing import InMemoryProducer

from sio_server.contract.errors import ContractError
from sio_server.contract.events import parse_event
from tests.support.server import ROOT, Server

CONTRACT: dict[str, Any] = json.loads((ROOT / "tests/vectors/contract.json").read_text("utf-8"))

FURNITURE: dict[str, Any] = {
    name: "x" if rule["type"] == "string" else 1 for name, rule in CONTRACT["furniture"].items()
}

Words = tuple[str, str, tuple[tuple[str, str], ...]]


def event(type: str = "furniture_created", id: object = "i", **fields: object) -> dict[str, Any]:
    """Make an event, sound except for the given fields."""
    return {"type": type, "furniture": {**FURNITURE, **fields}, "id": id}


def without(*names: str) -> dict[str, Any]:
    """Make an event without these fields."""
    furniture = {name: value for name, value in FURNITURE.items() if name not in names}
    return {"type": "furniture_created", "furniture": furniture, "id": "i"}


def values_against(rule: dict[str, Any]) -> Iterator[object]:
    """Yield values that break a rule of the contract, at its bounds and by their type."""
    yield from (None, True, [], {})
    if rule["type"] == "string":
        yield "x" * (rule["max_length"] + 1)
        if rule["min_length"]:
            yield "x" * (rule["min_length"] - 1)
        yield 1
    else:
        yield from (rule["minimum"] - 1, rule["minimum"] - 0.5, "1")


BAD_FIELDS = [
    event(**{name: value})
    for name, rule in CONTRACT["furniture"].items()
    for value in values_against(rule)
]
MISSING_FIELDS = [without(name) for name in FURNITURE] + [
    without("nombre", "altura"),
    without(*FURNITURE),
    {"type": "furniture_created", "id": "i"},
]
BAD_TYPES = [
    event("furniture_sold"),
    event(""),
    event("x'" * 100),
    event("ñ\n"),
    event("ping", id="", nombre=""),
    {"furniture": FURNITURE},
    {"type": None, "furniture": FURNITURE},
]
BAD_IDS = [event(id=id) for id in ("", "x" * 129, "ñ", "a\n", "\x7f", 7, False, ["i"])]
SEVERAL_FAULTS = [event(nombre="", altura=-1, material=7), event(id="", nombre="")]


def words_of(error: ContractError | Refused) -> Words:
    """Return an error's code, message and details."""
    return error.code, error.message, tuple((field, text) for field, text in error.details)


@pytest.mark.parametrize(
    "bad",
    BAD_FIELDS + MISSING_FIELDS + BAD_TYPES + BAD_IDS + SEVERAL_FAULTS,
    ids=lambda bad: json.dumps(bad)[:60],
)
def test_a_refusal_has_the_brokers_words(bad: dict[str, Any]) -> None:
    """Code, message and details of a refusal are those of the broker."""
    with pytest.raises(ContractError) as broker:
        parse_event(bad)
    with pytest.raises(Refused) as client:
        InMemoryProducer().publish(bad)
    assert words_of(client.value) == words_of(broker.value)


def outcomes(producer: Producer) -> list[tuple[Words, int | None] | None]:
    """Publish events that only a log or a body's size refuses; return the refusals."""
    large = event(id="large", extra="x" * CONTRACT["limits"]["message_bytes"])
    results: list[Published | FurnitureEventsError] = []
    for each in (event(id="same"), event(id="same"), event(id="same", altura=2), large):
        try:
            results.append(producer.publish(each))
        except Refused as error:
            results.append(error)
    for each in (event(nombre=""), event("furniture_sold"), event(id="")):
        with pytest.raises(Refused) as caught:
            producer.publish(each)
        results.append(caught.value)
    results += producer.publish_many([event(id="same", altura=2), large, event(nombre="")])
    return [
        (words_of(result), result.status) if isinstance(result, Refused) else None
        for result in results
    ]


def test_a_real_broker_refuses_alike(start_server: Callable[..., Server]) -> None:
    """A used id, a large event and the HTTP statuses are refused as over HTTP."""
    server = start_server()
    with Producer(server.url) as producer:
        over_http = outcomes(producer)
    assert [outcome and outcome[0][0] for outcome in over_http] == [
        None,
        None,
        "id_conflict",
        "too_large",
        "invalid_furniture",
        "unknown_type",
        "invalid_message",
        "id_conflict",
        "too_large",
        "invalid_furniture",
    ]
    assert outcomes(InMemoryProducer()) == over_http
