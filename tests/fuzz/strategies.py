"""Packets from the grammars of both protocols, and mutations of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

JSON_PIECES = (
    "null",
    "true",
    "0",
    "-0",
    "-1.5e3",
    "1e999",
    "12345678901234567890",
    '""',
    '"x"',
    '"é\u2028𝄞"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000\\u001e"',
    "[]",
    "{}",
    '{"":[{"a":{}}]}',
    '{"a":1,"a":2}',
    '{"__proto__":{"x":1},"length":-1}',
    '{"_placeholder":true,"num":0}',
    '{"_placeholder":true,"num":1}',
    '{"_placeholder":1,"num":0}',
    '{"_placeholder":true,"num":"0"}',
    '{"_placeholder":true,"num":-1}',
    '{"_placeholder":true,"num":true}',
    '{"_placeholder":true,"num":1e0}',
    '{"_placeholder":true}',
    '[[{"_placeholder":true,"num":0}]]',
)
ODD_PIECES = (
    "NaN",
    "-Infinity",
    '{"a":[Infinity]}',
    "9" * 4300,
    "9" * 4301,
    "-" + "9" * 5000,
    "[" * 100 + "]" * 100,
    "[" * 300 + "]" * 300,
    '{"a":' * 1500 + "0" + "}" * 1500,
    "[" * 5000 + "]" * 5000,
    "[" * 20_000,
    "[" * 49_000 + "]" * 49_000,
)
EVENTS = ('"x"', '"ask"', '"message"', '"\\ud800"', '""', "0", "-3")
BAD_EVENTS = ('"connect"', '"disconnecting"', "true", "null", "1.5", "[]", "NaN", '"newListener"')
NAMESPACES = ("", "", "", "", "/admin,", "/,", "/admin?a=1,", "/?x,", "/nobody,", "/admin", "/")
IDS = ("", "", "0", "1", "2", "007", "9007199254740993", "1234567890123456", "12345678901234567")
SPECIAL = (
    "٣",  # digits of other scripts
    "２",
    "²",
    "𝟚",
    "-",
    "/",
    ",",
    "[",
    '"',
    "\\",
    "\x00",
    "\x1e",
    "\x1e4",
    "\ufeff",
    "\u2028",
    "b",
    "9" * 30,
    " ",
    "+1",
    "1_0",
    "NaN",
    "0" * 20,
)

special = st.sampled_from(SPECIAL)
position = st.integers(0, 60)
arguments = st.one_of(
    st.sampled_from(JSON_PIECES),
    st.sampled_from(JSON_PIECES),
    st.text(max_size=8).map(json.dumps),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(JSON_PIECES + ODD_PIECES),
)


@st.composite
def data(draw: Any) -> str:
    """Draw the arguments of an event."""
    names = EVENTS if draw(st.integers(0, 9)) else BAD_EVENTS
    items = [draw(st.sampled_from(names)), *draw(st.lists(arguments, max_size=3))]
    return f"[{','.join(items)}]"


@st.composite
def socket_packets(draw: Any) -> list[str | bytes]:
    """Draw a Socket.IO packet with its attachments. Most are valid."""
    kind = draw(st.sampled_from("222225555013601234567"))
    namespace, id = draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(IDS))
    count, sent, text = "", 0, ""
    if kind in "2356":
        text = draw(data())
    if kind in "36":
        id = id or "1"
    elif kind == "0":
        text = draw(st.sampled_from(("", "", "{}", '{"token":"x"}', "[]", '{"a":NaN}', "null")))
    if kind in "56":
        right = draw(st.integers(0, 3))
        count, sent = f"{right}-", right
        if draw(st.integers(0, 4)) == 0:
            count = draw(st.sampled_from(("", "-", "10-", "11-", "999-", "0001-", "٣-", "-1-")))
        if draw(st.integers(0, 4)) == 0:
            sent = draw(st.integers(0, 4))
        if right and draw(st.booleans()):
            places = ",".join(f'{{"_placeholder":true,"num":{at}}}' for at in range(right))
            text = f'["x",{places}]'
    attachments = [draw(st.binary(max_size=8)) for _ in range(sent)]
    return [f"4{kind}{count}{namespace}{id}{text}", *attachments]


@st.composite
def mutated(draw: Any, original: str) -> str:
    """Draw a text with a few changes."""
    text = original
    for _ in range(draw(st.integers(1, 3))):
        at = draw(position) % (len(text) + 1)
        how = draw(st.integers(0, 6))
        if how == 0:
            text = text[:at]
        elif how == 1:
            text = text[:at] + text[at + draw(st.integers(1, 8)) :]
        elif how == 2:
            text = text[:at] + text[at : at + 5] * 2 + text[at + 5 :]
        elif how == 3 and at < len(text):
            flipped = chr(ord(text[at]) ^ (1 << draw(st.integers(0, 6))))
            text = text[:at] + (flipped if flipped.isprintable() else "?") + text[at + 1 :]
        elif how == 4:
            text = text[:at] + draw(st.characters(exclude_categories=("Cs",))) + text[at:]
        else:
            text = text[:at] + draw(special) + text[at:]
    return text


@st.composite
def mutated_packets(draw: Any) -> list[str | bytes]:
    """Draw a mutation of a Socket.IO packet."""
    text, *attachments = draw(socket_packets())
    return [draw(mutated(text)), *attachments]


@st.composite
def engine_packets(draw: Any) -> list[str | bytes]:
    """Draw a packet that is valid or invalid already for Engine.IO."""
    return [
        draw(st.sampled_from("3333566bb0127 xé"))
        + draw(st.one_of(base64_like, st.text(max_size=9)))
    ]


base64_like = st.text("AZaz09+/=-_ \n", max_size=9)
raw = st.one_of(
    st.text(max_size=20).map(lambda text: [text]),
    st.text(max_size=20).map(lambda text: ["4" + text]),
    st.text('0123456789-/,[]{}"\\:ab .eE+', max_size=16).map(lambda text: ["4" + text]),
    st.binary(max_size=20).map(lambda data: [data]),
)
strangers: st.SearchStrategy[list[str | bytes]] = st.lists(
    st.one_of(st.binary(max_size=3), st.sampled_from(("3", '42["x"]', "451-", "1"))),
    min_size=1,
    max_size=3,
)
"""Binary and text frames in any order."""

cases = st.one_of(
    socket_packets(),
    socket_packets(),
    mutated_packets(),
    mutated_packets(),
    engine_packets(),
    raw,
    strangers,
)
batches = st.lists(cases, min_size=1, max_size=12)
"""Cases for one connection."""
