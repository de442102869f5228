"""The members of a batch, each decoded by itself: in place, or cut out first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sio_server.contract import members, strictjson
from sio_server.contract.errors import ContractError, InvalidJson, TooLarge, TooManyEvents

MAX_DEPTH = 5
MAX_BYTES = 40
MAX_MEMBERS = 4


def run(steps: Any) -> Any:
    """Do all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def decode(text: str) -> Any:
    """Decode a batch; return its members, with errors as texts, or the batch's error."""
    try:
        found = run(members.decode_members(text, "events", MAX_DEPTH, MAX_BYTES, MAX_MEMBERS))
    except ContractError as error:
        return repr(error)
    return None if found is None else [shown(member) for member in found]


def shown(member: Any) -> str:
    """Show a member or its error, so that NaN and -0.0 compare, too."""
    return repr(member)


def in_place(text: str) -> list[Any] | None:
    """Decode in place."""
    found: list[Any] | None = run(
        members._decode_in_place(text, "events", MAX_DEPTH, MAX_BYTES, MAX_MEMBERS)
    )
    return found


pieces = st.sampled_from(
    [
        *('"events"', "{", "}", "[", "]", ",", ":", " ", "\n", "1", "-0", "1e5", "12345678901234"),
        *(
            "NaN",
            "1e999",
            '"a"',
            '"é"',
            '"\\ud800"',
            '"]"',
            '"\\"]"',
            "null",
            "true",
            "tru",
            "9" * 101,
        ),
        *(
            '{"events":[',
            "]}",
            '{"a":[1]}',
            "[[[[[[1]]]]]]",
            '"' + "x" * 36 + '"',
            '"' + "é" * 20 + '"',
        ),
    ]
)
texts = st.lists(pieces, max_size=30).map("".join)
batches = st.lists(st.lists(pieces, max_size=4).map("".join), max_size=6).map(
    lambda them: f'{{"events":[{",".join(them)}]}}'
)


@given(texts | batches)
@example('{"events":[1,2,3,4]}')
@example('{"events":[1,2,3,4,5]}')
@example('{"events":[1],"events":[2]}')
@example('{"events":[1] }\n')
@example('{"events":[1]}x')
@example('{"events":[' + " " * 50 + "1," + " " * 50 + "2]}")
@example('{"events":[' + "1" * 30 + "," + "2" * 30 + "]}")
def test_in_place_has_the_result_of_cutting(text: str) -> None:
    """For every text: the values, the errors of members, and the errors of the batch."""
    expected = decode_by_cutting(text)
    assert decode(text) == expected
    found = in_place(text)
    assert found is None or [shown(member) for member in found] == expected


def decode_by_cutting(text: str) -> Any:
    """Decode without the short way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "_decode_in_place", lambda *arguments: iter_none())
        return decode(text)


def iter_none() -> Any:
    """Return steps whose result is None."""
    return None
    yield


@pytest.mark.parametrize(
    "layout", [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}]
)
def test_plain_batches_are_decoded_in_place(layout: Any) -> None:
    """Also those that are longer than one piece."""
    events = [{"a": "ñ"}, ["x" * 20], "y" * 30, 7]
    text = json.dumps({"events": events}, **layout)
    assert in_place(text) == events


def test_a_bad_member_does_not_affect_the_others() -> None:
    """Its place has its error."""
    long = f'"{"é" * 20}"'
    first, second, third, last = run(
        members.decode_members(
            f'{{"events":[1,NaN,{long},[[[[[[2]]]]]]]}}', "events", MAX_DEPTH, MAX_BYTES, 4
        )
    )
    assert first == 1
    assert isinstance(second, InvalidJson)
    assert isinstance(third, TooLarge)
    assert isinstance(last, InvalidJson)


def test_a_batch_has_a_bounded_number_of_members() -> None:
    """One more is refused."""
    with pytest.raises(TooManyEvents):
        run(members.decode_members('{"events":[1,2,3]}', "events", MAX_DEPTH, MAX_BYTES, 2))


def test_each_member_is_a_step() -> None:
    """So that other connections have their turns."""
    steps = members.decode_members('{"events":[1,2,3]}', "events", MAX_DEPTH, MAX_BYTES, 3)
    assert sum(1 for _ in steps) == 2
    assert strictjson.decode_at("[1, 2", 1) == (1, 2)
