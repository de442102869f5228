"""Socket.IO: events, their arguments and their namespaces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.clients import POLLING, SocketIO, namespace_prefix, polling, socketio

NAMESPACES = ("/", "/custom")

ARGUMENTS = [
    "",
    ',1,"2",{"3":[true]}',
    ",null",
    ",[]",
    ",[[]]",
    ",{}",
    ",[1,2],[3]",
    ",-1.5,1e+100,9007199254740991,false",
    ',"é € 日本語 🪑"',
    ',"\\"\\\\\\n"',
    ',"[\\"2\\"]","/custom,","51-","{}"',
    ',{"_placeholder":false,"num":0}',
    ',{"a":{"b":{"c":[{"d":null}]}}}',
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=repr)
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_arguments_of_an_event_do_not_change(
    sio_url: str, transport: str, namespace: str, arguments: str
) -> None:
    """The server's packet omits the main namespace."""
    there = namespace_prefix(namespace)
    async with socketio(sio_url, transport, namespace) as client:
        await client.send(f'2{there}["message"{arguments}]')
        answer = str(await client.receive())
        assert answer[: len(there) + 2] == f"2{there}["
        assert json.loads(answer[len(there) + 1 :]) == [
            "message-back",
            *json.loads(f"[{arguments[1:]}]"),
        ]


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_an_event_is_encoded_without_spaces(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """The packet is its type, its namespace and its JSON."""
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        await sio.emit("event", ({"a": [1, 2]}, "b"), to=sid, namespace=namespace)
        assert (
            await client.receive() == f'2{namespace_prefix(namespace)}["event",{{"a":[1,2]}},"b"]'
        )


async def test_a_packet_may_name_the_main_namespace(sio_url: str, transport: str) -> None:
    """The server's own packets do not name it."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send('2/,["message",1]')
        assert await client.receive() == '2["message-back",1]'


async def test_events_keep_their_order(sio_url: str, transport: str) -> None:
    """Received events are handled in order, and emitted events arrive in order."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        events = [f'{namespace_prefix(NAMESPACES[n % 2])}["message",{n}]' for n in range(200)]
        for event in events:
            await client.send(f"2{event}")
        for event in events:
            assert await client.receive() == f"2{event.replace('message', 'message-back')}"


async def test_a_body_may_have_events_of_several_namespaces(sio_url: str) -> None:
    """It may also have a CONNECT packet."""
    async with polling(sio_url) as carrier:
        client = SocketIO(carrier)
        await client.connect()
        await carrier.send('42["message",1]', "40/custom,", '42/custom,["message",2]')
        answers = sorted([str(await client.receive()) for _ in range(4)])
        assert answers[0].startswith('0/custom,{"sid":')
        assert answers[1:] == [
            '2/custom,["auth",{}]',
            '2/custom,["message-back",2]',
            '2["message-back",1]',
        ]


async def test_an_event_without_a_handler_is_ignored(sio_url: str, transport: str) -> None:
    """The connection stays open."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send('2["nobody"]')
        await client.send('2["Message",1]')
        await client.send('2["",1]')
        await client.echo("still here")


async def test_an_event_reaches_only_its_namespace(sio_url: str, sio: Any, transport: str) -> None:
    """This holds for received and for emitted events of one connection."""
    handled: list[tuple[str, Any]] = []
    for namespace in NAMESPACES:

        async def record(sid: str, data: Any, namespace: str = namespace) -> None:
            handled.append((namespace, data))

        sio.on("note", record, namespace=namespace)
    async with (
        socketio(sio_url, transport, *NAMESPACES) as both,
        socketio(sio_url, transport, "/custom") as one,
    ):
        await both.send('2["note",1]')
        await both.send('2/custom,["note",2]')
        await both.echo("all are handled")
        assert handled == [("/", 1), ("/custom", 2)]
        await sio.emit("news", 1)
        await sio.emit("news", 2, namespace="/custom")
        assert await both.receive() == '2["news",1]'
        assert await both.receive() == '2/custom,["news",2]'
        assert await one.receive() == '2/custom,["news",2]'


async def test_rooms_of_the_same_name_in_two_namespaces_are_separate(
    sio_url: str, sio: Any, transport: str
) -> None:
    """A client in one room gets no event of the other."""
    async with socketio(sio_url, transport) as client:
        main = await client.connect()
        custom = await client.connect("/custom")
        await sio.enter_room(main, "chairs")
        await sio.emit("news", 1, room="chairs", namespace="/custom")
        await sio.emit("news", 2, room="chairs")
        assert await client.receive() == '2["news",2]'
        await sio.enter_room(custom, "chairs", namespace="/custom")
        await sio.emit("news", 3, room="chairs", namespace="/custom")
        assert await client.receive() == '2/custom,["news",3]'


async def test_a_broadcast_reaches_each_client_once(sio_url: str, sio: Any) -> None:
    """The clients use different transports."""
    async with (
        socketio(sio_url, "polling", "/") as first,
        socketio(sio_url, "websocket", "/") as second,
        socketio(sio_url, "upgraded", "/", "/custom") as third,
    ):
        await sio.emit("news", ["é", {"n": 1}])
        for client in (first, second, third):
            packet = str(await client.receive())
            assert packet[0] == "2"
            assert json.loads(packet[1:]) == ["news", ["é", {"n": 1}]]
            await client.echo("and nothing else")


async def test_events_wait_for_the_next_poll(sio_url: str, sio: Any) -> None:
    """They are queued while the client does not poll."""
    async with socketio(sio_url, POLLING, "/") as client:
        for number in range(3):
            await sio.emit("news", number)
        assert [await client.receive() for _ in range(3)] == [f'2["news",{n}]' for n in range(3)]
