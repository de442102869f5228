"""The disconnect handler, its reasons, and disconnects by the server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import socketio

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, raw, until


def handler_without_reason(calls: Calls) -> Callable[[str], None]:
    """Return a handler without a reason parameter."""

    def disconnect(sid: str) -> None:
        calls.append((sid,))

    return disconnect


def handler_with_reason(calls: Calls) -> Callable[[str, str], Any]:
    """Return a coroutine handler with a reason parameter."""

    async def disconnect(sid: str, reason: str) -> None:
        calls.append((sid, reason))

    return disconnect


@pytest.mark.parametrize(("make", "count"), [(handler_without_reason, 1), (handler_with_reason, 2)])
async def test_a_handler_gets_the_reason_only_if_it_has_a_parameter_for_it(
    make: Callable[[Calls], Any], count: int, transport: str
) -> None:
    """A handler may have one or two parameters, and runs once."""
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
async def test_the_reason_says_how_the_client_left(
    packets: list[str], reason: str, transport: str
) -> None:
    """The client sends a DISCONNECT, a CLOSE, or an invalid packet."""
    server, calls = Server(), Calls()
    server.on("disconnect", handler_with_reason(calls))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        for packet in packets:
            await client.try_to_send(packet)
        await until(lambda: calls, "the disconnect handler")
        assert calls == [(sid, reason)]
        assert server.manager.rooms == {}


async def test_a_lost_connection_has_the_reason_transport_close() -> None:
    """The client's WebSocket is closed without a packet."""
    server, calls = Server(), Calls()
    server.on("disconnect", handler_with_reason(calls))
    async with clients_of(server) as connect:
        async with raw(connect.url) as client:
            sid = await client.join()
        await until(lambda: calls, "the disconnect handler")
    assert calls == [(sid, "transport close")]


async def test_unanswered_pings_have_the_reason_ping_timeout(transport: str) -> None:
    """The client stays connected, but sends no pong."""
    server, calls = Server(ping_interval=0.05, ping_timeout=0.05), Calls()
    server.on("disconnect", handler_with_reason(calls))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        await until(lambda: calls, "the disconnect handler")
        assert calls == [(sid, "ping timeout")]


async def test_a_session_that_the_server_ends_leaves_every_namespace(transport: str) -> None:
    """Each namespace's handler gets the same reason."""
    server, calls = Server(namespaces="*"), []
    server.on("disconnect", lambda *arguments: calls.append(arguments), namespace="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/a", "/b")
        expected = [(name, client.get_sid(name), "server disconnect") for name in ("/a", "/b")]
        await server.eio.disconnect(client.eio.sid)
        assert calls == expected
        await until(lambda: not client.connected, "the client's disconnect")
    assert (server.manager.rooms, server.eio.sockets, server.environ) == ({}, {}, {})


async def test_disconnecting_one_namespace_keeps_the_others_connected(transport: str) -> None:
    """The client gets a DISCONNECT for the one namespace and continues in the other."""
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


async def test_a_client_can_leave_one_namespace_and_join_it_again(transport: str) -> None:
    """It gets a new sid, and its other namespaces do not change."""
    server, calls = Server(namespaces=["/a", "/b"]), Calls()
    server.on("disconnect", handler_with_reason(calls), namespace="/a")
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        before = await client.join("/a")
        other = await client.join("/b")
        await client.send("41/a,")
        await until(lambda: calls, "the disconnect handler")
        after = await client.join("/a")
        assert len({before, after, other}) == 3
        assert calls == [(before, "client disconnect")]
        assert list(server.manager.rooms["/b"][None]) == [other]


async def test_a_handler_can_disconnect_its_own_client(transport: str) -> None:
    """The disconnect handler has run when ``disconnect`` returns, and no answer follows."""
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


async def test_disconnecting_an_unknown_client_does_nothing(transport: str) -> None:
    """The same holds for a client that was already disconnected."""
    server, calls = Server(), Calls()
    server.on("disconnect", handler_with_reason(calls))
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        await server.disconnect(sid)
        await server.disconnect(sid)
        await server.disconnect("nobody")
        await server.disconnect("nobody", namespace="/nowhere")
    assert calls == [(sid, "server disconnect")]


async def test_the_disconnect_handler_has_the_clients_rooms_and_environment(transport: str) -> None:
    """An event that it emits to a room reaches only the other clients."""
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


async def test_a_type_error_in_a_handler_with_a_reason_does_not_run_it_again(
    transport: str,
) -> None:
    """A function and a method of a class run once."""
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
            with suppress(TypeError):  # the stock server raises it in the caller
                await server.disconnect(client.get_sid(namespace), namespace=namespace)
    assert calls == ["server disconnect"] * 2


@pytest.mark.parametrize("class_based", [False, True])
async def test_a_type_error_in_a_handler_with_an_optional_reason_does_not_run_it_again(
    class_based: bool,
) -> None:
    """The stock server takes any ``TypeError`` for a handler without a reason parameter."""
    server, calls = Server(), []

    async def fail(sid: str, reason: str = "default") -> None:
        calls.append(reason)
        raise TypeError("a handler's own")

    class Namespace(socketio.AsyncNamespace):
        async def on_disconnect(self, sid: str, reason: str = "default") -> None:
            await fail(sid, reason)

    if class_based:
        server.register_namespace(Namespace())
    else:
        server.on("disconnect", fail)
    async with clients_of(server) as connect:
        sid = (await connect()).get_sid()
        with suppress(TypeError):
            await server.disconnect(sid)
    assert calls == ["server disconnect"]


async def test_a_failing_disconnect_handler_does_not_stop_the_other_handlers() -> None:
    """The server keeps nothing of the client."""
    server, reasons = Server(namespaces="*"), []

    def fail(sid: str, reason: str) -> None:
        raise RuntimeError("a handler's own")

    server.on("disconnect", fail, namespace="/a")
    server.on("disconnect", lambda sid, reason: reasons.append(reason), namespace="/b")
    async with clients_of(server) as connect:
        client = await connect("/a", "/b")
        await server.eio.disconnect(client.eio.sid)
        assert reasons == ["server disconnect"]
        assert (server.manager.rooms, server.environ) == ({}, {})


async def test_a_client_can_join_again_after_its_disconnect_handler_failed(transport: str) -> None:
    """The client gets a new sid in the namespace that it left."""
    server = Server()

    def fail(sid: str, reason: str) -> None:
        raise RuntimeError("a handler's own")

    server.on("disconnect", fail)
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        await client.send("41")
        assert await client.join() != sid


async def test_the_disconnect_handler_has_the_session_and_the_transport(transport: str) -> None:
    """The handler can read the data that the application saved, as in stock."""
    server, seen = Server(), []

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        seen.append((await server.get_session(sid), server.transport(sid)))

    async with clients_of(server, transport) as connect:
        client = await connect()
        await server.save_session(client.get_sid(), {"name": "ann"})
        await client.disconnect()
        await until(lambda: not server.eio.sockets, "the end of the session")
    assert seen == [({"name": "ann"}, transport)]
