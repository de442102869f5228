"""Frames: a message in the form of each transport."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.net import frames
from sio_server.net.frames import Frame, encode_websocket


def read(frame: bytes) -> tuple[int, bytes]:
    """Decode a server's frame (RFC 6455, 5.2); return the opcode and the payload."""
    assert frame[0] & 0xF0 == 0x80, "final, no extension"
    assert frame[1] & 0x80 == 0, "a server's frame is not masked"
    size, length = {126: (2, 0), 127: (8, 0)}.get(frame[1], (0, frame[1]))
    if size:
        length = int.from_bytes(frame[2 : 2 + size], "big")
        assert length >= {2: 126, 8: 1 << 16}[size], "the shortest form"
    assert len(frame) == 2 + size + length
    return frame[0] & 0x0F, frame[2 + size :]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frames_length_is_encoded_in_its_shortest_form(length: int) -> None:
    """The length takes seven bits, two bytes or eight bytes."""
    payload = bytes(length)
    frame = encode_websocket(0x82, payload)
    assert read(frame) == (2, payload)
    assert len(frame) - length == (2 if length < 126 else 4 if length < 65_536 else 10)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_a_text_frame_and_unchanged_polling_text(text: str) -> None:
    """A polling payload has the text unchanged."""
    frame = Frame(text)
    assert read(frame.websocket) == (1, text.encode())
    assert frame.polling == text.encode()
    assert frame.packet == text
    assert len(frame) == len(frame.websocket)


@given(st.binary())
def test_bytes_are_a_binary_frame_and_polling_base64(data: bytes) -> None:
    """Over polling they have a ``b`` in front (Engine.IO protocol, "Payload encoding")."""
    frame = Frame(data)
    assert read(frame.websocket) == (2, data)
    assert frame.polling[:1] == b"b"
    assert base64.b64decode(frame.polling[1:], validate=True) == data
    assert frame.packet == data


@pytest.mark.parametrize("packet", ["2", b"\x00"])
def test_a_frame_is_encoded_once(packet: str | bytes) -> None:
    """All recipients get the same bytes object."""
    frame = Frame(packet)
    assert frame.websocket is frame.websocket


def test_the_order_of_the_transports_does_not_change_a_frame() -> None:
    """Either transport may ask for its form first."""
    for first, second in (("websocket", "polling"), ("polling", "websocket")):
        frame = Frame(b"\x01\x02")
        forms = {first: getattr(frame, first), second: getattr(frame, second)}
        assert forms == {"websocket": b"\x82\x02\x01\x02", "polling": b"bAQI="}


@pytest.mark.parametrize("payload", [b"", b"x", bytes(125)])
def test_a_pong_has_the_payload_of_its_ping(payload: bytes) -> None:
    """RFC 6455, 5.5.3, demands it."""
    assert read(frames.pong(payload)) == (10, payload)


def test_the_servers_ping_has_no_payload() -> None:
    """One frame serves all clients."""
    assert read(frames.PING) == (9, b"")
