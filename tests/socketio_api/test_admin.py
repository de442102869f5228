"""``instrument``: the Admin UI's namespace, over python-socketio's own client.

What the UI gets of packets and bytes (``aggregatedEvents`` of the types ``packetsIn``, ``bytesIn``,
``packetsOut``, ``bytesOut``) and its ``socket_connected`` with each ping come from hooks in
python-engineio's sockets and polling, which this engine does not have: they are missing.
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
    """Serve a server with its Admin UI; what it does to the library is undone after it."""
    options = {"auth": False, "server_stats_interval": 0.02, **options}
    admin = server.instrument(**options)
    try:
        async with clients_of(server, transport) as connect:
            yield connect
    finally:
        await admin.shutdown()
        admin.uninstrument()


async def reported(admin: Client, event: str, matches: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the arguments of the first report of that name which matches, when it is there."""

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
async def test_the_configuration(options: dict[str, Any], features: str, transport: str) -> None:
    """What the UI may show and do; in development, all sockets that are there."""
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
async def test_the_statistics(mode: str, transport: str) -> None:
    """Clients, namespaces, and connections counted; no packets and bytes, see above."""
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


async def test_who_comes_and_goes_is_reported(transport: str) -> None:
    """With the handshake, and the reason; refused clients too, as they come."""
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


async def test_rooms_are_reported(transport: str) -> None:
    """Entered and left; the next statistics bring them."""
    server = Server()
    async with instrumented(server, transport) as connect:
        admin, client = await connect("/admin"), await connect()
        sid = client.get_sid()
        await server.enter_room(sid, "oak")
        await server.leave_room(sid, "oak")
        for event in ("room_joined", "room_left"):
            arguments = await reported(admin, event, lambda _, room, *__: room == "oak")
            assert arguments[:3] == ("/", "oak", sid)


async def test_events_are_reported(transport: str) -> None:
    """Those that a client has sent, and those that it was sent; the answer is not touched."""
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


async def test_production_reports_no_client(transport: str) -> None:
    """Only statistics go out, and no command is taken."""
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


async def test_the_commands(transport: str) -> None:
    """Emit to a room or to all, join and leave by room, disconnect."""
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


async def test_read_only_takes_no_command(transport: str) -> None:
    """Nobody answers them."""
    server = Server()
    async with instrumented(server, transport, read_only=True) as connect:
        admin, client = await connect("/admin"), await connect()
        await admin.emit("_disconnect", ("/", False), namespace="/admin")
        await admin.emit("join", ("/", "oak"), namespace="/admin")
        await reported(admin, "event_received", lambda *a: a[2][0] == "join")
        assert server.rooms(client.get_sid()) == [client.get_sid()]
        assert await client.before_end(server) == []


def allow(auth: Any) -> bool:
    """Decide as an application does."""
    return bool(auth == LOGIN)


async def allow_later(auth: Any) -> bool:
    """Decide as an application does, in a coroutine."""
    return allow(auth)


@pytest.mark.parametrize(
    "auth",
    [LOGIN, [{"username": "other"}, LOGIN], allow, allow_later],
    ids=["one login", "several logins", "function", "coroutine"],
)
async def test_who_may_look(auth: Any, transport: str) -> None:
    """Who logs in as told; others are refused, and the server's other clients are not asked."""
    async with instrumented(Server(), transport, auth=auth) as connect:
        admin = await connect("/admin", auth=LOGIN)
        await admin.get("config", "/admin")
        for wrong in (None, {}, {**LOGIN, "password": "q"}):
            told = await connect.refused("/admin", auth=wrong)
            assert told == [("/admin", {"message": "authentication failed"})]
        assert (await connect()).connected


async def test_another_servers_clients_are_not_reported() -> None:
    """One server's UI shows that server, also where both are in one process."""
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


async def test_authentication_must_be_decided_on() -> None:
    """Nobody opens the UI to all by forgetting it."""
    with pytest.raises(ValueError, match="auth must be specified"):
        Server().instrument()
