"""The functions that encode and decode packets, without a server."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import strategies as st
from socketio import packet as stock

from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.packets import decode as decode_engineio
from sio_server.engine.socketio.packets import UNDECODABLE, Packet
from tests.fuzz.budget import CASES, fuzz, ran
from tests.fuzz.oracle import Closed, Model
from tests.fuzz.strategies import EVENTS, cases, engine_packets

SHARE = CASES // 2
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    leaves | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=3,
)
namespaces = st.text("abc/é.-_ ", max_size=6).map(lambda text: f"/{text}")
names = st.sampled_from([json.loads(name) for name in EVENTS]) | st.text(max_size=5)
whole = st.tuples(
    st.sampled_from((stock.EVENT, stock.ACK)),
    namespaces,
    st.none() | st.integers(0, 10**16 - 1),
    names,
    st.lists(values, max_size=3),
)


def test_decoding_raises_only_protocol_errors() -> None:
    """Decoding raises ``ProtocolError`` if the oracle refuses the packet, and no other error."""
    fuzz("pure, decoding", SHARE, st.lists(cases | engine_packets(), max_size=5), _decode_all)


def _decode_all(batch: list[list[str | bytes]]) -> None:
    for case in batch:
        ran["pure, decoding"] += 1
        packet: Packet | None = None
        for data in case:
            with contextlib.suppress(ProtocolError):
                kind, message = decode_engineio(data) if isinstance(data, str) else ("4", data)
                _same_kind(data, kind, message)
                if packet is not None and isinstance(message, bytes):
                    if packet.add_attachment(message):
                        packet = None
                elif message:
                    packet = Packet(encoded_packet=message)
                    if packet.attachment_count == 0:
                        packet = None
                continue
            packet = None


def _same_kind(data: str | bytes, kind: str, message: str | bytes) -> None:
    if isinstance(data, str):
        try:
            expected = Model.engine_decode(data)
        except Closed:
            raise AssertionError(f"decoded: {data!r}") from None
        assert (kind, message) == expected


def test_an_encoded_packet_decodes_to_itself() -> None:
    """The decoded packet equals the original, with its attachments in their places."""
    fuzz("pure, round trips", SHARE, whole, _round_trip)


def _round_trip(drawn: tuple[int, str, int | None, Any, list[Any]]) -> None:
    ran["pure, round trips"] += 1
    kind, namespace, id, name, arguments = drawn
    if kind == stock.ACK and id is None:
        id = 0
    original = Packet(kind, [name, *arguments], namespace, id)
    encoded = original.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    try:
        decoded = Packet(encoded_packet=text)
    except ProtocolError:
        reserved = kind == stock.EVENT and name in ("connect", "disconnect")
        assert reserved or len(attachments) > Packet.max_attachments, text
        return
    assert decoded.attachment_count == len(attachments)
    for attachment in attachments:
        decoded.add_attachment(attachment)
    if UNDECODABLE not in decoded.data:
        assert decoded.data == original.data
    assert (decoded.id, decoded.namespace or "/", decoded.packet_type) == (
        id,
        namespace,
        original.packet_type,
    )
