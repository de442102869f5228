"""The user's objects become the JSON text of one event."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furniture_events._contract import FURNITURE_FIELDS
from furniture_events._encoding import EncodedEvent, encode_event
from furniture_events.errors import InvalidFurniture, InvalidMessage

SOUND: dict[str, Any] = dict.fromkeys(FURNITURE_FIELDS, "x") | {"altura": 1, "ancho": 2}


@dataclass
class Chair:
    """Furniture as a dataclass, with one field that the contract does not have."""

    furniture_id: UUID
    nombre: str
    altura: Decimal
    ancho: Decimal
    material: str
    autor_username: str
    descripcion: str = ""
    colores: tuple[str, ...] = field(default=("rojo", "azul"))


def encode(furniture: object, id: object = "id-1") -> Any:
    """Encode an event and decode its body."""
    document = {"type": "furniture_created", "furniture": furniture, "id": id}
    return json.loads(encode_event(document, lambda: "made").body)


def test_event_holds_only_type_furniture_and_id() -> None:
    """Other keys at the top level are left out."""
    event = {"type": "furniture_deleted", "furniture": SOUND, "id": "a", "note": object()}
    encoded = encode_event(event, lambda: "made")
    assert encoded.id == "a"
    assert json.loads(encoded.body) == {"type": "furniture_deleted", "furniture": SOUND, "id": "a"}


def test_missing_id_is_made() -> None:
    """The given function makes the id if it is absent or None."""
    assert encode(SOUND, id=None)["id"] == "made"
    absent = encode_event({"type": "furniture_created", "furniture": SOUND}, lambda: "made")
    assert absent.id == "made"


def test_uuid_id_becomes_text() -> None:
    """A UUID is accepted as id, in canonical text."""
    assert encode(SOUND, id=UUID(int=7))["id"] == "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize("id", [7, b"a", 1.5, True])
def test_id_of_another_type_is_refused(id: object) -> None:
    """An id is text or a UUID."""
    with pytest.raises(InvalidMessage, match="id: must be 1 to 128 printable"):
        encode(SOUND, id=id)


@pytest.mark.parametrize("event", [None, [], "x", {}, {"furniture": SOUND}, {"type": 7}])
def test_a_value_that_is_no_event_is_refused(event: object) -> None:
    """An event is a mapping with a textual type."""
    with pytest.raises(InvalidMessage) as caught:
        encode_event(event, str)
    assert caught.value.status is None


def test_lone_surrogate_in_type_or_id_is_refused() -> None:
    """UTF-8 has no lone surrogates, so an event has none."""
    with pytest.raises(InvalidMessage, match="surrogate"):
        encode(SOUND, id="\ud800")
    with pytest.raises(InvalidMessage, match="surrogate"):
        encode_event({"type": "\ud800", "furniture": SOUND}, str)


def test_mapping_keeps_its_extra_fields() -> None:
    """A mapping of any kind is sent with all its fields, in UTF-8."""
    furniture = MappingProxyType(SOUND | {"nombre": "Sofá 🛋", "extra": {"a": [1, None, True]}})
    assert encode(furniture)["furniture"] == dict(furniture)


def test_dataclass_keeps_its_extra_fields() -> None:
    """A dataclass is sent with all its fields, and with Decimal and UUID as JSON values."""
    chair = Chair(UUID(int=1), "Silla", Decimal("90.50"), Decimal("45.00"), "pino", "Ana")
    assert encode(chair)["furniture"] == {
        "furniture_id": "00000000-0000-0000-0000-000000000001",
        "nombre": "Silla",
        "descripcion": "",
        "altura": 90.5,
        "ancho": 45,
        "material": "pino",
        "autor_username": "Ana",
        "colores": ["rojo", "azul"],
    }


def test_dataclass_may_compute_a_field() -> None:
    """A property can be one of the seven fields, and a nested dataclass becomes an object."""

    @dataclass
    class Author:
        name: str

    @dataclass
    class Shelf:
        author: Author
        furniture_id: str = "1"
        nombre: str = "n"
        descripcion: str = "d"
        altura: int = 1
        ancho: int = 1
        material: str = "m"

        @property
        def autor_username(self) -> str:
            return self.author.name

    furniture = encode(Shelf(Author("Eva")))["furniture"]
    assert furniture["autor_username"] == "Eva"
    assert furniture["author"] == {"name": "Eva"}


def test_only_the_seven_attributes_of_other_objects_are_sent() -> None:
    """Only the contract's attributes of an object are read."""
    furniture = SimpleNamespace(**SOUND, password="sesame", _state=object())
    assert encode(furniture)["furniture"] == SOUND


@pytest.mark.parametrize("wrap", [dict, lambda values: SimpleNamespace(**values)])
def test_all_missing_fields_are_named_at_once(wrap: Callable[[Any], object]) -> None:
    """One error names every missing field and every invalid value."""
    with pytest.raises(InvalidFurniture) as caught:
        encode(wrap({"nombre": "x", "material": "m", "altura": math.nan, "ancho": 1}))
    assert [detail.field for detail in caught.value.details] == [
        "furniture.furniture_id",
        "furniture.descripcion",
        "furniture.autor_username",
        "furniture.altura",
    ]
    assert "furniture.autor_username: is required" in str(caught.value)


def test_missing_furniture_is_named() -> None:
    """An event without furniture is refused, and None has none of the attributes."""
    with pytest.raises(InvalidFurniture, match="furniture: is required"):
        encode_event({"type": "furniture_created"}, str)
    with pytest.raises(InvalidFurniture) as caught:
        encode(None)
    assert len(caught.value.details) == 7


@pytest.mark.parametrize(
    ("value", "json_text"),
    [
        (Decimal(75), "75"),
        (Decimal("75.000"), "75"),
        (Decimal("7.5E+1"), "75"),
        (Decimal("0.1"), "0.1"),
        (Decimal("-0.0"), "0"),
        (Decimal("1E+99"), "1" + "0" * 99),
        (Decimal("1E+200"), "1e+200"),
        (Decimal("1E-400"), "0.0"),
        (75.0, "75.0"),
        (10**100 - 1, "9" * 100),
        (True, "true"),
        (None, "null"),
    ],
)
def test_numbers_become_json_numbers(value: object, json_text: str) -> None:
    """Integral decimals become integers, and other decimals the nearest double."""
    event = {"type": "t", "furniture": SOUND | {"altura": value}, "id": "i"}
    assert f'"altura":{json_text},' in encode_event(event, str).body.decode()


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+400"),
        Decimal("1E+999999"),
        10**100,
        -(10**100),
        b"bytes",
        {1, 2},
        ...,
        1j,
        "\ud800",
        {"\udfff": 1},
        {(7,): 1},
        {math.nan: 1},
        [math.nan],
        {"deep": [{"er": math.inf}]},
        int,
    ],
    ids=repr,
)
def test_a_value_that_json_cannot_hold_is_refused_with_its_field(value: object) -> None:
    """NaN, infinities, huge numbers, surrogates and other types are refused, with the field."""
    with pytest.raises(InvalidFurniture) as caught:
        encode(SOUND | {"altura": value})
    (detail,) = caught.value.details
    assert detail.field.startswith("furniture.altura")
    assert caught.value.status is None
    str(caught.value).encode()


class Size(Enum):
    """An enum whose members are no text."""

    LARGE = ("l", Decimal("1.50"))


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (date(2024, 1, 15), "2024-01-15"),
        (datetime(2024, 1, 15, 14, 30, tzinfo=UTC), "2024-01-15T14:30:00+00:00"),
        (time(14, 30, 0, 5), "14:30:00.000005"),
        (timedelta(days=1, seconds=7384, microseconds=5), "P1DT02H03M04.000005S"),
        (timedelta(seconds=-90), "-P0DT00H01M30S"),
        (timedelta.min, "-P999999999DT00H00M00S"),
        (Size.LARGE, ["l", 1.5]),
        (
            {7: "a", 1.5: "b", True: "c", None: "d"},
            {"7": "a", "1.5": "b", "true": "c", "null": "d"},
        ),
    ],
)
def test_dates_durations_and_enums_are_values_at_every_depth(
    value: object, json_value: object
) -> None:
    """Times become text of ISO 8601, an enum becomes its value, and keys become text as in json."""
    nested = {"one": value, "deep": [{"er": (value,)}]}
    furniture = encode(SOUND | nested)["furniture"]
    assert furniture["one"] == json_value
    assert furniture["deep"] == [{"er": [json_value]}]


def test_text_of_subclasses_is_text() -> None:
    """A string enum, like Django's choices, is sent as its value."""

    class Material(StrEnum):
        OAK = "roble"

    assert encode(SOUND | {"material": Material.OAK})["furniture"]["material"] == "roble"


def test_depth_is_bounded_at_the_contracts_64() -> None:
    """The event is depth 1, so a field of furniture can hold sixty-two nested lists."""
    nested: Any = []
    for _ in range(61):
        nested = [nested]
    encode(SOUND | {"extra": nested})
    with pytest.raises(InvalidFurniture, match="nested deeper than 64"):
        encode(SOUND | {"extra": [nested]})


def test_a_cycle_is_refused() -> None:
    """A structure that contains itself is too deep, and does not crash."""
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(InvalidFurniture, match="nested deeper"):
        encode(SOUND | {"extra": cycle})


def test_values_of_the_user_are_not_in_the_message() -> None:
    """An error names fields, and never their values."""
    with pytest.raises(InvalidFurniture) as caught:
        encode({"nombre": "secreto", "altura": Decimal("NaN")})
    assert "secreto" not in repr(caught.value) + str(caught.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**100) + 1, 10**100 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(extra=JSON)
def test_json_values_arrive_as_they_were(extra: object) -> None:
    """Every JSON value is the same after decoding."""
    assert encode(SOUND | {"extra": extra})["furniture"]["extra"] == extra


ANYTHING = st.recursive(
    JSON
    | st.floats()
    | st.decimals()
    | st.uuids()
    | st.text()
    | st.binary()
    | st.integers()
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(altura=ANYTHING, extra=ANYTHING)
def test_anything_is_encoded_strictly_or_refused(altura: object, extra: object) -> None:
    """The body is strict JSON in UTF-8, or the error is ``InvalidFurniture``."""

    def never(token: str) -> None:
        raise AssertionError(token)

    event = {"type": "t", "furniture": SOUND | {"altura": altura, "extra": extra}, "id": "i"}
    try:
        body = encode_event(event, str).body
    except InvalidFurniture:
        return
    json.loads(body.decode("utf-8"), parse_constant=never)


@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)
)
def test_decimals_keep_their_value(value: Decimal) -> None:
    """An integral decimal becomes that integer, and another one the nearest double."""
    (number,) = (encode(SOUND | {"altura": value})["furniture"]["altura"],)
    integral = value == value.to_integral_value()
    assert isinstance(number, int) == integral
    assert number == (int(value) if integral else float(value))


@given(extra=JSON, id=st.text(st.characters(codec="utf-8")))
def test_the_id_of_an_encoded_text_is_read_back(extra: object, id: str) -> None:
    """An event is the same after its text was stored, whatever the furniture and the id hold."""
    event = {"type": "t", "furniture": SOUND | {"id": extra, ',"id":"': extra}, "id": id}
    encoded = encode_event(event, str)
    assert EncodedEvent.from_text(encoded.body.decode()) == encoded


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"a","type":"t","furniture":{"x":1}}',
        '{"id":"a","type":"t","furniture":{"x":1,"id":"b"}}',
        '{"type": "t", "furniture": {}, "id": "a"}',
        '{"type":"t","furniture":{},"id":"a","more":1}',
        '{"type":"t","furniture":{},"id":7}',
        '{"id":"a"}',
        "",
        "nonsense",
    ],
)
def test_a_text_of_another_form_has_no_id_at_its_end(text: str) -> None:
    """Such a text is decoded and encoded again by its caller."""
    assert EncodedEvent.from_text(text) is None
