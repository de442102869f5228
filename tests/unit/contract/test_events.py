"""Events: published messages, ids, timestamps, offsets, and the forms that consumers get."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sio_server.contract import events, strictjson
from sio_server.contract.errors import (
    ContractError,
    Fault,
    InvalidFurniture,
    InvalidMessage,
    InvalidOffset,
    UnknownType,
)
from sio_server.contract.events import Event, Offset, Receipt, Record, check_furniture, parse_event

TABLE = {
    "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
    "nombre": "Mesa de Roble",
    "descripcion": "Mesa elegante de comedor",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "Juan",
}
NUMBER = "must be a number ≥ 0"
NAME = "must be a string of 1 to 255 characters"

OFFSET_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def message(**changes: Any) -> dict[str, Any]:
    """Return a valid message with changes; the value ``...`` removes a key."""
    content = {"type": "furniture_created", "furniture": dict(TABLE), **changes}
    return {key: value for key, value in content.items() if value is not ...}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("furniture_id", "x"),
        ("furniture_id", "x" * 128),
        ("furniture_id", "😀" * 128),
        ("nombre", "ñ" * 255),
        ("nombre", " "),
        ("material", "😀" * 255),
        ("autor_username", "\n"),
        ("descripcion", ""),
        ("descripcion", "😀" * 10_000),
        ("altura", 0),
        ("altura", 0.0),
        ("altura", -0.0),
        ("altura", 5e-324),
        ("altura", 1.7976931348623157e308),
        ("ancho", 10**100 - 1),
        ("ancho", 120.5),
    ],
)
def test_a_field_within_its_bounds_is_not_changed(field: str, value: Any) -> None:
    """Lengths count code points, integers stay integers, and zero is a valid measure."""
    checked = check_furniture({**TABLE, field: value})[field]
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        *[
            ("furniture_id", bad, "must be a string of 1 to 128 characters")
            for bad in ("", "x" * 129)
        ],
        ("furniture_id", 7, "must be a string of 1 to 128 characters"),
        ("furniture_id", None, "must be a string of 1 to 128 characters"),
        *[
            (field, bad, NAME)
            for field in ("nombre", "material", "autor_username")
            for bad in ("", "x" * 256, "😀" * 256, 5, None, True, ["roble"], {"a": "roble"})
        ],
        *[
            ("descripcion", bad, "must be a string of at most 10000 characters")
            for bad in ("x" * 10_001, None, 0, [])
        ],
        *[
            (field, bad, NUMBER)
            for field in ("altura", "ancho")
            for bad in (-1, -0.001, -(10**50), True, False, "75", "", None, [], {}, [75])
        ],
        *[("altura", bad, NUMBER) for bad in (float("nan"), float("inf"))],
    ],
)
def test_a_field_at_fault_is_named_with_its_rule(field: str, value: Any, rule: str) -> None:
    """The message says what the field must be, and does not repeat the value."""
    with pytest.raises(InvalidFurniture) as caught:
        check_furniture({**TABLE, field: value})
    assert caught.value.details == (Fault(f"furniture.{field}", rule),)
    assert caught.value.message == f"furniture.{field}: {rule}"


@pytest.mark.parametrize("field", TABLE)
@pytest.mark.parametrize("event_type", events.EVENT_TYPES)
def test_every_field_is_required_in_every_type(field: str, event_type: str) -> None:
    """A deletion has all fields as well."""
    furniture = {name: value for name, value in TABLE.items() if name != field}
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(type=event_type, furniture=furniture))
    assert caught.value.details == (Fault(f"furniture.{field}", "is required"),)


def test_every_field_at_fault_is_named_at_once() -> None:
    """Missing and wrong fields are reported together, each once."""
    with pytest.raises(InvalidFurniture) as caught:
        check_furniture({"nombre": "", "altura": "75", "ancho": -1, "material": "roble"})
    assert sorted(fault.field for fault in caught.value.details) == [
        "furniture.altura",
        "furniture.ancho",
        "furniture.autor_username",
        "furniture.descripcion",
        "furniture.furniture_id",
        "furniture.nombre",
    ]


@pytest.mark.parametrize("furniture", [None, [], "roble", 5, True, [TABLE]])
def test_furniture_is_an_object(furniture: Any) -> None:
    """Any other value is a fault of ``furniture`` itself."""
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(furniture=furniture))
    assert caught.value.details == (Fault("furniture", "must be an object"),)


def test_a_missing_furniture_is_named() -> None:
    """It is reported like every other required field."""
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(furniture=...))
    assert caught.value.details == (Fault("furniture", "is required"),)


@given(st.dictionaries(texts, json_values, max_size=5))
@example({"model_config": 1, "model_fields": {}, "__class__": 2, "self": 3, "": 4, "offset": 5})
def test_other_fields_of_the_furniture_are_not_changed(extra: dict[str, Any]) -> None:
    """Any name and any value is accepted, because the catalogue may get new fields."""
    furniture = {**extra, **TABLE}
    event = parse_event(message(furniture=furniture))
    assert event.furniture == furniture
    assert list(event.furniture) == list(furniture)


def test_other_keys_of_the_message_are_not_delivered() -> None:
    """They are ignored, even if their names are names of our own keys."""
    event = parse_event(message(timestamp="then", offset="x-1", ref=5, id="a"))
    assert json.loads(event.body("now")) == {
        "type": "furniture_created",
        "furniture": TABLE,
        "id": "a",
        "timestamp": "now",
    }


@pytest.mark.parametrize("content", [None, [], "furniture_created", 5, True, [message()]])
def test_a_message_is_an_object(content: Any) -> None:
    """Any other JSON value is an invalid message."""
    with pytest.raises(InvalidMessage):
        parse_event(content)


@pytest.mark.parametrize("event_type", [..., None, 5, True, ["furniture_created"], {}])
def test_a_message_has_a_type(event_type: Any) -> None:
    """A type that is missing or no string makes an invalid message."""
    with pytest.raises(InvalidMessage) as caught:
        parse_event(message(type=event_type))
    assert [fault.field for fault in caught.value.details] == ["type"]


@pytest.mark.parametrize("event_type", ["", "furniture_sold", "FURNITURE_CREATED", "ping"])
def test_any_other_type_is_unknown(event_type: str) -> None:
    """Case and spelling count."""
    with pytest.raises(UnknownType):
        parse_event(message(type=event_type))


def test_an_error_shows_an_unknown_type_shortened_and_on_one_line() -> None:
    """The answer does not grow with the client's text, and stays on its line."""
    error = events.unknown_type("\n\ud800" + "x" * 10_000)
    assert len(error.message) < 200
    assert error.message.isprintable()


ids = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128)


@given(ids)
@example("x" * 128)
@example(" ~")
def test_an_id_of_printable_ascii_is_not_changed(id: str) -> None:
    """It comes from the message, from the ``Idempotency-Key`` header, or the same from both."""
    assert parse_event(message(id=id)).id == id
    assert parse_event(message(), id=id).id == id
    assert parse_event(message(id=id), id=id).id == id


@pytest.mark.parametrize(
    "id", ["", "x" * 129, "ñ", "a\n", "\x7f", "\x00", "\t", 5, True, [], {}, "\ud800"]
)
def test_a_bad_id_is_an_invalid_message(id: Any) -> None:
    """An id is a string of 1 to 128 printable ASCII characters."""
    with pytest.raises(InvalidMessage) as caught:
        parse_event(message(id=id))
    assert [fault.field for fault in caught.value.details] == ["id"]


@pytest.mark.parametrize("key", ["", "x" * 129, "ñ"])
def test_a_bad_idempotency_key_is_an_invalid_message(key: str) -> None:
    """It follows the rules of an id, even if the message has a valid id."""
    for own_id in (..., "good"):
        with pytest.raises(InvalidMessage):
            parse_event(message(id=own_id), id=key)


def test_two_ids_that_differ_are_an_invalid_message() -> None:
    """Neither wins."""
    with pytest.raises(InvalidMessage, match="differ"):
        parse_event(message(id="a"), id="b")


@pytest.mark.parametrize("id", [..., None])
def test_without_an_id_the_server_makes_one(id: Any) -> None:
    """A missing id and null are the same, and each event gets another id."""
    first, second = parse_event(message(id=id)).id, parse_event(message(id=id)).id
    assert UUID(first).version == UUID(second).version == 7
    assert first != second


@given(json_values | st.dictionaries(st.sampled_from(["type", "furniture", "id"]), json_values))
def test_arbitrary_json_is_an_event_or_an_error_of_the_contract(value: Any) -> None:
    """No other exception is raised."""
    try:
        event = parse_event(value)
    except ContractError:
        return
    assert event.type in events.EVENT_TYPES


@given(
    st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=8),
    st.binary(min_size=10, max_size=10),
)
@example([0, 2**48 - 1], b"\xff" * 10)
@example([0, 2**48 - 1], b"\x00" * 10)
def test_ids_are_version_7_and_sort_by_time(times: list[int], random: bytes) -> None:
    """Version and variant are where RFC 9562 puts them, and the milliseconds come first."""
    made_ids = {}
    for milliseconds in times:
        id = events.new_id(lambda at=milliseconds: (at + 0.5) / 1000, lambda size: random[:size])
        uuid = UUID(id)
        assert id == str(uuid)
        assert (uuid.version, uuid.variant) == (7, RFC_4122)
        assert uuid.int >> 80 == milliseconds
        made_ids[milliseconds] = id
    assert [made_ids[at] for at in sorted(made_ids)] == sorted(made_ids.values())


def test_74_random_bits_tell_the_ids_of_one_moment_apart() -> None:
    """Version, variant and time take the other 54 of the 128 bits (RFC 9562, 5.7)."""
    one_bit_each = [(1 << bit).to_bytes(10, "big") for bit in range(80)]
    made_ids = {
        events.new_id(lambda: 1_700_000_000, lambda size, bits=bits: bits) for bits in one_bit_each
    }
    zero = events.new_id(lambda: 1_700_000_000, bytes)
    assert len(made_ids - {zero}) == 74


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_705_329_000_000, "2024-01-15T14:30:00.000Z"),
        (1_705_329_000_999, "2024-01-15T14:30:00.999Z"),
        (951_782_399_050, "2000-02-28T23:59:59.050Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_timestamps_are_utc_with_milliseconds(milliseconds: int, text: str) -> None:
    """They always have three decimals and a ``Z``."""
    assert events.format_timestamp(milliseconds) == text


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 253_402_300_799_999))
def test_timestamps_read_back_exactly_and_sort_as_text(a: int, b: int) -> None:
    """No rounding of a float loses a millisecond."""
    first, second = events.format_timestamp(a), events.format_timestamp(b)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert datetime.fromisoformat(first) - epoch == timedelta(milliseconds=a)
    assert len(first) == 24
    assert (first < second) == (a < b)


def test_now_timestamp_is_the_current_time() -> None:
    """It lies between two readings of the clock."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = datetime.fromisoformat(events.now_timestamp())
    assert before <= now <= datetime.now(UTC)


epochs = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), min_size=12, max_size=12)


@given(epochs, st.integers(0, 10**18 - 1))
def test_the_text_of_an_offset_parses_to_the_same_offset(epoch: str, seq: int) -> None:
    """The text has the contract's alphabet and length."""
    text = str(Offset(epoch, seq))
    assert 1 <= len(text) <= 64
    assert set(text) <= set(OFFSET_CHARACTERS)
    assert Offset.parse(text) == Offset(epoch, seq)


@given(st.text() | st.text(st.sampled_from(OFFSET_CHARACTERS), max_size=66) | json_values)
@example("a" * 64)
@example("a" * 65)
@example("-1")
@example("a--1")
@example("a-00")
@example("a-" + "9" * 62)
@example("a-1\n")
def test_only_a_well_formed_offset_parses(value: Any) -> None:
    """Any other value is ``InvalidOffset``, and no other exception is raised."""
    well_formed = (
        isinstance(value, str) and 1 <= len(value) <= 64 and set(value) <= {*OFFSET_CHARACTERS}
    )
    try:
        offset = Offset.parse(value)
    except InvalidOffset:
        assert not well_formed
    else:
        assert well_formed
        assert offset.seq >= 0


@pytest.mark.parametrize(
    "text", ["k3jf9a0b1c2d", "k3jf9a0b1c2d-", "k3jf9a0b1c2d-01", "k3jf9a0b1c2d-1e1", "-", "-5", "7"]
)
def test_well_formed_text_that_is_no_offset_has_no_known_epoch(text: str) -> None:
    """It is therefore a gap, even if it starts like the log's own offsets."""
    assert Offset.parse(text).epoch not in ("k3jf9a0b1c2d", "")


RECORD = Record(
    Offset("k3jf9a0b1c2d", 42),
    "furniture_updated",
    ("catalog",),
    Event("furniture_updated", {**TABLE, "nota": "línea\nsalto\u2028😀"}, "an id").body(
        "2024-01-15T14:30:00.000Z"
    ),
)
DELIVERED = {
    "type": "furniture_updated",
    "furniture": {**TABLE, "nota": "línea\nsalto\u2028😀"},
    "id": "an id",
    "timestamp": "2024-01-15T14:30:00.000Z",
}


def test_the_body_has_the_members_that_every_consumer_gets() -> None:
    """They are type, furniture, id and timestamp, in this order and without spaces."""
    assert json.loads(RECORD.body) == DELIVERED
    assert list(json.loads(RECORD.body)) == ["type", "furniture", "id", "timestamp"]
    assert RECORD.body == strictjson.dumps(DELIVERED)


def test_the_plain_form_has_the_offset() -> None:
    """A plain WebSocket has only one message for an event."""
    expected = {**DELIVERED, "offset": "k3jf9a0b1c2d-42"}
    assert json.loads(RECORD.json_with_offset) == expected


def test_the_socketio_form_ends_in_the_offset() -> None:
    """A Socket.IO client takes the last argument of an event as its recovery offset."""
    assert json.loads(RECORD.event_arguments) == [
        "furniture_updated",
        DELIVERED,
        "k3jf9a0b1c2d-42",
    ]


def test_the_one_argument_form_has_no_offset() -> None:
    """It is for handlers that accept only the event."""
    assert json.loads(RECORD.event_argument) == ["furniture_updated", DELIVERED]


def test_the_sse_form_is_one_unnamed_event() -> None:
    """Its id is the offset, and its data is one line for any event."""
    assert RECORD.sse.endswith("\n\n")
    first, second = RECORD.sse[:-2].split("\n")
    assert first == "id: k3jf9a0b1c2d-42"
    assert json.loads(second.removeprefix("data: ")) == DELIVERED
    assert "\r" not in RECORD.sse


@pytest.mark.parametrize("form", ["json_with_offset", "event_arguments", "event_argument", "sse"])
def test_a_form_is_encoded_once(form: str) -> None:
    """Every consumer after the first gets the same object."""
    assert getattr(RECORD, form) is getattr(RECORD, form)


@pytest.mark.parametrize("duplicate", [False, True])
def test_a_receipt_has_the_shape_of_an_acknowledgement(duplicate: bool) -> None:
    """Its offset is text."""
    assert Receipt("a", Offset("e", 5), "then", duplicate).as_dict() == {
        "id": "a",
        "offset": "e-5",
        "timestamp": "then",
        "duplicate": duplicate,
    }
