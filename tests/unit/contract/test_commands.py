"""Commands: the meaning of a message or of a Socket.IO event."""

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
command_names = st.sampled_from([*EVENT_TYPES, "message", "ping", "subscribe", "unsubscribe"]) | (
    st.sampled_from(["authenticate", "connect", "furniture", ""])
)
nearly_messages = st.fixed_dictionaries(
    {},
    optional={
        "type": command_names | json_values,
        "furniture": st.just(TABLE) | json_values,
        "id": st.just("a") | json_values,
        "rooms": st.lists(st.sampled_from(["catalog", "material:roble", "x"])) | json_values,
        "token": json_values,
        "ref": json_values,
    },
)


def nested(depth: int) -> Any:
    """Return this many nested lists."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def parse_event(name: Any, *arguments: Any) -> Any:
    """Parse a Socket.IO event."""
    return parse_event_arguments(name, arguments, MAX_DEPTH)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_message_with_an_event_type_publishes(event_type: str) -> None:
    """The message is the event as a producer sends it."""
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
    """Socket.IO's ``message`` accepts the same, as an object or as JSON text."""
    assert parse_message(message) == command
    assert parse_event("message", message) == command
    assert parse_event("message", dumps(message)) == command


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
    """An object is refused in the same way as the argument of Socket.IO's ``message``."""
    with pytest.raises(error) as caught:
        parse_message(message)
    assert [fault.field for fault in caught.value.details] == ([field] if field else [])
    if isinstance(message, dict):
        with pytest.raises(error):
            parse_event("message", message)


@given(json_values | nearly_messages)
def test_arbitrary_json_is_a_command_or_an_error_of_the_contract(message: Any) -> None:
    """No other exception is raised."""
    try:
        command = parse_message(message)
    except ContractError:
        return
    assert isinstance(command, COMMANDS)


arguments = st.lists(
    json_values | nearly_messages | st.binary() | nearly_messages.map(json.dumps), max_size=2
)


@given(command_names | json_values, arguments)
def test_an_arbitrary_event_is_a_command_or_an_error_of_the_contract(
    name: Any, arguments: list[Any]
) -> None:
    """This holds for any name and for any arguments."""
    try:
        command = parse_event(name, *arguments)
    except ContractError:
        return
    assert isinstance(command, COMMANDS)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_is_published_with_or_without_its_type(event_type: str) -> None:
    """The name of the Socket.IO event already says the type."""
    published = Publish(Event(event_type, TABLE, "a"))
    assert parse_event(event_type, {"furniture": TABLE, "id": "a"}) == published
    assert parse_event(event_type, {"type": event_type, "furniture": TABLE, "id": "a"}) == published


@pytest.mark.parametrize("other", ["furniture_updated", "ping", "", None, 5, []])
def test_an_event_name_that_differs_from_the_type_is_invalid(other: Any) -> None:
    """Neither of the two wins."""
    with pytest.raises(InvalidMessage):
        parse_event("furniture_created", {"type": other, "furniture": TABLE})


@pytest.mark.parametrize("argument", [None, "text", 5, True, [TABLE], dumps({"furniture": TABLE})])
def test_an_event_to_publish_is_an_object(argument: Any) -> None:
    """Only ``message`` accepts JSON text."""
    with pytest.raises(InvalidMessage):
        parse_event("furniture_created", argument)


def test_an_event_without_furniture_is_invalid_furniture() -> None:
    """The message itself is valid: only a field is missing."""
    with pytest.raises(InvalidFurniture):
        parse_event("furniture_created", {})


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
    """Rooms are one name or a list of names, and a token comes in an object."""
    assert parse_event(name, argument) == command


def test_ping_takes_no_argument() -> None:
    """Every other command takes exactly one."""
    assert parse_event("ping") == Ping()


@pytest.mark.parametrize(
    "name", [*EVENT_TYPES, "message", "subscribe", "unsubscribe", "authenticate"]
)
@pytest.mark.parametrize("arguments", [(), ({}, {}), ("catalog", None)])
def test_every_other_command_takes_one_argument(name: str, arguments: tuple[Any, ...]) -> None:
    """A call without an argument and a call with two are refused."""
    with pytest.raises(InvalidMessage):
        parse_event(name, *arguments)


@pytest.mark.parametrize("name", ["", "pong", "ready", "error", "join", "Subscribe", 5, 0, -1])
def test_an_event_that_is_no_command_is_an_unknown_type(name: Any) -> None:
    """Its arguments do not matter."""
    for arguments in ((), ({},)):
        with pytest.raises(UnknownType):
            parse_event(name, *arguments)


@pytest.mark.parametrize("token", [..., None, 5, True, ["t"], {}])
def test_a_token_is_a_string(token: Any) -> None:
    """If it is missing or of another type, the error names the field."""
    argument = {} if token is ... else {"token": token}
    with pytest.raises(InvalidMessage) as caught:
        parse_event("authenticate", argument)
    assert [fault.field for fault in caught.value.details] == ["token"]


@pytest.mark.parametrize("argument", [None, "t", ["t"]])
def test_a_token_comes_in_an_object(argument: Any) -> None:
    """A bare string is refused."""
    with pytest.raises(InvalidMessage):
        parse_event("authenticate", argument)


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"type":"ping","x":1e999}', '"\\ud800"'])
def test_bad_json_text_in_a_message_is_invalid_json(text: str) -> None:
    """The rules are those of the plain WebSocket."""
    with pytest.raises(InvalidJson):
        parse_event("message", text)


@pytest.mark.parametrize("argument", [b"", b"x", [b"x"], {"furniture": {**TABLE, "foto": b"x"}}])
@pytest.mark.parametrize("name", ["furniture_created", "message", "subscribe", "authenticate"])
def test_binary_is_an_invalid_message(name: str, argument: Any) -> None:
    """It is refused at any depth."""
    with pytest.raises(InvalidMessage):
        parse_event(name, argument)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**100, "\ud800", {"\udfff": 1}])
def test_an_argument_that_is_no_strict_json_is_refused(value: Any) -> None:
    """Socket.IO's own decoder accepts more than JSON."""
    with pytest.raises(InvalidJson):
        parse_event("furniture_created", {"furniture": {**TABLE, "x": value}})


def test_the_argument_itself_is_depth_one() -> None:
    """The bound passes and one level more is refused, for an object and for text."""
    within, beyond = nested(MAX_DEPTH - 1), nested(MAX_DEPTH)
    assert parse_event("message", {"type": "ping", "x": within}) == Ping()
    assert parse_event("message", dumps({"type": "ping", "x": within})) == Ping()
    for argument in ({"type": "ping", "x": beyond}, dumps({"type": "ping", "x": beyond})):
        with pytest.raises(InvalidJson):
            parse_event("message", argument)


@pytest.mark.parametrize("ref", ["", "a", 0, -5, 1.5, 10**50])
def test_a_ref_is_a_string_or_a_number(ref: Any) -> None:
    """It is returned unchanged, even if it is falsy."""
    assert parse_ref({"ref": ref}) == ref


@pytest.mark.parametrize("message", [{}, {"ref": None}, [], "ref", 5, None])
def test_a_message_need_not_carry_a_ref(message: Any) -> None:
    """The result is then None."""
    assert parse_ref(message) is None


@pytest.mark.parametrize("ref", [True, False, [], ["a"], {}])
def test_any_other_ref_is_an_invalid_message(ref: Any) -> None:
    """A boolean is not a number."""
    with pytest.raises(InvalidMessage) as caught:
        parse_ref({"ref": ref})
    assert [fault.field for fault in caught.value.details] == ["ref"]
