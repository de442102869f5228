"""``emit`` and ``send``: to whom, and what arrives."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.engine import Server
from tests.socketio_api.api import Clients, clients_of, until


async def four(connect: Clients, server: Server) -> list[Any]:
    """Open four clients: the first two are in «oak», the second and the third in «pine»."""
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
async def test_to_whom(argument: str, target: Any, reached: list[int], transport: str) -> None:
    """All, a client, a room, several rooms: everybody in them gets it once."""
    server = Server()
    async with clients_of(server, transport) as connect:
        clients = await four(connect, server)

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
async def test_who_is_skipped(room: Any, skipped: Any, reached: list[int], transport: str) -> None:
    """One client, or several."""
    server = Server()
    async with clients_of(server, transport) as connect:
        clients = await four(connect, server)
        sids = [client.get_sid() for client in clients]
        skip = [sids[one] for one in skipped] if isinstance(skipped, list) else sids[skipped]
        await server.emit("x", room=room, skip_sid=skip)
        for number, client in enumerate(clients):
            assert await client.before_end(server) == [("x",)] * (number in reached), number


async def test_a_namespace_is_its_own_world(transport: str) -> None:
    """Its clients and its rooms are other ones, also where their names are the same."""
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
async def test_what_arrives(data: Any, arguments: tuple[Any, ...], transport: str) -> None:
    """None is no argument, a tuple is several, anything else is one; bytes stay bytes."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.emit("x", data)
        assert await client.before_end(server) == [("x", *arguments)]


async def test_events_arrive_in_their_order(transport: str) -> None:
    """Text and binary, to one and to all."""
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


async def test_send_emits_a_message(transport: str) -> None:
    """With the same targets as ``emit``, and a callback."""
    server, answers = Server(namespaces=["/", "/other"]), []
    async with clients_of(server, transport) as connect:
        clients = await four(connect, server)
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


async def test_data_that_are_no_json_are_the_callers_mistake(transport: str) -> None:
    """It gets the exception; nothing goes out, and the connection goes on."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        with pytest.raises(TypeError):
            await server.emit("x", {"a": object()})
        with pytest.raises(TypeError):
            await server.emit("x", object(), to=client.get_sid(), callback=print)
        assert await client.before_end(server) == []


async def test_emits_with_nobody_to_get_them_do_nothing() -> None:
    """No client, no namespace, a client that is gone."""
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


async def test_a_handler_emits_to_the_others(transport: str) -> None:
    """The documentation's chat: a message goes to everybody but its sender."""
    server = Server()

    @server.event
    async def say(sid: str, text: str) -> None:
        await server.emit("said", (sid, text), skip_sid=sid)

    async with clients_of(server, transport) as connect:
        speaker, listener = await connect(), await connect()
        await speaker.emit("say", "hello")
        assert await listener.get("said") == (speaker.get_sid(), "hello")
        assert await speaker.before_end(server) == []
