"""Socket.IO: events and their arguments, in the namespace that they are for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.clients import POLLING, SocketIO, address, polling, socketio

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
async def test_an_event_has_the_arguments_that_it_was_sent_with(
    sio_url: str, transport: str, namespace: str, arguments: str
) -> None:
    """Change nothing of an event's arguments; name no namespace where it is the main one."""
    there = address(namespace)
    async with socketio(sio_url, transport, namespace) as client:
        await client.send(f'2{there}["message"{arguments}]')
        answer = str(await client.receive())
        assert answer[: len(there) + 2] == f"2{there}["
        assert json.loads(answer[len(there) + 1 :]) == [
            "message-back",
            *json.loads(f"[{arguments[1:]}]"),
        ]


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_an_event_is_written_without_needless_bytes(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """Write a packet as type, namespace and JSON, with nothing between."""
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        await sio.emit("event", ({"a": [1, 2]}, "b"), to=sid, namespace=namespace)
        assert await client.receive() == f'2{address(namespace)}["event",{{"a":[1,2]}},"b"]'


async def test_the_main_namespace_may_be_named(sio_url: str, transport: str) -> None:
    """Take the main namespace by its name as well."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send('2/,["message",1]')
        assert await client.receive() == '2["message-back",1]'


async def test_events_keep_their_order(sio_url: str, transport: str) -> None:
    """Handle events in their order, and bring what is emitted in its order."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        events = [f'{address(NAMESPACES[n % 2])}["message",{n}]' for n in range(200)]
        for event in events:
            await client.send(f"2{event}")
        for event in events:
            assert await client.receive() == f"2{event.replace('message', 'message-back')}"


async def test_a_body_of_several_events(sio_url: str) -> None:
    """Take several events in one body, for several namespaces, CONNECT among them."""
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


async def test_an_event_that_nobody_handles_is_nothing(sio_url: str, transport: str) -> None:
    """Ignore what the application has no use for."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send('2["nobody"]')
        await client.send('2["Message",1]')
        await client.send('2["",1]')
        await client.echo("still here")


async def test_namespaces_do_not_hear_one_another(sio_url: str, sio: Any, transport: str) -> None:
    """Handle an event in its namespace, and emit one to it, though the connection is one."""
    heard: list[tuple[str, Any]] = []
    for namespace in NAMESPACES:

        async def note(sid: str, data: Any, namespace: str = namespace) -> None:
            heard.append((namespace, data))

        sio.on("note", note, namespace=namespace)
    async with (
        socketio(sio_url, transport, *NAMESPACES) as both,
        socketio(sio_url, transport, "/custom") as one,
    ):
        await both.send('2["note",1]')
        await both.send('2/custom,["note",2]')
        await both.echo("all are handled")
        assert heard == [("/", 1), ("/custom", 2)]
        await sio.emit("news", 1)
        await sio.emit("news", 2, namespace="/custom")
        assert await both.receive() == '2["news",1]'
        assert await both.receive() == '2/custom,["news",2]'
        assert await one.receive() == '2/custom,["news",2]'


async def test_rooms_are_of_a_namespace(sio_url: str, sio: Any, transport: str) -> None:
    """Keep a room of one namespace apart from the other's of the same name."""
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


async def test_an_event_for_all_comes_to_each_once(sio_url: str, sio: Any) -> None:
    """Bring a broadcast to every client of a namespace, whatever its transport."""
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


async def test_what_is_emitted_waits_for_the_next_poll(sio_url: str, sio: Any) -> None:
    """Queue events for a client that does not poll just now."""
    async with socketio(sio_url, POLLING, "/") as client:
        for number in range(3):
            await sio.emit("news", number)
        assert [await client.receive() for _ in range(3)] == [f'2["news",{n}]' for n in range(3)]
