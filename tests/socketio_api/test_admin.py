"""``instrument``: the Admin UI's namespace, tested with python-socketio's client.

python-socketio also reports ``socket_connected`` with each ping. That report comes from a hook in
python-engineio's sockets, which this engine does not have, so it is missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Client, Clients, clients_of, until

LOGIN = {"username": "admin", "password": "p"}


@asynccontextmanager
async def instrumented(
    server: Server, transport: str = "websocket", **options: Any
) -> AsyncIterator[Clients]:
    """Serve a server with its Admin UI; undo the UI's changes to the library afterwards."""
    options = {"auth": False, "server_stats_interval": 0.02, **options}
    admin = server.instrument(**options)
    try:
        async with clients_of(server, transport) as connect:
            yield connect
    finally:
        await admin.shutdown()
        admin.uninstrument()


async def reported(admin: Client, event: str, matches: Callable[..., Any]) -> tuple[Any, ...]:
    """Wait for a report of this name that matches; return its arguments."""

    def find() -> list[Any]:
        return [got[2:] for got in admin.received if got[1] == event and matches(*got[2:])]

    arguments: tuple[Any, ...] = (await until(find, event))[0]
    return arguments


@pytest.mark.parametrize(
    ("options", "features"),
    [
        (
            {},
            "AGGREGATED_EVENTS EMIT JOIN LEAVE DISCONNECT MJOIN MLEAVE MDISCONNECT ALL_EVENTS",
        ),
        ({"read_only": True}, "AGGREGATED_EVENTS ALL_EVENTS"),
        (
            {"mode": "production"},
            "AGGREGATED_EVENTS EMIT JOIN LEAVE DISCONNECT MJOIN MLEAVE MDISCONNECT",
        ),
        ({"mode": "production", "read_only": True}, "AGGREGATED_EVENTS"),
    ],
)
async def test_the_ui_gets_its_features_and_the_connected_sockets(
    options: dict[str, Any], features: str, transport: str
) -> None:
    """In development mode the UI also gets all connected sockets."""
    async with instrumented(Server(), transport, **options) as connect:
        client = await connect(headers={"X-Name": "n"})
        admin = await connect("/admin")
        (config,) = await admin.get("config", "/admin")
        assert config == {"supportedFeatures": features.split()}
        if options.get("mode") == "production":
            return
        (sockets,) = await admin.get("all_sockets", "/admin")
        (found,) = [one for one in sockets if one["nsp"] == "/"]
        handshake = found.pop("handshake")
        assert found == {
            "id": client.get_sid(),
            "clientId": client.eio.sid,
            "transport": transport,
            "nsp": "/",
            "data": {},
            "rooms": [client.get_sid()],
        }
        assert (handshake["address"], handshake["secure"]) == ("127.0.0.1", False)
        assert handshake["url"] == "/socket.io/"
        assert handshake["headers"]["x_name"] == "n"
        assert handshake["query"]["EIO"] == "4"


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_the_ui_gets_statistics(mode: str, transport: str) -> None:
    """They count clients, namespaces and connections."""
    server = Server()
    server.on("x", lambda sid: None)
    async with instrumented(server, transport, mode=mode, server_id="the server") as connect:
        await connect()
        admin = await connect("/admin")
        (stats,) = await reported(admin, "server_stats", lambda stats: stats["clientsCount"] == 2)
        assert stats["serverId"] == "the server"
        assert stats["pollingClientsCount"] == (2 if transport == "polling" else 0)
        assert stats["uptime"] > 0
        assert stats["namespaces"] == [
            {"name": "/", "socketsCount": 1},
            {"name": "/admin", "socketsCount": 1},
        ]
        await (await connect()).disconnect()
        for kind in ("rawConnection", "rawDisconnection"):
            await reported(
                admin,
                "server_stats",
                lambda stats, kind=kind: kind in [e["type"] for e in stats["aggregatedEvents"]],
            )


async def test_connects_and_disconnects_are_reported(transport: str) -> None:
    """The report has the handshake and the reason; refused clients are reported too."""
    server = Server()
    server.on("connect", lambda sid, environ: False, namespace="/shy")
    async with instrumented(server, transport) as connect:
        admin = await connect("/admin")
        client = await connect()
        sid = client.get_sid()
        socket, timestamp = await reported(
            admin, "socket_connected", lambda socket, _: socket["id"] == sid
        )
        assert (socket["nsp"], socket["clientId"]) == ("/", client.eio.sid)
        assert socket["handshake"]["time"] == timestamp
        await server.disconnect(sid)
        namespace, _, reason, _ = await reported(
            admin, "socket_disconnected", lambda _, left, *__: left == sid
        )
        assert (namespace, reason) == ("/", "server disconnect")
        await connect.refused("/shy")
        await reported(admin, "socket_connected", lambda socket, _: socket["nsp"] == "/shy")


async def test_entered_and_left_rooms_are_reported(transport: str) -> None:
    """The UI gets ``room_joined`` and ``room_left`` with the namespace, the room and the sid."""
    server = Server()
    async with instrumented(server, transport) as connect:
        admin, client = await connect("/admin"), await connect()
        sid = client.get_sid()
        await server.enter_room(sid, "oak")
        await server.leave_room(sid, "oak")
        for event in ("room_joined", "room_left"):
            arguments = await reported(admin, event, lambda _, room, *__: room == "oak")
            assert arguments[:3] == ("/", "oak", sid)


async def test_received_and_sent_events_are_reported(transport: str) -> None:
    """The report does not change the acknowledgement."""
    server = Server()
    server.on("question", lambda sid, *data: "answer")
    async with instrumented(server, transport) as connect:
        admin, client = await connect("/admin"), await connect()
        sid = client.get_sid()
        assert await client.call("question", (1, "b"), timeout=TIMEOUT) == "answer"
        await server.emit("one", {"a": 1}, to=sid)
        await server.emit("two", (1, 2), to=[sid])
        arguments = await reported(admin, "event_received", lambda *_: True)
        assert arguments[:3] == ("/", sid, ["question", 1, "b"])
        for name, data in (("one", [{"a": 1}]), ("two", [1, 2])):
            arguments = await reported(admin, "event_sent", lambda _, __, e, ___, n=name: e[0] == n)
            assert arguments[:3] == ("/", sid, [name, *data])


async def test_production_mode_reports_only_statistics(transport: str) -> None:
    """No client is reported, and commands are ignored."""
    server = Server()
    async with instrumented(server, transport, mode="production") as connect:
        admin, client = await connect("/admin"), await connect()
        await server.enter_room(client.get_sid(), "oak")
        await admin.emit("_disconnect", ("/", False), namespace="/admin")
        await admin.emit("emit", ("/", None, "x"), namespace="/admin")
        await admin.get("config", "/admin")
        admin.received.clear()
        await admin.get("server_stats", "/admin")
        assert await client.before_end(server) == []
        assert {got[1] for got in admin.received} == {"server_stats"}


async def test_the_ui_can_emit_join_leave_and_disconnect(transport: str) -> None:
    """Each command applies to one client, to a room, or to all clients."""
    server = Server()
    async with instrumented(server, transport) as connect:
        admin, one, two = await connect("/admin"), await connect(), await connect()
        sid = one.get_sid()

        async def command(name: str, *arguments: Any) -> None:
            await admin.call(name, ("/", *arguments), namespace="/admin", timeout=TIMEOUT)

        await command("join", "oak", sid)
        assert "oak" in server.rooms(sid)
        await command("emit", "oak", "to the room", 1, {"b": 2})
        await command("join", "pine", "oak")
        await command("join", "all")
        assert set(server.rooms(sid)) == {sid, "oak", "pine", "all"}
        await command("leave", "oak", "pine")
        assert set(server.rooms(sid)) == {sid, "pine", "all"}
        assert set(server.rooms(two.get_sid())) == {two.get_sid(), "all"}
        await command("emit", None, "to all")
        assert await one.before_end(server) == [("to the room", 1, {"b": 2}), ("to all",)]
        assert await two.before_end(server) == [("to all",)]
        await command("_disconnect", False, sid)
        await until(lambda: one.left, "the disconnect")
        assert two.connected
        await command("_disconnect", True)
        await until(lambda: two.left, "the disconnect")


async def test_read_only_mode_ignores_commands(transport: str) -> None:
    """No client is disconnected and no client joins a room."""
    server = Server()
    async with instrumented(server, transport, read_only=True) as connect:
        admin, client = await connect("/admin"), await connect()
        await admin.emit("_disconnect", ("/", False), namespace="/admin")
        await admin.emit("join", ("/", "oak"), namespace="/admin")
        await reported(admin, "event_received", lambda *a: a[2][0] == "join")
        assert server.rooms(client.get_sid()) == [client.get_sid()]
        assert await client.before_end(server) == []


def allow(auth: Any) -> bool:
    """Return whether the login is right."""
    return bool(auth == LOGIN)


async def allow_later(auth: Any) -> bool:
    """Return whether the login is right, in a coroutine."""
    return allow(auth)


@pytest.mark.parametrize(
    "auth",
    [LOGIN, [{"username": "other"}, LOGIN], allow, allow_later],
    ids=["one login", "several logins", "function", "coroutine"],
)
async def test_only_a_client_with_the_right_login_sees_the_ui(auth: Any, transport: str) -> None:
    """Others are refused; clients of other namespaces need no login."""
    async with instrumented(Server(), transport, auth=auth) as connect:
        admin = await connect("/admin", auth=LOGIN)
        await admin.get("config", "/admin")
        for wrong in (None, {}, {**LOGIN, "password": "q"}):
            errors = await connect.refused("/admin", auth=wrong)
            assert errors == [("/admin", {"message": "authentication failed"})]
        assert (await connect()).connected


async def test_another_servers_clients_are_not_reported() -> None:
    """The UI of one server shows only that server, also if both are in one process."""
    server, other = Server(), Server()
    async with instrumented(server) as connect, clients_of(other) as of_other:
        admin = await connect("/admin")
        await admin.get("config", "/admin")
        elsewhere = await of_other()
        await other.enter_room(elsewhere.get_sid(), "oak")
        await other.emit("x")
        assert await elsewhere.before_end(other) == [("x",)]
        assert [name for name, _ in await of_other.refused("/admin")] == ["/admin"]
        own = (await connect()).get_sid()
        await reported(admin, "socket_connected", lambda socket, _: socket["id"] == own)
        assert elsewhere.get_sid() not in str(admin.received)


async def test_instrument_needs_a_decision_on_authentication() -> None:
    """Nobody opens the UI to everybody by forgetting the option."""
    with pytest.raises(ValueError, match="auth must be specified"):
        Server().instrument()


@pytest.mark.parametrize("kind", ["packetsIn", "bytesIn", "packetsOut", "bytesOut"])
async def test_the_ui_gets_counts_of_packets_and_bytes(kind: str, transport: str) -> None:
    """Both transports count received and sent packets and bytes."""
    server = Server()
    async with instrumented(server, transport) as connect:
        admin, client = await connect("/admin"), await connect()
        await server.emit("x")
        await client.emit("y")
        await reported(
            admin,
            "server_stats",
            lambda stats: kind in [event["type"] for event in stats["aggregatedEvents"]],
        )
