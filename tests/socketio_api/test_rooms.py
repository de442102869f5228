"""Rooms: a client enters and leaves them, and the server closes them."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, clients_of, until


async def test_a_client_is_in_its_own_room_from_the_start(transport: str) -> None:
    """The room is named after the sid, and exists in the connect handler already."""
    server, seen = Server(), []
    server.on("connect", lambda sid, environ: seen.append((sid, server.rooms(sid))))
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        assert seen == [(sid, [sid])]
        assert server.rooms(sid) == [sid]


async def test_a_client_can_enter_and_leave_rooms(transport: str) -> None:
    """Entering twice is the same as once; leaving another room does nothing."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        for _ in range(2):
            await server.enter_room(sid, "oak")
        await server.enter_room(sid, "pine")
        assert set(server.rooms(sid)) == {sid, "oak", "pine"}
        await server.emit("in", to="oak")
        await server.leave_room(sid, "oak")
        await server.leave_room(sid, "oak")
        await server.leave_room(sid, "nowhere")
        await server.emit("out", to="oak")
        assert set(server.rooms(sid)) == {sid, "pine"}
        assert await client.before_end(server) == [("in",)]
        assert set(server.manager.rooms["/"]) == {None, "pine"}


async def test_a_handler_can_move_its_client_between_rooms(transport: str) -> None:
    """It is the documentation's chat: events let a client enter and leave a room."""
    server = Server()

    @server.event
    async def begin_chat(sid: str) -> None:
        await server.enter_room(sid, "chat")

    @server.event
    async def exit_chat(sid: str) -> None:
        await server.leave_room(sid, "chat")

    async with clients_of(server, transport) as connect:
        client = await connect()
        for event in ("begin_chat", "exit_chat"):
            await client.call(event, timeout=TIMEOUT)
            await server.emit("x", event, to="chat")
        assert await client.before_end(server) == [("x", "begin_chat")]


async def test_closing_a_room_removes_all_members(transport: str) -> None:
    """The members stay connected and can enter the room again."""
    server = Server()
    async with clients_of(server, transport) as connect:
        clients = [await connect() for _ in range(2)]
        for client in clients:
            await server.enter_room(client.get_sid(), "oak")
        await server.close_room("oak")
        await server.close_room("oak")
        await server.close_room("oak", namespace="/nowhere")
        await server.emit("nobody", to="oak")
        await server.enter_room(clients[0].get_sid(), "oak")
        await server.emit("one", to="oak")
        assert await clients[0].before_end(server) == [("one",)]
        assert await clients[1].before_end(server) == []


async def test_rooms_of_the_same_name_in_two_namespaces_are_separate(transport: str) -> None:
    """Closing the room of one namespace does not change the other."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/a")
        main, other = client.get_sid(), client.get_sid("/a")
        await server.enter_room(main, "oak")
        await server.enter_room(other, "oak", namespace="/a")
        await server.close_room("oak")
        assert server.rooms(main) == [main]
        assert set(server.rooms(other, namespace="/a")) == {other, "oak"}
        assert server.rooms(other) == []


@pytest.mark.parametrize("room", [1, ("a", 1), b"oak", "é✓"])
async def test_a_room_may_be_any_hashable_value(room: Any) -> None:
    """A client can enter a tuple, but ``emit`` takes a tuple for several rooms."""
    server = Server()
    async with clients_of(server) as connect:
        client = await connect()
        sid = client.get_sid()
        await server.enter_room(sid, room)
        assert set(server.rooms(sid)) == {sid, room}
        if isinstance(room, int | str):
            await server.emit("x", to=room)
            assert await client.before_end(server) == [("x",)]


async def test_nobody_enters_or_closes_a_clients_own_room(transport: str) -> None:
    """Another client would get the events for that client."""
    server = Server()
    async with clients_of(server, transport) as connect:
        one, two = (await connect()).get_sid(), (await connect()).get_sid()
        with pytest.raises(ValueError, match="sid room"):
            await server.enter_room(one, two)
        with pytest.raises(ValueError, match="sid room"):
            await server.close_room(two)
        assert (server.rooms(one), server.rooms(two)) == ([one], [two])


async def test_an_unknown_client_enters_no_room() -> None:
    """The caller gets the error."""
    server = Server()
    with pytest.raises(ValueError, match="not connected"):
        await server.enter_room("nobody", "oak")
    async with clients_of(server) as connect:
        await connect()
        with pytest.raises(KeyError):
            await server.enter_room("nobody", "oak")
    assert server.rooms("nobody") == []


async def test_a_room_ends_with_its_last_client(transport: str) -> None:
    """The server keeps nothing of a client that has disconnected."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.enter_room(client.get_sid(), "oak")
        await server.emit("x", to=client.get_sid(), callback=print)
        await client.disconnect()
        await until(lambda: not server.eio.sockets, "the end of the session")
    manager = server.manager
    state = (manager.rooms, manager.callbacks, manager.pending_connect, manager.pending_disconnect)
    assert state == ({}, {}, {}, {})
    assert (manager._held_frames, server.environ, server._binary_packet) == ({}, {}, {})


async def test_a_client_that_has_left_leaves_no_empty_room() -> None:
    """A handler may outlive its client; it can't add the client to a room."""
    server = Server()
    async with clients_of(server) as connect:
        await connect()
        with pytest.raises(KeyError):
            await server.enter_room("nobody", "oak")
        assert set(server.manager.rooms["/"]) == {None}
