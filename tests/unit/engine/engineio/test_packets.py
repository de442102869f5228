"""Engine.IO packets, held to the protocol strictly."""

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
def test_an_engineio_packet_is_its_type_and_its_data(encoded: str, packet: Any) -> None:
    """A ``b`` is a binary message in base64."""
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
def test_any_other_engineio_packet_breaks_the_protocol(encoded: str) -> None:
    """An empty one, another script's digits, what is not base64."""
    with pytest.raises(ProtocolError):
        decode(encoded)


@given(st.text() | nearly_packets)
def test_arbitrary_text_is_an_engineio_packet_or_breaks_the_protocol(text: str) -> None:
    """Nothing else comes out."""
    try:
        kind, _ = decode(text)
    except ProtocolError:
        return
    assert kind in "0123456"


@given(st.binary())
def test_binary_packets_decode_to_what_was_encoded(data: bytes) -> None:
    """In the form in which the protocol's own clients encode them."""
    assert decode("b" + base64.b64encode(data).decode()) == (MESSAGE, data)
