"""JSON in the contract's sense: decoding, comparing, cutting a batch into its members."""

from __future__ import annotations

import json
from contextlib import suppress
from math import isfinite
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError, InvalidJson, InvalidMessage

MAX_DEPTH = 64

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**100) + 1, 10**100 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
nearly_json = st.text(st.sampled_from('[[[]]]{{}},,,:::"""\\/ \n\t\u00a0\u2003\x0b00129.eE+-abnu'))
"""Text that is JSON now and then, and looks like it most of the time."""

words = st.sampled_from(
    [
        *'{}[],:"\\1 \n\u00a0-',
        '"events"',
        '"a"',
        '"\\""',
        "NaN",
        "1e999",
        "true",
        "null",
        "\\u0041",
        '{"events":[',
        "]}",
    ]
)
nearly_batches = st.lists(words, max_size=25).map("".join)


def refuse(text: str) -> Any:
    """Refuse what the standard library takes beyond JSON."""
    raise ValueError(text)


def holds_infinity(value: Any) -> bool:
    """Tell whether a number of a decoded value is beyond a double."""
    if isinstance(value, list | dict):
        return any(map(holds_infinity, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not isfinite(value)


def reference(text: str) -> Any:
    """Decode as JSON's grammar has it, by the standard library."""
    value = json.loads(text, parse_constant=refuse)
    if holds_infinity(value):
        raise ValueError(text)
    return value


def is_json(text: str) -> bool:
    """Tell whether a text is JSON by the grammar."""
    try:
        reference(text)
    except ValueError:
        return False
    return True


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """Nest so many arrays or objects."""
    return opening * depth + "1" + closing * depth


@given(values)
def test_every_json_value_survives_encoding_and_decoding(value: Any) -> None:
    """What ``dumps`` writes, ``loads`` reads back, and so does the standard library."""
    encoded = strictjson.dumps(value)
    assert strictjson.loads(encoded, MAX_DEPTH) == json.loads(encoded) == value
    assert strictjson.loads(encoded.encode(), MAX_DEPTH) == value


@given(values)
def test_escaped_json_is_read_alike(value: Any) -> None:
    """Escapes, pairs of surrogates included, are the characters that they name."""
    assert strictjson.loads(json.dumps(value, indent=1), MAX_DEPTH) == value


@given(nearly_json | nearly_batches | st.text())
@example('{"a":NaN,"a":1}')
def test_exactly_json_is_accepted(text: str) -> None:
    """A text is decoded where it is JSON by the grammar, and is ``InvalidJson`` where not."""
    try:
        value = strictjson.loads(text, MAX_DEPTH)
    except InvalidJson:
        assert not is_json(text)
    else:
        assert is_json(text)
        assert value == reference(text)


@given(st.binary(max_size=30))
def test_arbitrary_bytes_decode_or_are_invalid_json(data: bytes) -> None:
    """Nothing but ``InvalidJson`` comes out, UTF-8 or not."""
    with suppress(InvalidJson):
        strictjson.loads(data, MAX_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nul",
        "{'a': 1}",
        "[1,]",
        '{"a":1,}',
        "[1] 2",
        "01",
        "+1",
        ".5",
        "1.",
        "0x10",
        '"a\nb"',
        '"\\x41"',
        "// no\n1",
        "\ufeff{}",
        "\u00a0{}",
        "٤٢",
    ],
)
def test_what_json_parse_refuses_is_invalid_json(text: str) -> None:
    """Neither the leniency of JavaScript nor that of Python is JSON."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400"])
@pytest.mark.parametrize("around", ["{}", "[{}]", '{{"a":{}}}', '{{"a":[1,{{"b":{}}}]}}'])
def test_numbers_that_no_double_holds_are_invalid_json(number: str, around: str) -> None:
    """Wherever they stand."""
    with pytest.raises(InvalidJson):
        strictjson.loads(around.format(number), MAX_DEPTH)


@pytest.mark.parametrize("number", ["1.7976931348623157e308", "5e-324", "1e-999", "-0.0", "1E+2"])
def test_numbers_that_a_double_holds_are_json(number: str) -> None:
    """The extremes are within."""
    assert strictjson.loads(number, MAX_DEPTH) == float(number)


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_has_at_most_a_hundred_digits(sign: str) -> None:
    """A hundred pass, one more does not, and thousands are no trouble."""
    assert strictjson.loads(sign + "9" * 100, MAX_DEPTH) == int(sign + "9" * 100)
    for digits in ("1" + "0" * 100, "9" * 101, "1" * 5000):
        with pytest.raises(InvalidJson):
            strictjson.loads(sign + digits, MAX_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '"\\udfff"',
        '"\\ude00\\ud83d"',
        '"a\\ud83d"',
        '["\\ud83d","\\ude00"]',
        '{"\\ud800":1}',
        '{"a":{"b":[{"\\udc00":null}]}}',
        '"\ud800"',
    ],
)
def test_lone_surrogates_are_invalid_json(text: str) -> None:
    """In values and in keys, escaped or not."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """That is how JSON escapes what lies beyond the first plane."""
    assert strictjson.loads('"\\ud83d\\ude00"', MAX_DEPTH) == "😀"


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3', b"\xef\xbb\xbf1"]
)
def test_bytes_that_are_not_utf8_are_invalid_json(data: bytes) -> None:
    """Nor is a byte order mark JSON, or a surrogate in UTF-8's clothes."""
    with pytest.raises(InvalidJson):
        strictjson.loads(data, MAX_DEPTH)


@pytest.mark.parametrize("depth", [1, 4, 64, 200])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_counts_from_the_outermost(depth: int, opening: str, closing: str) -> None:
    """As deep as the bound passes, one deeper does not."""
    levels = opening.count("[") + opening.count("{")
    if depth % levels == 0:
        strictjson.loads(nested(depth // levels, opening, closing), depth)
    with pytest.raises(InvalidJson):
        strictjson.loads(nested(depth // levels + 1, opening, closing), depth)


@pytest.mark.parametrize("text", ["[" * 100_000, nested(100_000), '{"a":' * 100_000, nested(990)])
def test_any_depth_is_refused_as_such(text: str) -> None:
    """No recursion limit shows through."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


@pytest.mark.parametrize("hidden", ["NaN", "-Infinity"])
def test_a_key_that_comes_again_hides_nothing(hidden: str) -> None:
    """The text must be JSON, not only what is left of it once it is decoded."""
    with pytest.raises(InvalidJson):
        strictjson.loads(f'{{"a":{hidden},"a":1}}', MAX_DEPTH)


@pytest.mark.parametrize("value", [b"", bytearray(b"x"), [b"x"], {"a": {"b": b"x"}}])
def test_binary_in_a_decoded_value_is_an_invalid_message(value: Any) -> None:
    """Socket.IO decodes attachments into bytes; no event takes them."""
    with pytest.raises(InvalidMessage):
        strictjson.check(value, MAX_DEPTH)


@given(values)
def test_a_decoded_value_within_the_rules_passes(value: Any) -> None:
    """``check`` has nothing to say about JSON."""
    strictjson.check(value, MAX_DEPTH)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**100, "\ud800", {"\ud800": 1}])
def test_a_decoded_value_beyond_the_rules_is_invalid_json(value: Any) -> None:
    """Alone, and in a list."""
    for each in (value, [value]):
        with pytest.raises(InvalidJson):
            strictjson.check(each, MAX_DEPTH)


def test_dumps_is_compact_and_keeps_characters() -> None:
    """No space, no escape that JSON does not need."""
    assert strictjson.dumps({"a": [1, "ñ😀"], "b": None}) == '{"a":[1,"ñ😀"],"b":null}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_dumps_never_writes_what_json_lacks(value: float) -> None:
    """It is a bug to have it, so it is said loudly."""
    with pytest.raises(ValueError, match="JSON compliant"):
        strictjson.dumps([value])


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (75, 75.0, True),
        (0, -0.0, True),
        (10**20, 1e20, True),
        (2**53 + 1, float(2**53), False),
        (1, True, False),
        (0, False, False),
        (0, None, False),
        (False, None, False),
        (True, True, True),
        (None, None, True),
        ("75", 75, False),
        ("", None, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([1], [True], False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": None}, {}, False),
        ({"a": {"b": [0]}}, {"a": {"b": [False]}}, False),
        ("é", "e\u0301", False),
    ],
)
def test_values_are_compared_as_json(a: Any, b: Any, same: bool) -> None:
    """Key order is nothing, 75 equals 75.0, true is not 1; either way round."""
    assert strictjson.equal(a, b) is same
    assert strictjson.equal(b, a) is same


few = st.recursive(
    st.sampled_from([None, True, False, 0, 0.0, -0.0, 1, 1.0, 2, "", "1", 10**17, 1e17]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
"""So few values that equal ones meet."""


def canonical(value: Any) -> Any:
    """Return a form that is the same for the same JSON value alone."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, dict):
        return ("object", sorted((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", [canonical(item) for item in value])
    return ("string", value) if isinstance(value, str) else ("number", value)


@given(few, few)
def test_equal_is_an_equivalence(a: Any, b: Any) -> None:
    """It is equality of canonical forms, hence reflexive, symmetric and transitive."""
    assert strictjson.equal(a, b) == (canonical(a) == canonical(b))
    assert strictjson.equal(a, a)


@given(st.dictionaries(texts, values, max_size=5), st.randoms(use_true_random=False))
def test_key_order_is_nothing(value: dict[str, Any], random: Any) -> None:
    """A shuffled object is the same object."""
    keys = list(value)
    random.shuffle(keys)
    assert strictjson.equal(value, {key: value[key] for key in keys})


layouts = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"separators": (" ,\r\n", "\t:\n")},
        {"ensure_ascii": False},
    ]
)


@given(
    st.lists(values, max_size=5),
    st.dictionaries(texts, values, max_size=3),
    st.dictionaries(texts, values, max_size=3),
    layouts,
)
def test_members_are_what_decoding_the_whole_gives(
    events: list[Any], before: dict[str, Any], after: dict[str, Any], layout: Any
) -> None:
    """For every valid batch, in any layout, whatever stands beside the list."""
    batch = {**before, "events": events, **after}
    batch["events"] = events
    text = json.dumps(batch, **layout)
    members = strictjson.split_members(text, "events", MAX_DEPTH)
    assert members is not None
    assert [strictjson.loads(member, MAX_DEPTH) for member in members] == events
    assert all(member in text for member in members)


@given(nearly_batches | nearly_json | st.text())
@example('{"events":[\u00a01]}')
@example('{"events":[1,{"a":1,"a":NaN}]}')
@example('{"events":["a]}')
def test_members_of_what_is_not_json_are_never_all_json(text: str) -> None:
    """Whatever the text, it is refused as a whole or in a member, by a contract's error alone."""
    try:
        members = strictjson.split_members(text, "events", MAX_DEPTH)
        decoded = [strictjson.loads(member, MAX_DEPTH) for member in members or ()]
    except ContractError:
        assert not (is_json(text) and isinstance(reference(text), dict))
        return
    assert is_json(text)
    assert reference(text).get("events") == decoded or members is None


@pytest.mark.parametrize(
    "text", ["{}", '{"events":null}', '{"events":{"events":[1]}}', '{"event":[1]}', '{"a":[[1]]}']
)
def test_without_the_list_there_are_no_members(text: str) -> None:
    """None says that the key is no array of the object."""
    assert strictjson.split_members(text, "events", MAX_DEPTH) is None


@pytest.mark.parametrize("text", ["[]", '[["events",[1]]]', "1", "null", '"events"', "[[1,2]]"])
def test_a_batch_is_an_object(text: str) -> None:
    """Any other JSON is an invalid message."""
    with pytest.raises(InvalidMessage):
        strictjson.split_members(text, "events", MAX_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"events":[1,]}',
        '{"events":[,1]}',
        '{"events":[1,,2]}',
        '{"events":[1}',
        '{"events":[1]',
        '{"events":[1]]}',
        '{"events":[1]} x',
        '{"events" [1]}',
        '{"events":[1],"a":NaN}',
        '{"events":[1],"a":"\\ud800"}',
        "]" * 3 + '{"events":[1]}',
    ],
)
def test_bad_json_around_the_members_is_invalid(text: str) -> None:
    """Then none of them counts."""
    with pytest.raises(InvalidJson):
        strictjson.split_members(text, "events", MAX_DEPTH)


def test_a_bad_member_leaves_the_others_as_they_are() -> None:
    """Each is cut out as it came, good or bad, and is decoded by whoever wants it."""
    text = '{"events":[ {"a":"],[{"} , {"a":}, NaN,1 2,"\\"]" ,[[}] ]}'
    assert strictjson.split_members(text, "events", MAX_DEPTH) == [
        '{"a":"],[{"}',
        '{"a":}',
        "NaN",
        "1 2",
        '"\\"]"',
        "[[}]",
    ]


def test_a_deep_member_is_the_members_own_trouble() -> None:
    """Its depth counts from itself, and does not spoil the batch."""
    deep = nested(10_000)
    members = strictjson.split_members(f'{{"events":[{deep},{nested(64)}]}}', "events", MAX_DEPTH)
    assert members == [deep, nested(64)]


def test_of_two_lists_the_last_counts() -> None:
    """As in decoding the whole."""
    assert strictjson.split_members('{"events":[1],"events":[2,3]}', "events", 64) == ["2", "3"]


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', "[", "{", ",", '","', "\\"])
def test_cutting_takes_time_in_proportion_to_the_text(unit: str) -> None:
    """A hostile body of the largest size must not hold up the server: this test ends."""
    text = '{"events":["' + unit * (1_048_576 // len(unit))
    with pytest.raises(ContractError):
        strictjson.split_members(text, "events", MAX_DEPTH)
