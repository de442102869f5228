"""JSON as the contract defines it: every JavaScript client can read it, and it is not too deep.

The standard library accepts ``NaN``, ``1e999`` and lone surrogates. ``JSON.parse`` refuses or
changes such text, so this module refuses it first. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from math import isfinite
from typing import Any

from sio_server.contract.errors import InvalidJson, InvalidMessage, TooLarge, TooManyEvents

MAX_INTEGER = 10**100
"""Larger integers are refused: they are slow to convert, and no double holds them."""

TOO_MANY_DIGITS = "integers must have at most 100 digits"

_SPACE = " \t\n\r"
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[][{},]', re.DOTALL)
"""Strings and structure. A string without an end takes the rest of the text: no character is
read twice."""


def _refuse_constant(name: str) -> None:
    raise InvalidJson(f"{name} is not JSON")


# json.loads would make a decoder for each call.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_decode = _decoder.decode

decode_at = _decoder.raw_decode
"""Decodes the value that starts at an index, unchecked; returns it, and the index of its end."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
"""Some clients take these characters for the end of a line, although JSON may have them."""


def dumps(value: Any) -> str:
    """Encode without spaces. Non-ASCII characters stay as they are, but for line ends."""
    text = _encode(value)
    return text if text.isascii() else _LINE_ENDS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def loads(text: str | bytes, max_depth: int) -> Any:
    """Decode one JSON text.

    Args:
        text: the JSON; bytes are UTF-8.
        max_depth: the levels of nesting that are allowed. The outermost object or array is level 1.

    Raises:
        InvalidJson: the text is not JSON as the contract defines it, or is nested too deeply.
    """
    try:
        value = _decode(text if isinstance(text, str) else text.decode())
    except RecursionError:
        raise _too_deep(max_depth) from None
    except json.JSONDecodeError as error:
        if not error.doc.strip(_SPACE):
            raise InvalidJson("not valid JSON: it is empty") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidJson(f"not valid JSON: an error at {where}") from None
    except UnicodeDecodeError as error:
        raise InvalidJson(f"not valid UTF-8: an error at byte {error.start}") from None
    except ValueError:
        raise InvalidJson(TOO_MANY_DIGITS) from None
    check(value, max_depth)
    return value


def check(value: Any, max_depth: int) -> None:
    """Check that a decoded value follows the contract's rules for JSON.

    Raises:
        InvalidJson: a number, a string or the depth breaks a rule.
        InvalidMessage: the value holds binary data.
    """
    _check((value,), max_depth, max_depth)


def _check(values: Iterable[Any], levels: int, max_depth: int) -> None:
    """Check values which may hold so many levels. Only objects and arrays cost a call."""
    for value in values:
        kind = type(value)
        if kind is str:
            if not value.isascii():
                _check_text(value)
        elif kind is int:
            if not -MAX_INTEGER < value < MAX_INTEGER:
                raise InvalidJson(TOO_MANY_DIGITS)
        elif kind is dict or kind is list:
            if levels == 0:
                raise _too_deep(max_depth)
            _check(value, levels - 1, max_depth)
            if kind is dict:
                _check(value.values(), levels - 1, max_depth)
        elif kind is float:
            if not isfinite(value):
                raise InvalidJson("numbers must be finite and within a double")
        elif value is not None and kind is not bool:
            raise InvalidMessage("binary data is not accepted")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidJson("text must not hold lone surrogates") from None


def _too_deep(max_depth: int) -> InvalidJson:
    return InvalidJson(f"nested deeper than {max_depth} levels")


def equal(a: Any, b: Any) -> bool:
    """Compare two JSON values: the order of keys does not count, 75 equals 75.0, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(item, b[key]) for key, item in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


STEP_TOKENS = 1_000
"""``split_members`` yields after so many tokens."""

MAX_MEMBERS = 10_000
"""The most members of all arrays together that ``split_members`` cuts out."""

MAX_MARKS = 32_768
"""The most commas and opening brackets of a text that ``split_members`` decodes in one piece: the
text outside the members, or a member of another array. A message of 64 KB may have as many values.
"""


def split_members(text: str, key: str, max_depth: int) -> Generator[None, None, list[str] | None]:
    """Cut the array under ``key`` into the texts of its members, without decoding them.

    Each member of a batch can then be measured, decoded and refused on its own, exactly like a
    single event. The work is done in steps: the generator yields after each of them.

    Args:
        text: a JSON object.
        key: the name of the array.
        max_depth: the levels of nesting that the text outside the members may have.

    Returns:
        The members' texts in order, or None if the object has no array of that name.

    Raises:
        InvalidJson: the text outside the members is not JSON.
        TooLarge: this text, or a member of another array, has more than ``MAX_MARKS`` marks.
        TooManyEvents: there are more than ``MAX_MEMBERS`` members.
    """
    members: list[str] = []
    skeleton: list[str] = []  # the text, with a number in place of each second-level member
    depth = copied = start = 0
    in_array = False

    def close_member(end: int) -> None:
        nonlocal copied
        member = text[start:end].strip(_SPACE)
        if member:
            skeleton.append(f"{text[copied:start]}{len(members)}")
            members.append(member)
            copied = end

    for number, token in enumerate(_TOKEN.finditer(text), start=1):
        if number % STEP_TOKENS == 0:
            if len(members) > MAX_MEMBERS:
                raise TooManyEvents(f"more than {MAX_MEMBERS} members")
            yield
        mark = token.group()
        if mark in ("{", "["):
            depth += 1
            if depth == 2:
                in_array, start = mark == "[", token.end()
        elif mark in ("}", "]"):
            if depth == 2 and in_array:
                close_member(token.start())
                in_array = False
            depth -= 1
        elif mark == "," and depth == 2 and in_array:
            close_member(token.start())
            start = token.end()
    skeleton.append(text[copied:])
    envelope = _loads_piece("".join(skeleton), max_depth)
    return (yield from _choose(members, envelope, key, max_depth))


def _loads_piece(text: str, max_depth: int) -> Any:
    if sum(map(text.count, ",[{")) > MAX_MARKS:
        raise TooLarge(f"the text outside the events has more than {MAX_MARKS} values")
    return loads(text, max_depth)


def _choose(
    members: list[str], envelope: Any, key: str, max_depth: int
) -> Generator[None, None, list[str] | None]:
    """Return the members of the envelope's ``key``. Check that all other members are JSON."""
    if not isinstance(envelope, dict):
        raise InvalidMessage("must be a JSON object")
    numbers = envelope.get(key)
    if not isinstance(numbers, list):
        numbers = None
    chosen = set(numbers or ())
    for number, member in enumerate(members):
        if number not in chosen:
            _loads_piece(member, max_depth - 2)
            yield
    return None if numbers is None else [members[number] for number in numbers]
