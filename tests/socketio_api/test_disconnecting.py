"""The disconnect handler, its reasons, and the server's own disconnects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import socketio

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, raw, until


def legacy(calls: Calls) -> Callable[[str], None]:
    """Return a handler without a reason."""

    def disconnect(sid: str) -> None:
        calls.append((sid,))

    return disconnect


def current(calls: Calls) -> Callable[[str, str], Any]:
    """Return a handler with a reason, a coroutine."""

    async def disconnect(sid: str, reason: str) -> None:
        calls.append((sid, reason))

    return disconnect


@pytest.mark.parametrize(("make", "count"), [(legacy, 1), (current, 2)])
async def test_a_handler_gets_the_sid_and_the_reason_if_it_takes_one(
    make: Callable[[Calls], Any], count: int, transport: str
) -> None:
    """A handler may have one argument or two; it runs once."""
    server, calls = Server(), Calls()
    server.on("disconnect", make(calls))
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        await server.disconnect(sid)
        await until(lambda: client.left, "the disconnect at the client")
    assert calls == [(sid, "server disconnect")[:count]]


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (["41"], "client disconnect"),
        (["1"], "transport close"),
        (["41", "1"], "client disconnect"),
        (["4not a packet"], "transport error"),
    ],
)
async def test_the_reason_when_the_client_leaves(
    packets: list[str], reason: str, transport: str
) -> None:
    """By a packet of either protocol, or by what is none."""
    server, calls = Server(), Calls()
    server.on("disconnect", current(calls))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        for packet in packets:
            await client.try_to_send(packet)
        await until(lambda: calls, "the disconnect handler")
        assert calls == [(sid, reason)]
        assert server.manager.rooms == {}


async def test_the_reason_when_the_connection_drops() -> None:
    """A WebSocket that is gone is a transport that has closed."""
    server, calls = Server(), Calls()
    server.on("disconnect", current(calls))
    async with clients_of(server) as connect:
        async with raw(connect.url) as client:
            sid = await client.join()
        await until(lambda: calls, "the disconnect handler")
    assert calls == [(sid, "transport close")]


async def test_the_reason_when_pings_are_not_answered(transport: str) -> None:
    """The client is there, but silent."""
    server, calls = Server(ping_interval=0.05, ping_timeout=0.05), Calls()
    server.on("disconnect", current(calls))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        await until(lambda: calls, "the disconnect handler")
        assert calls == [(sid, "ping timeout")]


async def test_a_session_that_the_server_ends_leaves_every_namespace(transport: str) -> None:
    """Each is told, with the same reason."""
    server, calls = Server(namespaces="*"), []
    server.on("disconnect", lambda *arguments: calls.append(arguments), namespace="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/a", "/b")
        expected = [(name, client.get_sid(name), "server disconnect") for name in ("/a", "/b")]
        await server.eio.disconnect(client.eio.sid)
        assert calls == expected
        await until(lambda: not client.connected, "the client's disconnect")
    assert (server.manager.rooms, server.eio.sockets, server.environ) == ({}, {}, {})


async def test_disconnecting_one_namespace_leaves_the_others(transport: str) -> None:
    """The client is told of the one, and goes on in the other."""
    server, calls = Server(), []
    server.on("disconnect", lambda sid: calls.append("/a"), namespace="/a")
    server.on("disconnect", lambda sid: calls.append("/b"), namespace="/b")
    server.on("x", lambda sid: "answer", namespace="/b")
    async with clients_of(server, transport) as connect:
        client = await connect("/a", "/b")
        sid = client.get_sid("/a")
        await server.disconnect(sid, namespace="/a")
        assert calls == ["/a"]
        await until(lambda: client.left, "the disconnect at the client")
        assert client.left == [("/a", "server disconnect")]
        assert await client.call("x", namespace="/b", timeout=TIMEOUT) == "answer"
        assert not server.manager.is_connected(sid, "/a")
        assert list(server.manager.rooms) == ["/b"]


async def test_a_client_leaves_one_namespace_and_comes_back(transport: str) -> None:
    """With a new sid; the other namespaces are not touched."""
    server, calls = Server(namespaces=["/a", "/b"]), Calls()
    server.on("disconnect", current(calls), namespace="/a")
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        before = await client.join("/a")
        other = await client.join("/b")
        await client.send("41/a,")
        await until(lambda: calls, "the disconnect handler")
        after = await client.join("/a")
        assert len({before, after, other}) == 3
        assert calls == [(before, "client disconnect")]
        assert list(server.manager.rooms["/b"][None]) == [other]


async def test_a_handler_disconnects_its_own_client(transport: str) -> None:
    """The disconnect handler has run when ``disconnect`` returns; no answer goes out after it."""
    server, calls = Server(), []

    @server.event
    async def leave(sid: str) -> None:
        await server.disconnect(sid)
        calls.append("left")

    server.on("disconnect", lambda sid, reason: calls.append(reason))
    async with clients_of(server, transport) as connect:
        client = await connect()
        await client.emit("leave")
        await until(lambda: client.left, "the disconnect at the client")
        await until(lambda: len(calls) == 2, "both handlers")
    assert calls == ["server disconnect", "left"]


async def test_disconnecting_who_is_not_there_does_nothing(transport: str) -> None:
    """A second time, or somebody unknown."""
    server, calls = Server(), Calls()
    server.on("disconnect", current(calls))
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        await server.disconnect(sid)
        await server.disconnect(sid)
        await server.disconnect("nobody")
        await server.disconnect("nobody", namespace="/nowhere")
    assert calls == [(sid, "server disconnect")]


async def test_the_disconnect_handler_still_sees_its_client(transport: str) -> None:
    """Its rooms and its environment; emits to the room reach the others only."""
    server, seen = Server(), []

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        seen.append((server.rooms(sid), server.get_environ(sid)["HTTP_X_NAME"]))
        await server.emit("gone", sid, to="room")

    async with clients_of(server, transport) as connect:
        leaving, staying = await connect(headers={"X-Name": "n"}), await connect()
        sid = leaving.get_sid()
        for client in (leaving, staying):
            await server.enter_room(client.get_sid(), "room")
        await leaving.disconnect()
        assert await staying.get("gone") == (sid,)
        (rooms, name) = seen[0]
        assert (set(rooms), name) == ({sid, "room"}, "n")
        assert server.rooms(sid) == []
        assert server.get_environ(sid) is None


async def test_a_type_error_inside_a_handler_with_a_reason_is_its_own(transport: str) -> None:
    """In a function and in a class: the body runs once."""
    server, calls = Server(), []

    async def fail(sid: str, reason: str) -> None:
        calls.append(reason)
        raise TypeError("a handler's own")

    class Namespace(socketio.AsyncNamespace):
        async def on_disconnect(self, sid: str, reason: str) -> None:
            await fail(sid, reason)

    server.on("disconnect", fail)
    server.register_namespace(Namespace("/class"))
    async with clients_of(server, transport) as connect:
        for namespace in ("/", "/class"):
            client = await connect(namespace)
            with suppress(TypeError):  # stock hands it on to the caller
                await server.disconnect(client.get_sid(namespace), namespace=namespace)
    assert calls == ["server disconnect"] * 2
