"""Strict JSON: decoding, comparing, and splitting a batch into its members."""

from __future__ import annotations

import json
from contextlib import suppress
from math import isfinite
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sio_server.contract import strictjson
from sio_server.contract.errors import (
    ContractError,
    InvalidJson,
    InvalidMessage,
    TooLarge,
    TooManyEvents,
)
from sio_server.contract.strictjson import MAX_MARKS

MAX_DEPTH = 64


def split(text: str, key: str, max_depth: int) -> list[str] | None:
    """Do all steps."""
    steps = strictjson.split_members(text, key, max_depth)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            members: list[str] | None = done.value
            return members


def test_a_text_is_split_in_steps() -> None:
    """Also where a member has many tokens."""
    text = '{"events":[[' + "[]," * 5000 + "1]]}"
    assert sum(1 for _ in strictjson.split_members(text, "events", 64)) >= 10


def test_the_members_of_all_arrays_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused."""
    monkeypatch.setattr(strictjson, "MAX_MEMBERS", 3)
    monkeypatch.setattr(strictjson, "STEP_TOKENS", 1)
    assert split('{"events":[1,2],"x":[3]}', "events", 64) == ["1", "2"]
    with pytest.raises(TooManyEvents):
        split('{"events":[1,2],"x":[3,4]}', "events", 64)


@pytest.mark.parametrize("other", ['"x":{}', '"x":[{}]', '"x":[[],{}]'])
@pytest.mark.parametrize("value", ["1", "{}", "[]"])
def test_the_values_outside_the_events_are_bounded(other: str, value: str) -> None:
    """They are decoded in one piece. The events are bounded where they are decoded."""
    event = f"[{','.join(['1'] * 2 * MAX_MARKS)}]"

    def batch(values: int) -> str:
        fill = f"[[{','.join([value] * values)}]]"
        return f'{{"events":[{event},2],{other.replace("{}", fill)},"y":"{"y" * MAX_MARKS * 2}"}}'

    values = (MAX_MARKS - 20) // (1 if value == "1" else 2)
    assert split(batch(values), "events", 64) == [event, "2"]
    with pytest.raises(TooLarge):
        split(batch(values + 40), "events", 64)


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
"""Text that is sometimes JSON, and usually only looks like it."""

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
    """Refuse a constant that the standard library accepts beyond JSON."""
    raise ValueError(text)


def holds_infinity(value: Any) -> bool:
    """Tell whether a decoded value has a number that no double holds."""
    if isinstance(value, list | dict):
        return any(map(holds_infinity, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not isfinite(value)


def reference(text: str) -> Any:
    """Decode by JSON's grammar, with the standard library."""
    value = json.loads(text, parse_constant=refuse)
    if holds_infinity(value):
        raise ValueError(text)
    return value


def is_json(text: str) -> bool:
    """Tell whether a text is JSON by its grammar."""
    try:
        reference(text)
    except ValueError:
        return False
    return True


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """Return this many nested arrays or objects."""
    return opening * depth + "1" + closing * depth


@given(values)
def test_every_json_value_survives_encoding_and_decoding(value: Any) -> None:
    """``loads`` and the standard library read the text of ``dumps`` as the same value."""
    encoded = strictjson.dumps(value)
    assert strictjson.loads(encoded, MAX_DEPTH) == json.loads(encoded) == value
    assert strictjson.loads(encoded.encode(), MAX_DEPTH) == value


@given(values)
def test_escapes_are_decoded(value: Any) -> None:
    """This includes a pair of surrogates, which is one character."""
    assert strictjson.loads(json.dumps(value, indent=1), MAX_DEPTH) == value


@given(nearly_json | nearly_batches | st.text())
@example('{"a":NaN,"a":1}')
def test_exactly_json_is_accepted(text: str) -> None:
    """Any other text is ``InvalidJson``."""
    try:
        value = strictjson.loads(text, MAX_DEPTH)
    except InvalidJson:
        assert not is_json(text)
    else:
        assert is_json(text)
        assert value == reference(text)


@given(st.binary(max_size=30))
def test_arbitrary_bytes_decode_or_are_invalid_json(data: bytes) -> None:
    """No other exception is raised, even if the bytes are not UTF-8."""
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
def test_text_that_json_parse_refuses_is_invalid_json(text: str) -> None:
    """Neither JavaScript's syntax nor Python's leniency is JSON."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400"])
@pytest.mark.parametrize("around", ["{}", "[{}]", '{{"a":{}}}', '{{"a":[1,{{"b":{}}}]}}'])
def test_numbers_that_no_double_holds_are_invalid_json(number: str, around: str) -> None:
    """They are refused at any depth."""
    with pytest.raises(InvalidJson):
        strictjson.loads(around.format(number), MAX_DEPTH)


@pytest.mark.parametrize("number", ["1.7976931348623157e308", "5e-324", "1e-999", "-0.0", "1E+2"])
def test_numbers_that_a_double_holds_are_json(number: str) -> None:
    """This includes the largest and the smallest double."""
    assert strictjson.loads(number, MAX_DEPTH) == float(number)


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_has_at_most_a_hundred_digits(sign: str) -> None:
    """5,000 digits, which Python does not convert, are refused in the same way as 101."""
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
    """They are refused in values and in keys, escaped or not."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


def test_a_pair_of_surrogates_is_one_character() -> None:
    """JSON escapes a character beyond the first plane in this way."""
    assert strictjson.loads('"\\ud83d\\ude00"', MAX_DEPTH) == "😀"


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3', b"\xef\xbb\xbf1"]
)
def test_bytes_that_are_not_utf8_are_invalid_json(data: bytes) -> None:
    """A byte order mark and a surrogate that is encoded as UTF-8 are refused too."""
    with pytest.raises(InvalidJson):
        strictjson.loads(data, MAX_DEPTH)


@pytest.mark.parametrize("depth", [1, 4, 64, 200])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_counts_from_the_outermost_value(depth: int, opening: str, closing: str) -> None:
    """The bound passes, and one level more is refused."""
    levels = opening.count("[") + opening.count("{")
    if depth % levels == 0:
        strictjson.loads(nested(depth // levels, opening, closing), depth)
    with pytest.raises(InvalidJson):
        strictjson.loads(nested(depth // levels + 1, opening, closing), depth)


@pytest.mark.parametrize("text", ["[" * 100_000, nested(100_000), '{"a":' * 100_000, nested(990)])
def test_extreme_depth_is_invalid_json(text: str) -> None:
    """Python's recursion limit never shows."""
    with pytest.raises(InvalidJson):
        strictjson.loads(text, MAX_DEPTH)


@pytest.mark.parametrize("hidden", ["NaN", "-Infinity"])
def test_a_repeated_key_does_not_hide_bad_json(hidden: str) -> None:
    """The whole text must be JSON, not only the values that decoding keeps."""
    with pytest.raises(InvalidJson):
        strictjson.loads(f'{{"a":{hidden},"a":1}}', MAX_DEPTH)


@pytest.mark.parametrize("value", [b"", bytearray(b"x"), [b"x"], {"a": {"b": b"x"}}])
def test_binary_in_a_decoded_value_is_an_invalid_message(value: Any) -> None:
    """Socket.IO decodes attachments into bytes, and no event contains bytes."""
    with pytest.raises(InvalidMessage):
        strictjson.check(value, MAX_DEPTH)


@given(values)
def test_a_decoded_json_value_passes_the_check(value: Any) -> None:
    """Socket.IO has decoded it already, so only the rules are checked."""
    strictjson.check(value, MAX_DEPTH)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**100, "\ud800", {"\ud800": 1}])
def test_a_decoded_value_beyond_the_rules_is_invalid_json(value: Any) -> None:
    """It is refused by itself and inside a list."""
    for nested_value in (value, [value]):
        with pytest.raises(InvalidJson):
            strictjson.check(nested_value, MAX_DEPTH)


def test_dumps_is_compact_and_keeps_characters() -> None:
    """There is no space, and no escape that JSON does not need."""
    assert strictjson.dumps({"a": [1, "ñ😀"], "b": None}) == '{"a":[1,"ñ😀"],"b":null}'


def test_dumps_escapes_what_some_clients_take_for_line_ends() -> None:
    """httpx, for instance, cuts the lines of an event stream there."""
    text = strictjson.dumps({"a\u2028": "ñ\u2029\x85\u2027"})
    assert text == '{"a\\u2028":"ñ\\u2029\\u0085\u2027"}'
    assert len(text.splitlines()) == 1
    assert json.loads(text) == {"a\u2028": "ñ\u2029\x85\u2027"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_dumps_refuses_numbers_that_json_lacks(value: float) -> None:
    """Such a number is a bug of the server, so it raises."""
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
    """Key order does not count, 75 equals 75.0, and true is not 1, in both directions."""
    assert strictjson.equal(a, b) is same
    assert strictjson.equal(b, a) is same


few_values = st.recursive(
    st.sampled_from([None, True, False, 0, 0.0, -0.0, 1, 1.0, 2, "", "1", 10**17, 1e17]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
"""A small set of values, so that equal ones often meet."""


def canonical(value: Any) -> Any:
    """Return a form that is equal only for equal JSON values."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, dict):
        return ("object", sorted((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", [canonical(item) for item in value])
    return ("string", value) if isinstance(value, str) else ("number", value)


@given(few_values, few_values)
def test_equal_is_an_equivalence(a: Any, b: Any) -> None:
    """It is equality of canonical forms, and so reflexive, symmetric and transitive."""
    assert strictjson.equal(a, b) == (canonical(a) == canonical(b))
    assert strictjson.equal(a, a)


@given(st.dictionaries(texts, values, max_size=5), st.randoms(use_true_random=False))
def test_key_order_does_not_count(value: dict[str, Any], random: Any) -> None:
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
def test_split_members_decode_to_the_events_of_the_batch(
    events: list[Any], before: dict[str, Any], after: dict[str, Any], layout: Any
) -> None:
    """This holds in any layout, with any keys beside the list."""
    batch = {**before, "events": events, **after}
    batch["events"] = events
    text = json.dumps(batch, **layout)
    members = split(text, "events", MAX_DEPTH)
    assert members is not None
    assert [strictjson.loads(member, MAX_DEPTH) for member in members] == events
    assert all(member in text for member in members)


@given(nearly_batches | nearly_json | st.text())
@example('{"events":[\u00a01]}')
@example('{"events":[1,{"a":1,"a":NaN}]}')
@example('{"events":["a]}')
def test_bad_json_is_refused_with_the_batch_or_in_a_member(text: str) -> None:
    """Only errors of the contract are raised."""
    try:
        members = split(text, "events", MAX_DEPTH)
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
    """The result is None if the outermost object has no array of that name."""
    assert split(text, "events", MAX_DEPTH) is None


@pytest.mark.parametrize("text", ["[]", '[["events",[1]]]', "1", "null", '"events"', "[[1,2]]"])
def test_a_batch_is_an_object(text: str) -> None:
    """Any other JSON value is an invalid message."""
    with pytest.raises(InvalidMessage):
        split(text, "events", MAX_DEPTH)


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
def test_bad_json_around_the_members_refuses_the_batch(text: str) -> None:
    """No member is returned."""
    with pytest.raises(InvalidJson):
        split(text, "events", MAX_DEPTH)


def test_a_bad_member_does_not_change_the_others() -> None:
    """Each member is returned as it was written, and is decoded later by itself."""
    text = '{"events":[ {"a":"],[{"} , {"a":}, NaN,1 2,"\\"]" ,[[}] ]}'
    assert split(text, "events", MAX_DEPTH) == [
        '{"a":"],[{"}',
        '{"a":}',
        "NaN",
        "1 2",
        '"\\"]"',
        "[[}]",
    ]


def test_a_deep_member_does_not_refuse_the_batch() -> None:
    """The depth of a member counts from the member itself."""
    deep = nested(10_000)
    members = split(f'{{"events":[{deep},{nested(64)}]}}', "events", MAX_DEPTH)
    assert members == [deep, nested(64)]


def test_the_last_of_two_lists_counts() -> None:
    """Decoding the whole batch gives the same list."""
    assert split('{"events":[1],"events":[2,3]}', "events", 64) == ["2", "3"]


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', "[", "{", ",", '","', "\\"])
def test_splitting_the_largest_body_takes_linear_time(unit: str) -> None:
    """The text is hostile: a split in quadratic time would not end."""
    text = '{"events":["' + unit * (1_048_576 // len(unit))
    with pytest.raises(ContractError):
        split(text, "events", MAX_DEPTH)
