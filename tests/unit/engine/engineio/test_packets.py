"""Engine.IO packets are decoded strictly by the protocol."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.engine.engineio.packets import MESSAGE, ProtocolError, decode
from tests.support.packets import nearly_packets


@pytest.mark.parametrize(
    ("encoded", "packet"),
    [
        ("0", ("0", "")),
        ("1", ("1", "")),
        ("2", ("2", "")),
        ("2probe", ("2", "probe")),
        ("3", ("3", "")),
        ("3probe", ("3", "probe")),
        ("4", ("4", "")),
        ('42["x"]', ("4", '2["x"]')),
        ("4٤", ("4", "٤")),
        ("5", ("5", "")),
        ("6", ("6", "")),
        ("bAQID", ("4", b"\x01\x02\x03")),
        ("bAQI=", ("4", b"\x01\x02")),
        ("b", ("4", b"")),
    ],
)
def test_a_packet_is_decoded_into_its_type_and_data(encoded: str, packet: Any) -> None:
    """A packet that starts with ``b`` is a binary message in base64."""
    assert decode(encoded) == packet


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "x",
        "7",
        "8",
        "9",
        "-1",
        " 4",
        "\n",
        "\x1e",
        "٤",
        "²",
        "４",
        "b%%%",
        "bAQID=",
        "bAQID==",
        "bA",
        "bñ",
        "b AQID",
        "bAQID\n",
        "bAQ==ID",
        "bAQI",
        "B",
        '["x"]',
        "[" * 3000,
    ],
)
def test_any_other_packet_breaks_the_protocol(encoded: str) -> None:
    """It is empty, has digits of another script, or is not valid base64."""
    with pytest.raises(ProtocolError):
        decode(encoded)


@given(st.text() | nearly_packets)
def test_arbitrary_text_is_a_packet_or_breaks_the_protocol(text: str) -> None:
    """No other exception is raised."""
    try:
        kind, _ = decode(text)
    except ProtocolError:
        return
    assert kind in "0123456"


@given(st.binary())
def test_binary_packets_decode_to_the_encoded_bytes(data: bytes) -> None:
    """They are encoded as the protocol's own clients do."""
    assert decode("b" + base64.b64encode(data).decode()) == (MESSAGE, data)
