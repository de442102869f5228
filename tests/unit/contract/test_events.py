"""The events: what a producer may send, ids, timestamps, offsets, the consumers' forms."""

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
    """Return a valid message with changes; ``...`` takes a key away."""
    whole = {"type": "furniture_created", "furniture": dict(TABLE), **changes}
    return {key: value for key, value in whole.items() if value is not ...}


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
def test_a_field_within_its_bounds_is_kept_as_it_came(field: str, value: Any) -> None:
    """Lengths are in code points, integers stay integers, zero is a measure."""
    kept = check_furniture({**TABLE, field: value})[field]
    assert kept == value
    assert type(kept) is type(value)


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
    """The answer says what the field must be, not what it was."""
    with pytest.raises(InvalidFurniture) as caught:
        check_furniture({**TABLE, field: value})
    assert caught.value.details == (Fault(f"furniture.{field}", rule),)
    assert caught.value.message == f"furniture.{field}: {rule}"


@pytest.mark.parametrize("field", TABLE)
@pytest.mark.parametrize("event_type", events.EVENT_TYPES)
def test_every_field_is_required_in_every_type(field: str, event_type: str) -> None:
    """A deletion, too, carries the whole piece."""
    furniture = {name: value for name, value in TABLE.items() if name != field}
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(type=event_type, furniture=furniture))
    assert caught.value.details == (Fault(f"furniture.{field}", "is required"),)


def test_every_field_at_fault_is_named_at_once() -> None:
    """Missing and wrong ones together, each once."""
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
    """Anything else is the fault of ``furniture`` itself."""
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(furniture=furniture))
    assert caught.value.details == (Fault("furniture", "must be an object"),)


def test_a_missing_furniture_is_named() -> None:
    """It is a field at fault like any other."""
    with pytest.raises(InvalidFurniture) as caught:
        parse_event(message(furniture=...))
    assert caught.value.details == (Fault("furniture", "is required"),)


@given(st.dictionaries(texts, json_values, max_size=5))
@example({"model_config": 1, "model_fields": {}, "__class__": 2, "self": 3, "": 4, "offset": 5})
def test_fields_beyond_the_seven_are_delivered_as_they_came(extra: dict[str, Any]) -> None:
    """Whatever they are called and hold: the catalogue may grow a field."""
    furniture = {**extra, **TABLE}
    event = parse_event(message(furniture=furniture))
    assert event.furniture == furniture
    assert list(event.furniture) == list(furniture)


def test_other_keys_at_the_top_are_not_delivered() -> None:
    """They are ignored, also where they look like ours."""
    event = parse_event(message(timestamp="then", offset="x-1", ref=5, id="a"))
    assert json.loads(event.body("now")) == {
        "type": "furniture_created",
        "furniture": TABLE,
        "id": "a",
        "timestamp": "now",
    }


@pytest.mark.parametrize("whole", [None, [], "furniture_created", 5, True, [message()]])
def test_a_message_is_an_object(whole: Any) -> None:
    """Anything else is an invalid message."""
    with pytest.raises(InvalidMessage):
        parse_event(whole)


@pytest.mark.parametrize("event_type", [..., None, 5, True, ["furniture_created"], {}])
def test_a_message_has_a_type(event_type: Any) -> None:
    """Without one, or with one that is no string, it is an invalid message."""
    with pytest.raises(InvalidMessage) as caught:
        parse_event(message(type=event_type))
    assert [fault.field for fault in caught.value.details] == ["type"]


@pytest.mark.parametrize("event_type", ["", "furniture_sold", "FURNITURE_CREATED", "ping"])
def test_a_type_beyond_the_three_is_unknown(event_type: str) -> None:
    """Case and spelling count."""
    with pytest.raises(UnknownType):
        parse_event(message(type=event_type))


def test_an_unknown_type_is_quoted_within_bounds_and_on_one_line() -> None:
    """The answer does not grow with what the client wrote."""
    error = events.unknown_type("\n\ud800" + "x" * 10_000)
    assert len(error.message) < 200
    assert error.message.isprintable()


ids = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128)


@given(ids)
@example("x" * 128)
@example(" ~")
def test_an_id_of_printable_ascii_is_kept(id: str) -> None:
    """From the message, from beside it, or from both where they agree."""
    assert parse_event(message(id=id)).id == id
    assert parse_event(message(), id=id).id == id
    assert parse_event(message(id=id), id=id).id == id


@pytest.mark.parametrize(
    "id", ["", "x" * 129, "ñ", "a\n", "\x7f", "\x00", "\t", 5, True, [], {}, "\ud800"]
)
def test_a_bad_id_is_an_invalid_message(id: Any) -> None:
    """Empty, too long, not printable ASCII, not a string."""
    with pytest.raises(InvalidMessage) as caught:
        parse_event(message(id=id))
    assert [fault.field for fault in caught.value.details] == ["id"]


@pytest.mark.parametrize("key", ["", "x" * 129, "ñ"])
def test_a_bad_key_beside_the_message_is_an_invalid_message(key: str) -> None:
    """The same rule holds for it, whatever the message's own id."""
    for own in (..., "good"):
        with pytest.raises(InvalidMessage):
            parse_event(message(id=own), id=key)


def test_two_ids_that_differ_are_an_invalid_message() -> None:
    """Neither wins."""
    with pytest.raises(InvalidMessage, match="differ"):
        parse_event(message(id="a"), id="b")


@pytest.mark.parametrize("id", [..., None])
def test_without_an_id_the_server_makes_one(id: Any) -> None:
    """Absent and null are the same; each event gets its own."""
    first, second = parse_event(message(id=id)).id, parse_event(message(id=id)).id
    assert UUID(first).version == UUID(second).version == 7
    assert first != second


@given(json_values | st.dictionaries(st.sampled_from(["type", "furniture", "id"]), json_values))
def test_arbitrary_json_is_an_event_or_an_error_of_the_contract(value: Any) -> None:
    """Nothing else comes out."""
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
    """Version and variant stand where RFC 9562 has them, the milliseconds in front."""
    made = {}
    for milliseconds in times:
        id = events.new_id(lambda at=milliseconds: (at + 0.5) / 1000, lambda size: random[:size])
        uuid = UUID(id)
        assert id == str(uuid)
        assert (uuid.version, uuid.variant) == (7, RFC_4122)
        assert uuid.int >> 80 == milliseconds
        made[milliseconds] = id
    assert [made[at] for at in sorted(made)] == sorted(made.values())


def test_74_random_bits_tell_the_ids_of_one_moment_apart() -> None:
    """Each of so many bits that are drawn is in the id."""
    drawn = [(1 << bit).to_bytes(10, "big") for bit in range(80)]
    made = {events.new_id(lambda: 1_700_000_000, lambda size, bits=bits: bits) for bits in drawn}
    zero = events.new_id(lambda: 1_700_000_000, bytes)
    assert len(made - {zero}) == 74


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
    """Three digits always, and a ``Z``."""
    assert events.format_timestamp(milliseconds) == text


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 253_402_300_799_999))
def test_timestamps_read_back_exactly_and_sort_as_text(a: int, b: int) -> None:
    """No float rounds a millisecond away."""
    first, second = events.format_timestamp(a), events.format_timestamp(b)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert datetime.fromisoformat(first) - epoch == timedelta(milliseconds=a)
    assert len(first) == 24
    assert (first < second) == (a < b)


def test_now_is_now() -> None:
    """The current time lies between two looks at the clock."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = datetime.fromisoformat(events.now_timestamp())
    assert before <= now <= datetime.now(UTC)


epochs = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), min_size=12, max_size=12)


@given(epochs, st.integers(0, 10**18 - 1))
def test_an_offset_of_ours_reads_back(epoch: str, seq: int) -> None:
    """As text it keeps to the contract's alphabet and length."""
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
def test_an_offset_parses_exactly_where_it_is_well_formed(value: Any) -> None:
    """All else is ``InvalidOffset``, and nothing but that."""
    good = isinstance(value, str) and 1 <= len(value) <= 64 and set(value) <= {*OFFSET_CHARACTERS}
    try:
        offset = Offset.parse(value)
    except InvalidOffset:
        assert not good
    else:
        assert good
        assert offset.seq >= 0


@pytest.mark.parametrize(
    "text", ["k3jf9a0b1c2d", "k3jf9a0b1c2d-", "k3jf9a0b1c2d-01", "k3jf9a0b1c2d-1e1", "-", "-5", "7"]
)
def test_what_was_never_an_offset_is_of_no_known_epoch(text: str) -> None:
    """It is told as a gap, even where it begins as the log's own offsets do."""
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


def test_the_body_is_what_every_consumer_gets() -> None:
    """Type, furniture, id and timestamp, in that order; compact."""
    assert json.loads(RECORD.body) == DELIVERED
    assert list(json.loads(RECORD.body)) == ["type", "furniture", "id", "timestamp"]
    assert RECORD.body == strictjson.dumps(DELIVERED)


def test_the_plain_form_has_the_offset() -> None:
    """It is the event plus ``offset``."""
    expected = {**DELIVERED, "offset": "k3jf9a0b1c2d-42"}
    assert json.loads(RECORD.json_with_offset) == expected


def test_the_socketio_form_ends_in_the_offset() -> None:
    """Event name, event, offset as a string: what recovery in the client looks for."""
    assert json.loads(RECORD.event_arguments) == [
        "furniture_updated",
        DELIVERED,
        "k3jf9a0b1c2d-42",
    ]


def test_the_one_argument_form_has_no_offset() -> None:
    """For handlers that take the event alone."""
    assert json.loads(RECORD.event_argument) == ["furniture_updated", DELIVERED]


def test_the_sse_form_is_one_unnamed_event() -> None:
    """Its id is the offset, its data one line, whatever the event holds."""
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
def test_a_receipt_is_the_acknowledgements_shape(duplicate: bool) -> None:
    """Id, offset as text, timestamp, and whether it is a duplicate."""
    assert Receipt("a", Offset("e", 5), "then", duplicate).as_dict() == {
        "id": "a",
        "offset": "e-5",
        "timestamp": "then",
        "duplicate": duplicate,
    }
