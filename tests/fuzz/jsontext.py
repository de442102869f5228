"""A checker for JSON text (RFC 8259) without recursion, independent of the server's."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
    (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")
    |(?P<constant>NaN|-?Infinity)
    |(?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))
    |(?P<literal>true|false|null)
    |(?P<mark>[][{},:])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
MAX_DIGITS = 4300
"""Python converts no integers with more digits."""


@dataclass
class Facts:
    """Facts about a text, up to the first place where it is invalid.

    Attributes:
        valid: the text is JSON, apart from the constants that Python adds.
        undecodable: it has such constants, or numbers that are too large.
        depth: the depth of nested containers.
    """

    valid: bool = False
    undecodable: bool = False
    depth: int = 0


def _too_large(number: re.Match[str]) -> bool:
    token = number[0].strip(" \t\n\r")
    if number["fraction"]:
        return math.isinf(float(token))
    return len(token.lstrip("-")) > MAX_DIGITS


def examine(text: str) -> Facts:
    """Return the facts about a text."""
    facts = Facts()
    stack: list[str] = []
    expected = "value"  # or: first, key, first key, colon, next
    position = 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind, token = str(match.lastgroup), match[0].strip(" \t\n\r")
        if match["number"] is not None:
            kind = "number"
        if kind == "end":
            facts.valid = expected == "next" and not stack
            return facts
        if expected in ("value", "first") and token in ("[", "{"):
            stack.append(token)
            facts.depth = max(facts.depth, len(stack))
            expected = "first" if token == "[" else "first key"
        elif expected in ("value", "first") and kind != "mark":
            facts.undecodable |= kind == "constant" or (kind == "number" and _too_large(match))
            expected = "next"
        elif expected in ("key", "first key") and kind == "string":
            expected = "colon"
        elif expected == "colon" and token == ":":
            expected = "value"
        elif stack and (
            (token == "]" and expected in ("next", "first") and stack[-1] == "[")
            or (token == "}" and expected in ("next", "first key") and stack[-1] == "{")
        ):
            stack.pop()
            expected = "next"
        elif stack and expected == "next" and token == ",":
            expected = "value" if stack[-1] == "[" else "key"
        else:
            return facts
        if not stack and expected != "next":
            return facts
    return facts
