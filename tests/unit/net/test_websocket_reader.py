"""The frame reader: messages of any form, and errors with their close codes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.net.websocket_reader import (
    BAD_DATA,
    BINARY,
    CLOSE,
    FRAGMENT,
    NORMAL,
    PING,
    PROTOCOL_ERROR,
    TEXT,
    TOO_LARGE,
    FrameReader,
    FramingError,
    close_code,
    decode_text,
)

FINAL = 0x80
MASK = b"\x01\x02\x03\x04"


def frame(first_byte: int, payload: bytes) -> bytes:
    """Encode a client's frame, which has a mask (RFC 6455, 5.2 and 5.3)."""
    length = len(payload)
    if length < 126:
        header = bytes((first_byte, 0x80 | length))
    elif length < 1 << 16:
        header = bytes((first_byte, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((first_byte, 0x80 | 127)) + length.to_bytes(8, "big")
    masked = bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(MASK), strict=False))
    return header + MASK + masked


def read_all(reader: FrameReader) -> list[tuple[int, bytes]]:
    """Return everything that can be decoded."""
    return list(iter(reader.next, None))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_a_message_of_any_length_is_unmasked(length: int) -> None:
    """Its length takes seven bits, two bytes or eight bytes."""
    payload = bytes(number % 256 for number in range(length))
    reader = FrameReader(1 << 20)
    reader.feed(frame(FINAL | BINARY, payload))
    assert read_all(reader) == [(BINARY, payload)]
    assert len(reader) == 0


def test_fragments_are_joined_around_a_control_frame() -> None:
    """A control frame may come between the fragments of a message (RFC 6455, 5.4)."""
    reader = FrameReader(10)
    for first_byte, payload in ((TEXT, b"ab"), (FINAL | PING, b"?"), (0, b""), (FINAL, b"c")):
        reader.feed(frame(first_byte, payload))
    assert read_all(reader) == [(FRAGMENT, b"ab"), (PING, b"?"), (FRAGMENT, b""), (TEXT, b"abc")]


frames = st.lists(
    st.tuples(st.sampled_from([FINAL | TEXT, FINAL | BINARY, FINAL | PING]), st.binary(max_size=9)),
    max_size=5,
)


@given(frames, st.integers(1, 7))
def test_the_segments_of_the_bytes_do_not_matter(sent: list[tuple[int, bytes]], size: int) -> None:
    """A frame that is not complete yet is decoded later."""
    data = b"".join(frame(*each) for each in sent)
    reader, received = FrameReader(9), []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        received += read_all(reader)
    assert received == [(first_byte & 0x0F, payload) for first_byte, payload in sent]


def test_the_bound_counts_all_fragments_of_a_message() -> None:
    """A control frame between them does not count, and the length alone is enough to refuse."""
    reader = FrameReader(4)
    reader.feed(frame(TEXT, b"ab") + frame(FINAL | PING, b"ping") + frame(0, b"cd"))
    assert read_all(reader) == [(FRAGMENT, b"ab"), (PING, b"ping"), (FRAGMENT, b"cd")]
    reader.feed(frame(FINAL, b"e")[:2])
    with pytest.raises(FramingError) as caught:
        reader.next()
    assert caught.value.code == TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x81\x01a", id="no mask"),
        pytest.param(frame(FINAL | 0x40 | TEXT, b""), id="reserved bit"),
        pytest.param(frame(FINAL | 3, b""), id="unknown data opcode"),
        pytest.param(frame(FINAL | 11, b""), id="unknown control opcode"),
        pytest.param(frame(PING, b""), id="fragmented control frame"),
        pytest.param(frame(FINAL | PING, bytes(126)), id="long control frame"),
        pytest.param(frame(FINAL, b""), id="continuation of nothing"),
        pytest.param(frame(TEXT, b"") + frame(FINAL | TEXT, b""), id="message within a message"),
    ],
)
def test_a_frame_that_breaks_rfc_6455_is_a_protocol_error(data: bytes) -> None:
    """RFC 6455, 5.1 to 5.5."""
    reader = FrameReader(1000)
    reader.feed(data)
    with pytest.raises(FramingError) as caught:
        read_all(reader)
    assert caught.value.code == PROTOCOL_ERROR


def test_text_must_be_utf_8() -> None:
    """RFC 6455, 8.1."""
    assert decode_text("é✓".encode()) == "é✓"
    with pytest.raises(FramingError) as caught:
        decode_text(b"\xff")
    assert caught.value.code == BAD_DATA


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_close_frame_is_answered_with_its_own_code(code: int) -> None:
    """A reason may follow the code."""
    assert close_code(code.to_bytes(2, "big") + "adiós".encode()) == code


def test_a_close_frame_without_a_code_is_answered_with_1000() -> None:
    """RFC 6455, 7.4.1: 1000 is the normal closure."""
    assert close_code(b"") == NORMAL


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", PROTOCOL_ERROR),
        *[
            (number.to_bytes(2, "big"), PROTOCOL_ERROR)
            for number in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)
        ],
        (b"\x03\xe8\xff", BAD_DATA),
    ],
)
def test_a_bad_close_payload_is_an_error(payload: bytes, code: int) -> None:
    """It is half a code, a code that may not be sent, or a reason that is not UTF-8."""
    with pytest.raises(FramingError) as caught:
        close_code(payload)
    assert caught.value.code == code


def test_the_opcodes_of_control_frames_are_the_largest() -> None:
    """The reader tells control frames from data frames by this order."""
    assert max(FRAGMENT, TEXT, BINARY) < min(CLOSE, PING)
