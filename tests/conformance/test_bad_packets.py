"""Socket.IO: a packet that a client may not send closes the connection, and reaches no handler."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import Client, Packet, connected, read_to_end, socketio

NO_PACKETS = [
    "",
    "abc",
    "7",
    "9",
    "-1",
    " 0",
    "\u0662[]",
    '["message"]',
    "/custom,",
    '{"type":2}',
]

BAD_CONNECTS = ["0abc", "0[]", '0"token"', "0 1", "0null1", "0{", "0/custom,[]", "0/custom,x"]

BAD_EVENTS = [
    "2",
    "2[]",
    "2{}",
    "2null",
    "2true",
    '2"message"',
    "2[",
    '2["message"',
    '2["message"]x',
    '2["message",]',
    "2[null]",
    "2[true]",
    "2[{}]",
    '2[["message"]]',
    '2abc["message-with-ack"]',
    '2-1["message-with-ack"]',
    '21.5["message-with-ack"]',
    '2 1["message-with-ack"]',
    '2\u0661["message-with-ack"]',
    "212",
    "212{}",
    "2/custom",
    "2/custom,",
    "2/custom,[]",
    "2/custom,{}",
    '2["connect"]',
    '2["connect_error"]',
    '2["disconnect"]',
    '2/custom,["disconnecting"]',
]

BAD_ACKS = ["3", "31", "31{}", '31"x"', "31null", "3[]", "3abc[]", "3/custom,1", "3/custom,[]"]

OTHERS = [
    '1{"reason":1}',
    "1[]",
    '1"bye"',
    '4{"message":"only a server refuses"}',
    "4",
    '4/custom,{"message":"x"}',
]

BAD_BINARY = [
    '5["message"]',
    '5-["message"]',
    '51["message",{"_placeholder":true,"num":0}]',
    '5x-["message"]',
    '5-1-["message"]',
    '5+1-["message"]',
    '51.0-["message"]',
    '5\u0661-["message"]',
    '51/custom,-["message"]',
    "51-",
    "51-[]",
    "51-{}",
    '51-"message"',
    '51-x["message",{"_placeholder":true,"num":0}]',
    "61-[]",
    '6["x"]',
    "61-1{}",
    "61-1",
]

HOLE = '{"_placeholder":true,"num":0}'


@pytest.fixture(params=["polling", "websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """Return each transport; an upgraded client is on a WebSocket, too."""
    name: str = request.param
    return name


async def assert_closed(carrier: Client) -> None:
    """Check that the connection closes without another Socket.IO packet."""
    assert [packet for packet in await read_to_end(carrier) if packet not in {"1", "6"}] == []


@pytest.fixture
def handled(sio: Any) -> list[Any]:
    """Return the list of all events that reach a handler."""
    events: list[Any] = []

    async def record(event: str, *arguments: Any) -> None:
        events.append((event, arguments))

    for namespace in ("/", "/custom"):
        sio.on("*", record, namespace=namespace)
        for event in ("message", "message-with-ack"):
            sio.on(event, record, namespace=namespace)
    return events


@pytest.mark.parametrize(
    "packet", [*NO_PACKETS, *BAD_EVENTS, *BAD_ACKS, *OTHERS, *BAD_BINARY], ids=ascii
)
async def test_an_invalid_packet_closes_the_connection(
    sio_url: str, sio: Any, handled: list[Any], transport: str, packet: str
) -> None:
    """The packet breaks the grammar, or only a server may send it."""
    async with socketio(sio_url, transport, "/", "/custom") as client:
        await client.send(packet)
        await assert_closed(client.carrier)
        assert not sio.eio.sockets
    assert handled == []


@pytest.mark.parametrize("packet", [*NO_PACKETS, *BAD_CONNECTS], ids=ascii)
async def test_a_session_that_starts_without_a_valid_connect_is_closed(
    sio_url: str, sio: Any, transport: str, packet: str
) -> None:
    """The first packet must be a CONNECT, and its payload an object."""
    async with connected(sio_url, transport) as carrier:
        await carrier.send("4" + packet)
        await assert_closed(carrier)
        assert not sio.eio.sockets


@pytest.mark.parametrize(
    "packet",
    [
        '2["message"]',
        '21["message-with-ack"]',
        "1",
        "31[]",
        f'51-["message",{HOLE}]',
        f"61-1[{HOLE}]",
    ],
)
@pytest.mark.parametrize("state", ["nothing", "other namespace", "left", "refused"])
async def test_a_packet_to_an_unconnected_namespace_closes_the_connection(
    sio_url: str, handled: list[Any], transport: str, packet: str, state: str
) -> None:
    """This applies to every type of packet except CONNECT."""
    async with socketio(sio_url, transport) as client:
        if state == "other namespace":
            await client.connect("/custom")
        elif state == "left":
            await client.connect()
            await client.send("1")
        elif state == "refused":
            await client.send("0/random")
            assert str(await client.receive()).startswith("4/random")
        await client.send(packet)
        await assert_closed(client.carrier)
    assert handled == []


@pytest.mark.parametrize(
    "packets",
    [
        [b"\x01"],
        [f'452-["message",{HOLE}]', b"\x01", '42["message","too early"]'],
        [f'451-["message",{HOLE}]', "4"],
        [f'451-["message",{HOLE}]', "41"],
        [f'451-["message",{HOLE}]', b"\x01", b"\x02"],
        [f'451-["message",{HOLE}]', f'451-["message",{HOLE}]'],
        ['451-["message",{"_placeholder":true,"num":1}]', b"\x01"],
        ['451-["message",{"_placeholder":true,"num":-1}]', b"\x01"],
        ['451-["message",{"_placeholder":true,"num":"0"}]', b"\x01"],
        ['451-["message",{"_placeholder":true}]', b"\x01"],
    ],
    ids=repr,
)
async def test_missing_or_unannounced_attachments_close_the_connection(
    sio_url: str, sio: Any, transport: str, packets: list[Packet]
) -> None:
    """After a binary packet, only its attachments may follow."""
    handled: list[Any] = []

    async def record(sid: str, *arguments: Any) -> None:
        handled.append(arguments)

    sio.on("message", record)
    async with socketio(sio_url, transport, "/") as client:
        await client.carrier.send(*packets)
        await assert_closed(client.carrier)
    assert handled in ([], [(b"\x01",)])


async def test_a_binary_first_message_closes_the_connection(sio_url: str, transport: str) -> None:
    """Only a text packet can connect."""
    async with connected(sio_url, transport) as carrier:
        await carrier.send(b"0")
        await assert_closed(carrier)


async def test_events_before_a_bad_packet_are_handled(sio_url: str, transport: str) -> None:
    """Events after it are not handled."""
    async with socketio(sio_url, transport, "/") as client, socketio(sio_url, transport, "/") as on:
        await client.carrier.send('42["message",1]', "42{}", '42["message",2]')
        packets = [
            packet for packet in await read_to_end(client.carrier) if packet not in {"1", "6"}
        ]
        assert packets in ([], ['42["message-back",1]'])
        await on.echo("still here")


async def test_a_bad_packet_calls_each_namespaces_disconnect_handler(
    sio_url: str, sio: Any, transport: str
) -> None:
    """Each handler runs once."""
    left: list[str] = []

    async def disconnect(sid: str, reason: str) -> None:
        left.append(sid)

    for namespace in ("/", "/custom"):
        sio.on("disconnect", disconnect, namespace=namespace)
    async with socketio(sio_url, transport) as client:
        ids = [await client.connect(namespace) for namespace in ("/", "/custom")]
        await client.send("abc")
        await assert_closed(client.carrier)
        assert sorted(left) == sorted(ids)
    assert len(left) == 2
