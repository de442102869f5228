"""The server has exactly the event types, fields, rooms, errors, limits, settings of the contract.

Every client is compared with the same file, so an addition on only one side fails a test.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest

from sio_server.contract import errors, events, rooms, strictjson
from sio_server.contract.errors import ContractError, UnknownRoom
from sio_server.contract.events import FURNITURE_FIELDS, NumberRule, TextRule
from sio_server.delivery import history
from sio_server.endpoints import http
from sio_server.net import head
from sio_server.settings import PREFIX, Settings
from tests.conftest import load_contract

CONTRACT = load_contract()


def describe(rule: TextRule | NumberRule) -> dict[str, Any]:
    """Write a field's rule as the contract does."""
    kind = "string" if isinstance(rule, TextRule) else "number"
    return {"type": kind, **rule._asdict(), "message": rule.message}


def error_kinds(parent: type[ContractError] = ContractError) -> Iterator[type[ContractError]]:
    """Yield every error class below a parent."""
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from error_kinds(child)


def test_the_event_types_are_those_of_the_contract() -> None:
    """The order is the same as well, so that both lists can be read side by side."""
    assert list(events.EVENT_TYPES) == CONTRACT["event_types"]


def test_the_furniture_fields_are_those_of_the_contract() -> None:
    """Names, bounds and messages are the same."""
    assert {name: describe(rule) for name, rule in FURNITURE_FIELDS.items()} == CONTRACT[
        "furniture"
    ]


def test_the_rooms_are_those_of_the_contract() -> None:
    """An event goes to one room of each kind, named after the field that the contract names."""
    furniture = {name: f"<{name}>" for name in FURNITURE_FIELDS}
    expected = {
        kind
        if field is None
        else f"{kind}:{'furniture_created' if field == 'type' else furniture[field]}"
        for kind, field in CONTRACT["rooms"].items()
    }
    assert set(rooms.event_rooms("furniture_created", furniture)) == expected


@pytest.mark.parametrize("kind", [*string.ascii_lowercase, "events", "furnitures", "nombre"])
def test_no_other_kind_of_room_exists(kind: str) -> None:
    """A room of a kind that the contract does not have is refused."""
    with pytest.raises(UnknownRoom):
        rooms.parse_room(f"{kind}:x")


def test_the_errors_are_those_of_the_contract() -> None:
    """Every code has its HTTP status. An error that only narrows another one shares its code."""
    found = {error.code: error.status for error in error_kinds() if "code" in vars(error)}
    assert found == CONTRACT["errors"]


def test_the_limits_are_those_of_the_contract() -> None:
    """Limits that are settings are compared by their defaults."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert CONTRACT["limits"] == {
        "id_characters": events.MAX_ID_CHARACTERS,
        "offset_characters": events.MAX_OFFSET_CHARACTERS,
        "integer_digits": len(str(strictjson.MAX_INTEGER)) - 1,
        "json_depth": defaults["max_json_depth"],
        "message_bytes": defaults["max_message_bytes"],
        "batch_bytes": defaults["max_batch_bytes"],
        "batch_events": http.MAX_BATCH_EVENTS,
        "page_events": http.MAX_PAGE_EVENTS,
        "page_bytes": history.PAGE_BYTES,
        "head_bytes": head.MAX_HEAD_BYTES,
        "header_fields": head.MAX_HEADER_FIELDS,
    }


def test_the_settings_are_those_of_the_contract() -> None:
    """The list is sorted, so that a new name has one place."""
    names = sorted(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)
    assert names == CONTRACT["settings"]
