"""WebSocket frames that no client library sends."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.target import MAX_MESSAGE
from tests.fuzz.wire import BINARY, CLOSE, MASK, PING, PONG, TEXT, mask

FIN = 0x80
PACKETS = (
    b'421["x"]',
    b'42["x",{"a":[1]}]',
    '423["é","\u2028𝄞𝄞"]'.encode(),
    b"3",
    b"40/admin,",
    b"42[",
    b"",
)
BAD_UTF8 = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    "𝄞".encode()[:3],
    b"\x80",
)
CODES = (1000, 1001, 1003, 1007, 1011, 3000, 4999, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999)


def build(
    first: int,
    payload: bytes,
    *,
    masked: bool = True,
    form: int | None = None,
    declared: int | None = None,
) -> bytes:
    """Return a frame.

    Args:
        first: the first byte.
        payload: the payload.
        masked: mask the payload, and set the mask bit.
        form: the number of bytes of the extended length; None: the shortest form.
        declared: the length in the header; None: the payload's.
    """
    size = len(payload) if declared is None else declared
    if form is None:
        form = 0 if size < 126 else 2 if size < 1 << 16 else 8
    second = size & 0x7F if form == 0 else 126 if form == 2 else 127
    length = (size & ((1 << 8 * form) - 1)).to_bytes(form, "big")
    head = bytes((first, second | (0x80 if masked else 0))) + length
    return head + MASK + mask(payload) if masked else head + payload


codes = st.sampled_from(CODES).map(lambda code: code.to_bytes(2, "big"))
small = st.binary(max_size=6)
texts = st.one_of(
    st.sampled_from(PACKETS),
    st.sampled_from(PACKETS[:3]),
    st.sampled_from((125, 126, 127, 65_535, 65_536)).map(
        lambda size: b'421["' + b"x" * (size - 7) + b'"]'
    ),
)
controls = st.builds(
    lambda opcode, payload: build(FIN | opcode, payload),
    st.sampled_from((PING, PONG)),
    st.one_of(small, st.just(b"x" * 125)),
)


@st.composite
def messages(draw: Any, payloads: st.SearchStrategy[bytes] = texts, opcode: int = TEXT) -> bytes:
    """Draw a message in fragments of any size, with control frames between them."""
    payload = draw(payloads)
    places = draw(st.lists(st.integers(0, 40), max_size=3))
    cuts = sorted(place % (len(payload) + 1) for place in places)
    starts, ends = [0, *cuts], [*cuts, len(payload)]
    frames = b""
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        first = (FIN if number == len(cuts) else 0) | (0 if number else opcode)
        frames += build(first, payload[start:end])
        if number < len(cuts):
            frames += draw(st.one_of(st.just(b""), controls))
    return frames


binary_events = st.builds(
    lambda header, attachment: header + attachment,
    st.just(build(FIN | TEXT, b'451-1["x",{"_placeholder":true,"num":0}]')),
    messages(small, BINARY),
)
plain = st.one_of(messages(), messages(), controls, binary_events)

SIZES = (MAX_MESSAGE + 1, 1 << 20, 1 << 31, (1 << 32) + 5, 1 << 62, 1 << 63, (1 << 64) - 1)
data_opcode = st.sampled_from((TEXT, BINARY))
control_opcode = st.sampled_from((CLOSE, PING, PONG))
violations: dict[str, st.SearchStrategy[bytes]] = {
    "reserved bits": st.builds(
        lambda bits, opcode, payload: build(FIN | bits << 4 | opcode, payload),
        st.integers(1, 7),
        st.sampled_from((TEXT, BINARY, PING, PONG, CLOSE)),
        st.sampled_from((b"3", b"")),
    ),
    "unknown opcode": st.builds(
        lambda opcode, final, payload: build(final | opcode, payload),
        st.sampled_from((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        st.sampled_from((0, FIN)),
        small,
    ),
    "unmasked": st.builds(
        lambda opcode, payload: build(FIN | opcode, payload, masked=False),
        st.sampled_from((TEXT, PING, PONG, CLOSE)),
        st.sampled_from((b'421["x"]', b"", b"3")),
    ),
    "fragmented control": st.builds(
        lambda opcode, payload: build(opcode, payload) + build(FIN, b""), control_opcode, small
    ),
    "long control": st.builds(
        lambda opcode, size: build(FIN | opcode, b"\x03\xe8" + b"x" * size),
        control_opcode,
        st.sampled_from((124, 300, 65_534)),
    ),
    "oversized": st.builds(
        lambda opcode, size, sent: build(FIN | opcode, sent, form=8, declared=size),
        data_opcode,
        st.sampled_from(SIZES),
        small,
    ),
    "oversized in fragments": st.builds(
        lambda opcode, size: build(opcode, b"x" * (MAX_MESSAGE - 9)) + build(FIN, b"x" * size),
        data_opcode,
        st.sampled_from((10, 11, 126)),
    ),
    "continuation without a message": st.builds(build, st.sampled_from((0, FIN)), small),
    "message within a message": st.builds(
        lambda kind, other, start, final: build(kind, start) + build(final | other, b"3"),
        data_opcode,
        data_opcode,
        st.sampled_from((b"4", b"")),
        st.sampled_from((0, FIN)),
    ),
    "invalid UTF-8": messages(
        st.builds(lambda bad, text: text + bad, st.sampled_from(BAD_UTF8), st.sampled_from(PACKETS))
    ),
    "bad close": st.builds(
        lambda payload: build(FIN | CLOSE, payload),
        st.one_of(
            st.sampled_from([code.to_bytes(2, "big") for code in CODES[7:]]),
            st.binary(min_size=1, max_size=1),
            st.sampled_from(BAD_UTF8).map(lambda bad: b"\x03\xe8" + bad),
        ),
    ),
}
odd = st.one_of(
    st.builds(lambda code, reason: build(FIN | CLOSE, code + reason), codes, small),
    st.just(build(FIN | CLOSE, b"")),
    st.builds(
        lambda payload, form: build(FIN | TEXT, payload, form=form),
        st.sampled_from(PACKETS),
        st.sampled_from((2, 8)),
    ),
    st.binary(max_size=12),
)


@st.composite
def broken(draw: Any) -> bytes:
    """Draw frames with changed or missing bytes."""
    data = bytearray(b"".join(draw(st.lists(plain, min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, 80)) % (len(data) + 1)
        if draw(st.booleans()) and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        else:
            del data[at : at + draw(st.integers(1, 4))]
    return bytes(data)


cuts = st.lists(st.integers(0, 300), max_size=5)
anything = st.lists(plain, max_size=3).map(b"".join) | st.one_of(
    broken(), odd, *violations.values()
)
cases = st.lists(st.tuples(anything, cuts), min_size=1, max_size=8)
"""Bytes, and the places between their segments."""


def violating(kind: str) -> st.SearchStrategy[list[tuple[bytes, list[int]]]]:
    """Return bytes that break one rule, after valid frames."""
    before = st.lists(plain, max_size=2).map(b"".join)
    case = st.tuples(st.builds(lambda a, b: a + b, before, violations[kind]), cuts)
    return st.lists(case, min_size=1, max_size=4)
