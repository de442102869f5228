"""``emit`` and ``send``: their recipients and their data."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.engine import Server
from tests.socketio_api.api import Clients, clients_of, until


async def open_four_clients(connect: Clients, server: Server) -> list[Any]:
    """Open four clients: numbers 0 and 1 are in «oak», numbers 1 and 2 in «pine»."""
    clients = [await connect() for _ in range(4)]
    for number, room in ((0, "oak"), (1, "oak"), (1, "pine"), (2, "pine")):
        await server.enter_room(clients[number].get_sid(), room)
    return clients


@pytest.mark.parametrize("argument", ["to", "room"])
@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (None, [0, 1, 2, 3]),
        (3, [3]),
        ("oak", [0, 1]),
        (["oak"], [0, 1]),
        (["oak", "pine"], [0, 1, 2]),
        (["pine", "nowhere", 3], [1, 2, 3]),
        ("nowhere", []),
        (["nowhere"], []),
    ],
)
async def test_an_event_reaches_each_recipient_once(
    argument: str, target: Any, reached: list[int], transport: str
) -> None:
    """The recipients are all clients, one client, one room, or several rooms."""
    server = Server()
    async with clients_of(server, transport) as connect:
        clients = await open_four_clients(connect, server)

        def name(one: Any) -> Any:
            return clients[one].get_sid() if isinstance(one, int) else one

        room = [name(one) for one in target] if isinstance(target, list) else name(target)
        await server.emit("x", "data", **{argument: room})
        for number, client in enumerate(clients):
            expected = [("x", "data")] if number in reached else []
            assert await client.before_end(server) == expected, number


@pytest.mark.parametrize(
    ("room", "skipped", "reached"),
    [
        (None, 0, [1, 2, 3]),
        (None, [0, 2], [1, 3]),
        ("oak", 0, [1]),
        (["oak", "pine"], [1], [0, 2]),
        ("oak", [0, 1], []),
    ],
)
async def test_skipped_clients_get_no_event(
    room: Any, skipped: Any, reached: list[int], transport: str
) -> None:
    """One client or several clients can be skipped."""
    server = Server()
    async with clients_of(server, transport) as connect:
        clients = await open_four_clients(connect, server)
        sids = [client.get_sid() for client in clients]
        skip = [sids[one] for one in skipped] if isinstance(skipped, list) else sids[skipped]
        await server.emit("x", room=room, skip_sid=skip)
        for number, client in enumerate(clients):
            assert await client.before_end(server) == [("x",)] * (number in reached), number


async def test_namespaces_share_neither_clients_nor_rooms(transport: str) -> None:
    """Rooms with the same name in two namespaces have different members."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/other")
        await server.enter_room(client.get_sid("/other"), "room", namespace="/other")
        await server.emit("all", 1, namespace="/other")
        await server.emit("room", 2, to="room", namespace="/other")
        await server.emit("room", 3, to="room")
        await server.emit("all", 4)
        await server.emit("all", 5, namespace="/nowhere")
        assert await client.before_end(server, "/other") == [("all", 1), ("room", 2)]
        assert await client.before_end(server) == [("all", 4)]


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, ()),
        ("é✓\x1e\n", ("é✓\x1e\n",)),
        ("", ("",)),
        (0, (0,)),
        (False, (False,)),
        ([1, [2]], ([1, [2]],)),
        ([], ([],)),
        ({"a": {"b": None}}, ({"a": {"b": None}},)),
        ((1, "b", [3], None), (1, "b", [3], None)),
        ((), ()),
        (b"\x00\xff", (b"\x00\xff",)),
        (b"", (b"",)),
        (bytearray(b"1"), (b"1",)),
        ({"a": b"1", "b": [b"2", {"c": b"3"}]}, ({"a": b"1", "b": [b"2", {"c": b"3"}]},)),
        ((b"1", "2", b"3"), (b"1", "2", b"3")),
        ([b"1", b"1"], ([b"1", b"1"],)),
        ("x" * 100_000, ("x" * 100_000,)),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_data_arrive_as_the_events_arguments(
    data: Any, arguments: tuple[Any, ...], transport: str
) -> None:
    """None is no argument, a tuple is several, anything else is one; bytes stay bytes."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.emit("x", data)
        assert await client.before_end(server) == [("x", *arguments)]


async def test_events_arrive_in_the_order_of_their_emits(transport: str) -> None:
    """Text and binary events to one client and to all clients keep one order."""
    server, count = Server(), 100 if transport == "websocket" else 6
    async with clients_of(server, transport) as connect:
        client = await connect()
        for number in range(count):
            await server.emit(
                "x",
                (number, b"binary" if number % 3 else "text"),
                to=client.get_sid() if number % 2 else None,
            )
        received = await client.before_end(server)
    assert [number for _, number, _ in received] == list(range(count))


async def test_send_emits_the_event_message(transport: str) -> None:
    """It has the same recipients as ``emit``, and a callback."""
    server, answers = Server(namespaces=["/", "/other"]), []
    async with clients_of(server, transport) as connect:
        clients = await open_four_clients(connect, server)
        sids = [client.get_sid() for client in clients]
        clients[3].answers["message"] = "answer"
        await server.send("all")
        await server.send(("oak", 2), room="oak", skip_sid=sids[0])
        await server.send(b"one", to=sids[3], callback=answers.append)
        await server.send("elsewhere", namespace="/other")
        expected = [[], [("message", "oak", 2)], [], [("message", b"one")]]
        for client, own in zip(clients, expected, strict=True):
            assert await client.before_end(server) == [("message", "all"), *own]
        await until(lambda: answers, "the answer")
    assert answers == ["answer"]


async def test_data_that_json_cannot_encode_raise_in_the_caller(transport: str) -> None:
    """Nothing is sent, and the connection stays open."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        with pytest.raises(TypeError):
            await server.emit("x", {"a": object()})
        with pytest.raises(TypeError):
            await server.emit("x", object(), to=client.get_sid(), callback=print)
        assert await client.before_end(server) == []


async def test_an_emit_without_recipients_does_nothing() -> None:
    """There may be no client, no namespace, or only a client that has disconnected."""
    server = Server()
    await server.emit("x")
    await server.emit("x", to="nobody", namespace="/nowhere", callback=print)
    async with clients_of(server) as connect:
        client, other = await connect(), await connect()
        sid = client.get_sid()
        await client.disconnect()
        await until(lambda: not server.manager.is_connected(sid, "/"), "the disconnect")
        await server.emit("x", to=sid)
        assert await other.before_end(server) == []


async def test_a_handler_can_emit_to_all_other_clients(transport: str) -> None:
    """It is the documentation's chat: a message goes to everybody but its sender."""
    server = Server()

    @server.event
    async def say(sid: str, text: str) -> None:
        await server.emit("said", (sid, text), skip_sid=sid)

    async with clients_of(server, transport) as connect:
        speaker, listener = await connect(), await connect()
        await speaker.emit("say", "hello")
        assert await listener.get("said") == (speaker.get_sid(), "hello")
        assert await speaker.before_end(server) == []


async def test_a_python_client_gets_a_burst_of_events_over_polling() -> None:
    """Python's client refuses more than 16 packets, so no response has more."""
    server = Server()
    async with clients_of(server, "polling") as connect:
        client = await connect()
        for number in range(40):
            await server.emit("x", number)
        await until(lambda: len(client.received) == 40 or not client.connected, "the events")
        assert client.received == [("/", "x", number) for number in range(40)]
