"""Socket.IO packets are decoded strictly by the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from socketio import packet as stock

from sio_server.engine.engineio import packets as engineio_packets
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.socketio.packets import UNDECODABLE, Packet
from tests.support.packets import nearly_packets

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

RESERVED = (
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def decode(text: str) -> Packet:
    """Decode a Socket.IO packet as the server does."""
    return Packet(encoded_packet=text)


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "id", "data"),
    [
        ("0", CONNECT, None, None, None),
        ('0{"token":"t"}', CONNECT, None, None, {"token": "t"}),
        ("05", CONNECT, None, 5, None),
        ("0/admin,", CONNECT, "/admin", None, None),
        ("0/admin", CONNECT, "/admin", None, None),
        ('0/admin,{"a":1}', CONNECT, "/admin", None, {"a": 1}),
        ('0/admin?token=1234&uid=abcd,{"a":1}', CONNECT, "/admin", None, {"a": 1}),
        ("1", DISCONNECT, None, None, None),
        ("1/admin,", DISCONNECT, "/admin", None, None),
        ('2["x"]', EVENT, None, None, ["x"]),
        ('2["x",1,{"a":[]}]', EVENT, None, None, ["x", 1, {"a": []}]),
        ("2[5]", EVENT, None, None, [5]),
        ('212["x"]', EVENT, None, 12, ["x"]),
        ('20["x"]', EVENT, None, 0, ["x"]),
        ('2/admin,456["x",null]', EVENT, "/admin", 456, ["x", None]),
        ('29007199254740991["x"]', EVENT, None, 2**53 - 1, ["x"]),
        ("31[]", ACK, None, 1, []),
        ("30[]", ACK, None, 0, []),
        ('3/admin,13["bar"]', ACK, "/admin", 13, ["bar"]),
        ('2["ñ😀",",/1-"]', EVENT, None, None, ["ñ😀", ",/1-"]),
    ],
)
def test_a_valid_packet_is_decoded_into_its_parts(
    text: str, kind: int, namespace: str | None, id: int | None, data: Any
) -> None:
    """They are the type, the namespace without its query, the acknowledgement id and the data."""
    packet = decode(text)
    assert (packet.packet_type, packet.namespace, packet.id) == (kind, namespace, id)
    assert packet.data == data
    assert packet.attachment_count == 0


@pytest.mark.parametrize(
    ("text", "attachments", "id"),
    [
        ('51-["x",{"_placeholder":true,"num":0}]', 1, None),
        ('52-/admin,7["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', 2, 7),
        ('510-["x"]', 10, None),
        ('61-3[{"_placeholder":true,"num":0}]', 1, 3),
    ],
)
def test_a_binary_packet_is_complete_with_its_last_attachment(
    text: str, attachments: int, id: int | None
) -> None:
    """The text has the number of attachments."""
    packet = decode(text)
    assert (packet.attachment_count, packet.id) == (attachments, id)
    for number in range(attachments - 1):
        assert not packet.add_attachment(bytes([number]))
    assert packet.add_attachment(b"last")


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "8",
        "x",
        " 2",
        "-1",
        "٤",
        '٢["x"]',
        '²["x"]',
        "0[]",
        '0"x"',
        "0true",
        "0{",
        "1{}",
        "1null",
        '1"x"',
        "1[]",
        "2",
        "2[]",
        "2{}",
        "2null",
        '2"x"',
        "25",
        "2[null]",
        "2[true]",
        "2[{}]",
        '2[["x"]]',
        '2["x"',
        '2["x"]]',
        '2["x",]',
        "2['x']",
        '2/admin["x"]',
        '2/admin ["x"]',
        "3[]",
        "30{}",
        "31",
        "31null",
        '31"x"',
        "4",
        '4{"message":"x"}',
        "9",
        '2٤["x"]',
        '2-1["x"]',
        '21.5["x"]',
        '212345678901234567["x"]',
        "2" + "1" * 5000 + '["x"]',
    ],
)
def test_a_packet_that_a_client_may_not_send_breaks_the_protocol(text: str) -> None:
    """It has an unknown type, data of the wrong type, bad JSON, or an impossible id."""
    with pytest.raises(ProtocolError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        '5["x"]',
        '5-["x"]',
        '511-["x"]',
        '5100-["x"]',
        '59999999999-["x"]',
        '5-1-["x"]',
        "51-",
        "51-[]",
        '5٣-["x"]',
        '5²-["x"]',
        '5 1-["x"]',
        '51.0-["x"]',
        '5+1-["x"]',
        "61-[]",
        '61-["x"]',
        "51",
        '51-[{"_placeholder":true,"num":0}]',
        '50x1-["x"]',
        '5/admin,1-["x"]',
    ],
)
def test_a_bad_number_of_attachments_breaks_the_protocol(text: str) -> None:
    """It is missing, over ten or not a number; an attachment can't be the event's name."""
    with pytest.raises(ProtocolError):
        decode(text)


@pytest.mark.parametrize("most", [0, 1, 10, 100])
def test_each_packet_class_has_its_own_bound_for_attachments(most: int) -> None:
    """A packet with exactly the bound is accepted."""
    kind = type("Bounded", (Packet,), {"max_attachments": most})
    assert kind(encoded_packet=f'5{most}-["x"]').attachment_count == most
    with pytest.raises(ProtocolError):
        kind(encoded_packet=f'5{most + 1}-["x"]')


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("form", ['2["{}",{{}}]', '21["{}"]', '51-["{}"]', '2/admin,["{}"]'])
def test_reserved_event_names_break_the_protocol(name: str, form: str) -> None:
    """Otherwise a client could call the server's own handlers."""
    with pytest.raises(ProtocolError):
        decode(form.format(name))


@pytest.mark.parametrize("name", ["Connect", "connected", "error", "message", "", "*", "__class__"])
def test_other_event_names_are_accepted(name: str) -> None:
    """Names that only look like reserved ones are accepted, too."""
    assert decode("2" + json.dumps([name])).data == [name]


def test_binary_data_without_an_announcement_breaks_the_protocol() -> None:
    """Binary data may only follow a binary packet."""
    with pytest.raises(ProtocolError):
        Packet(encoded_packet=b"\x01")


@given(st.text() | nearly_packets)
@example("5" + "9" * 5000 + '-["x"]')
@example("2" + '{"a":' * 5000)
@example("0" + '{"a":' * 5000)
@example("31[" + "[" * 5000)
@example('2["connect",' + "[" * 5000)
@example("2[" + "1" * 5000)
@example('2["\ud800"]')
def test_arbitrary_text_is_a_packet_or_breaks_the_protocol(text: str) -> None:
    """Nothing else comes out, and a packet is one that a client may send."""
    try:
        packet = decode(text)
    except ProtocolError:
        return
    if text:
        assert packet.packet_type in (CONNECT, DISCONNECT, EVENT, ACK, BINARY_EVENT, BINARY_ACK)
        assert packet.attachment_count <= 10
    if packet.packet_type in (EVENT, BINARY_EVENT) and text:
        assert packet.data[0] not in RESERVED


@given(
    st.sampled_from([EVENT, ACK]),
    st.lists(json_values, max_size=3),
    st.sampled_from([None, "/", "/admin", "/a/b"]),
    st.integers(0, 2**53 - 1),
    texts.filter(lambda name: name not in RESERVED),
)
def test_packets_of_the_stock_library_are_decoded(
    kind: int, data: list[Any], namespace: str | None, id: int, name: str
) -> None:
    """A client built on the stock library sends them."""
    data = [name, *data] if kind == EVENT else data
    packet = decode(stock.Packet(kind, data=data, namespace=namespace, id=id).encode())
    assert (packet.packet_type, packet.id, packet.data) == (kind, id, data)
    assert packet.namespace == (None if namespace == "/" else namespace)


binary_values = st.recursive(
    st.binary(max_size=4) | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(binary_values, max_size=3))
def test_attachments_of_the_stock_library_return_to_their_places(data: list[Any]) -> None:
    """The stock library encodes nested binary data."""
    text, *attachments = stock.Packet(EVENT, data=["x", b"", *data]).encode()
    kind = type("Roomy", (Packet,), {"max_attachments": 99})
    packet = kind(encoded_packet=text)
    whole = [packet.add_attachment(attachment) for attachment in attachments]
    assert whole == [False] * (len(attachments) - 1) + [True]
    assert packet.data == ["x", b"", *data]


@pytest.mark.parametrize("number", [1, 9, -1, 0.0, True, "0", None, [], 10**30])
def test_a_placeholder_without_its_attachment_breaks_the_protocol(number: Any) -> None:
    """Its number must be a number, and name an attachment."""
    packet = decode("51-" + json.dumps(["x", {"_placeholder": True, "num": number}]))
    with pytest.raises(ProtocolError):
        packet.add_attachment(b"a")


def test_a_placeholder_without_a_number_breaks_the_protocol() -> None:
    """It names no attachment."""
    packet = decode('51-["x",{"_placeholder":true}]')
    with pytest.raises(ProtocolError):
        packet.add_attachment(b"a")


@pytest.mark.parametrize("times", [2, 200])
def test_an_attachment_that_is_named_twice_breaks_the_protocol(times: int) -> None:
    """An event must not become larger than the received bytes."""
    packet = decode("51-" + json.dumps(["x", *[{"_placeholder": True, "num": 0}] * times]))
    with pytest.raises(ProtocolError):
        packet.add_attachment(b"a")


@pytest.mark.parametrize("mark", [False, None, 1, "true"])
def test_a_value_that_looks_like_a_placeholder_is_data(mark: Any) -> None:
    """Only ``_placeholder`` with the value true marks a placeholder."""
    data = ["x", {"_placeholder": mark, "num": 0}, {"_placeholder": True, "num": 0}]
    packet = decode("51-" + json.dumps(data))
    assert packet.add_attachment(b"a")
    assert packet.data == ["x", {"_placeholder": mark, "num": 0}, b"a"]


def test_deeply_nested_binary_data_breaks_the_protocol() -> None:
    """No ``RecursionError`` is raised."""
    deep: Any = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(ProtocolError):
        Packet.reconstruct_binary(deep, [b"a"])


@pytest.mark.parametrize(
    "argument",
    ["[" * 100_000 + "]" * 100_000, "1" * 5000, "NaN", '{"a":[-Infinity]}'],
)
@pytest.mark.parametrize("id", ["", "7"])
def test_an_undecodable_event_keeps_its_name(argument: str, id: str) -> None:
    """Its handler can answer with an error, and the client stays connected."""
    packet = decode(f'2{id}["furniture_created",{argument}]')
    assert packet.data == ["furniture_created", UNDECODABLE]
    assert packet.id == (int(id) if id else None)


@pytest.mark.parametrize(
    "text",
    [
        "2" + "[" * 5000,
        '2["connect",' + "[" * 5000,
        "2[" + "[" * 5000,
        '2[{"a":' + "[" * 5000,
        "0" + "[" * 5000,
        '0{"a":' + "[" * 5000,
        "2" + "1" * 5000,
        "0" + '{"a":' * 5000,
    ],
)
def test_other_undecodable_packets_break_the_protocol(text: str) -> None:
    """No handler can answer them, or their event name is reserved."""
    with pytest.raises(ProtocolError):
        decode(text)


@pytest.mark.parametrize("hostile", ["\n", "\r", "\x1b[2J", "\u2028", "\ud800", "x" * 100_000, "ñ"])
def test_an_error_message_is_safe_to_log(hostile: str) -> None:
    """It quotes the client's text escaped and bounded."""
    for broken in (lambda: engineio_packets.decode(f"x{hostile}"), lambda: decode(f"x{hostile}")):
        with pytest.raises(ProtocolError) as caught:
            broken()
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000
