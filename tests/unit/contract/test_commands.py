"""Commands: what a message or a Socket.IO event asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.contract.commands import (
    Authenticate,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    parse_event_arguments,
    parse_message,
    parse_ref,
)
from sio_server.contract.errors import (
    ContractError,
    InvalidFurniture,
    InvalidJson,
    InvalidMessage,
    UnknownRoom,
    UnknownType,
)
from sio_server.contract.events import EVENT_TYPES, Event
from sio_server.contract.strictjson import dumps

MAX_DEPTH = 64
TABLE = {
    "furniture_id": "f1",
    "nombre": "Mesa",
    "descripcion": "",
    "altura": 75,
    "ancho": 120.5,
    "material": "roble",
    "autor_username": "Juan",
}
COMMANDS = (Publish, Ping, Subscribe, Unsubscribe, Authenticate)

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
known = st.sampled_from([*EVENT_TYPES, "message", "ping", "subscribe", "unsubscribe"]) | (
    st.sampled_from(["authenticate", "connect", "furniture", ""])
)
near_messages = st.fixed_dictionaries(
    {},
    optional={
        "type": known | json_values,
        "furniture": st.just(TABLE) | json_values,
        "id": st.just("a") | json_values,
        "rooms": st.lists(st.sampled_from(["catalog", "material:roble", "x"])) | json_values,
        "token": json_values,
        "ref": json_values,
    },
)


def nested(depth: int) -> Any:
    """Nest so many lists."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def do(name: Any, *arguments: Any) -> Any:
    """Parse a Socket.IO event."""
    return parse_event_arguments(name, arguments, MAX_DEPTH)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_message_with_an_events_type_publishes(event_type: str) -> None:
    """It is the event as a producer sends it."""
    command = parse_message({"type": event_type, "furniture": TABLE, "id": "a"})
    assert command == Publish(Event(event_type, TABLE, "a"))


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ({"type": "ping"}, Ping()),
        ({"type": "ping", "ref": 1, "x": 2}, Ping()),
        ({"type": "subscribe", "rooms": ["catalog"]}, Subscribe(frozenset({"catalog"}))),
        ({"type": "subscribe", "rooms": []}, Subscribe(frozenset())),
        ({"type": "unsubscribe", "rooms": ["author:a"]}, Unsubscribe(frozenset({"author:a"}))),
        ({"type": "authenticate", "token": "t"}, Authenticate("t")),
    ],
)
def test_a_message_names_its_command_by_type(message: Any, command: Any) -> None:
    """Each command of the plain WebSocket."""
    assert parse_message(message) == command
    assert do("message", message) == command
    assert do("message", dumps(message)) == command


@pytest.mark.parametrize(
    ("message", "error", "field"),
    [
        ([], InvalidMessage, None),
        ("ping", InvalidMessage, None),
        (None, InvalidMessage, None),
        ({}, InvalidMessage, "type"),
        ({"type": 5}, InvalidMessage, "type"),
        ({"type": "pong"}, UnknownType, None),
        ({"type": "message"}, UnknownType, None),
        ({"type": "subscribe"}, InvalidMessage, "rooms"),
        ({"type": "subscribe", "rooms": ["catalog", "nowhere"]}, UnknownRoom, None),
        ({"type": "unsubscribe", "rooms": [5]}, UnknownRoom, None),
        ({"type": "authenticate"}, InvalidMessage, "token"),
        ({"type": "authenticate", "token": 5}, InvalidMessage, "token"),
        ({"type": "furniture_created"}, InvalidFurniture, "furniture"),
        ({"type": "furniture_created", "furniture": TABLE, "id": ""}, InvalidMessage, "id"),
    ],
)
def test_a_bad_message_is_refused_with_its_code(
    message: Any, error: type[ContractError], field: str | None
) -> None:
    """As an object and, where it is one, as the argument of Socket.IO's ``message``."""
    with pytest.raises(error) as caught:
        parse_message(message)
    assert [fault.field for fault in caught.value.details] == ([field] if field else [])
    if isinstance(message, dict):
        with pytest.raises(error):
            do("message", message)


@given(json_values | near_messages)
def test_arbitrary_json_is_a_command_or_an_error_of_the_contract(message: Any) -> None:
    """Nothing else comes out."""
    try:
        command = parse_message(message)
    except ContractError:
        return
    assert isinstance(command, COMMANDS)


arguments = st.lists(
    json_values | near_messages | st.binary() | near_messages.map(json.dumps), max_size=2
)


@given(known | json_values, arguments)
def test_an_arbitrary_event_is_a_command_or_an_error_of_the_contract(
    name: Any, arguments: list[Any]
) -> None:
    """Whatever its name and arguments are."""
    try:
        command = do(name, *arguments)
    except ContractError:
        return
    assert isinstance(command, COMMANDS)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_is_published_with_or_without_its_type(event_type: str) -> None:
    """Its name says it already."""
    published = Publish(Event(event_type, TABLE, "a"))
    assert do(event_type, {"furniture": TABLE, "id": "a"}) == published
    assert do(event_type, {"type": event_type, "furniture": TABLE, "id": "a"}) == published


@pytest.mark.parametrize("other", ["furniture_updated", "ping", "", None, 5, []])
def test_an_event_name_that_differs_from_the_type_is_invalid(other: Any) -> None:
    """Neither of the two is taken."""
    with pytest.raises(InvalidMessage):
        do("furniture_created", {"type": other, "furniture": TABLE})


@pytest.mark.parametrize("argument", [None, "text", 5, True, [TABLE], dumps({"furniture": TABLE})])
def test_an_event_to_publish_is_an_object(argument: Any) -> None:
    """JSON text is for ``message`` alone."""
    with pytest.raises(InvalidMessage):
        do("furniture_created", argument)


def test_an_event_without_furniture_has_it_at_fault() -> None:
    """It is a field, missing."""
    with pytest.raises(InvalidFurniture):
        do("furniture_created", {})


@pytest.mark.parametrize(
    ("name", "argument", "command"),
    [
        ("subscribe", "catalog", Subscribe(frozenset({"catalog"}))),
        ("subscribe", ["catalog", "author:a"], Subscribe(frozenset({"catalog", "author:a"}))),
        ("subscribe", [], Subscribe(frozenset())),
        (
            "unsubscribe",
            "type:furniture_deleted",
            Unsubscribe(frozenset({"type:furniture_deleted"})),
        ),
        ("authenticate", {"token": "t"}, Authenticate("t")),
    ],
)
def test_an_event_names_its_command(name: str, argument: Any, command: Any) -> None:
    """A room or a list of them, an object with a token."""
    assert do(name, argument) == command


def test_ping_takes_nothing() -> None:
    """It is a ping."""
    assert do("ping") == Ping()


@pytest.mark.parametrize(
    "name", [*EVENT_TYPES, "message", "subscribe", "unsubscribe", "authenticate"]
)
@pytest.mark.parametrize("arguments", [(), ({}, {}), ("catalog", None)])
def test_every_other_command_takes_one_argument(name: str, arguments: tuple[Any, ...]) -> None:
    """None and two are refused."""
    with pytest.raises(InvalidMessage):
        do(name, *arguments)


@pytest.mark.parametrize("name", ["", "pong", "ready", "error", "join", "Subscribe", 5, 0, -1])
def test_an_event_beyond_the_table_is_of_unknown_type(name: Any) -> None:
    """With or without arguments."""
    for arguments in ((), ({},)):
        with pytest.raises(UnknownType):
            do(name, *arguments)


@pytest.mark.parametrize("token", [..., None, 5, True, ["t"], {}])
def test_a_token_is_a_string(token: Any) -> None:
    """Missing, or of another type, it is an invalid message that does not show it."""
    argument = {} if token is ... else {"token": token}
    with pytest.raises(InvalidMessage) as caught:
        do("authenticate", argument)
    assert [fault.field for fault in caught.value.details] == ["token"]


@pytest.mark.parametrize("argument", [None, "t", ["t"]])
def test_a_token_comes_in_an_object(argument: Any) -> None:
    """A bare string is not one."""
    with pytest.raises(InvalidMessage):
        do("authenticate", argument)


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"type":"ping","x":1e999}', '"\\ud800"'])
def test_bad_json_text_in_a_message_is_invalid_json(text: str) -> None:
    """It is held to the same rules as the plain WebSocket's."""
    with pytest.raises(InvalidJson):
        do("message", text)


@pytest.mark.parametrize("argument", [b"", b"x", [b"x"], {"furniture": {**TABLE, "foto": b"x"}}])
@pytest.mark.parametrize("name", ["furniture_created", "message", "subscribe", "authenticate"])
def test_binary_is_an_invalid_message(name: str, argument: Any) -> None:
    """Wherever it stands."""
    with pytest.raises(InvalidMessage):
        do(name, argument)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**100, "\ud800", {"\udfff": 1}])
def test_an_argument_is_json_in_the_contracts_sense(value: Any) -> None:
    """Socket.IO's own decoder takes more."""
    with pytest.raises(InvalidJson):
        do("furniture_created", {"furniture": {**TABLE, "x": value}})


def test_the_argument_itself_is_depth_one() -> None:
    """At the bound it passes, one deeper it does not, as an object or as text."""
    within, beyond = nested(MAX_DEPTH - 1), nested(MAX_DEPTH)
    assert do("message", {"type": "ping", "x": within}) == Ping()
    assert do("message", dumps({"type": "ping", "x": within})) == Ping()
    for argument in ({"type": "ping", "x": beyond}, dumps({"type": "ping", "x": beyond})):
        with pytest.raises(InvalidJson):
            do("message", argument)


@pytest.mark.parametrize("ref", ["", "a", 0, -5, 1.5, 10**50])
def test_a_ref_is_a_string_or_a_number(ref: Any) -> None:
    """It comes back as it is, falsy ones too."""
    assert parse_ref({"ref": ref}) == ref


@pytest.mark.parametrize("message", [{}, {"ref": None}, [], "ref", 5, None])
def test_a_message_need_not_carry_a_ref(message: Any) -> None:
    """Then there is None."""
    assert parse_ref(message) is None


@pytest.mark.parametrize("ref", [True, False, [], ["a"], {}])
def test_any_other_ref_is_an_invalid_message(ref: Any) -> None:
    """Booleans are no numbers."""
    with pytest.raises(InvalidMessage) as caught:
        parse_ref({"ref": ref})
    assert [fault.field for fault in caught.value.details] == ["ref"]
