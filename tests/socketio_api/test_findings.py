"""What is not yet as the documentation says, or not as safe as it should be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
import socketio
import yarl

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, clients_of, raw, until
from tests.socketio_api.test_admin import instrumented, reported


@pytest.mark.parametrize("class_based", [False, True])
async def test_a_type_error_does_not_run_an_optional_reasons_handler_again(
    class_based: bool,
) -> None:
    """The retry for handlers without a reason takes any TypeError for a wrong signature."""
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


async def test_a_failing_disconnect_handler_keeps_no_other_from_being_told() -> None:
    """Nor does anything of the client stay."""
    server, told = Server(namespaces="*"), []

    def fail(sid: str, reason: str) -> None:
        raise RuntimeError("a handler's own")

    server.on("disconnect", fail, namespace="/a")
    server.on("disconnect", lambda sid, reason: told.append(reason), namespace="/b")
    async with clients_of(server) as connect:
        client = await connect("/a", "/b")
        await server.eio.disconnect(client.eio.sid)
        assert told == ["server disconnect"]
        assert (server.manager.rooms, server.environ) == ({}, {})


async def test_a_failing_disconnect_handler_keeps_nobody_from_coming_back(transport: str) -> None:
    """The client that left the namespace may join it again."""
    server = Server()

    def fail(sid: str, reason: str) -> None:
        raise RuntimeError("a handler's own")

    server.on("disconnect", fail)
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        await client.send("41")
        assert await client.join() != sid


async def test_the_disconnect_handler_still_has_the_session(transport: str) -> None:
    """And the transport, as in stock: whoever logs who has gone has the name there."""
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


async def test_no_auth_is_none(transport: str) -> None:
    """Python's client sends an empty object for none; stock's handlers get None for it."""
    server, seen = Server(), []
    server.on("connect", lambda sid, environ, auth: seen.append(auth))
    async with clients_of(server, transport) as connect:
        await connect()
    assert seen == [None]


async def test_a_connect_handler_that_is_cancelled_lets_nobody_in() -> None:
    """Its decision was not made: the library takes that for «nothing to object»."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        deciding = asyncio.ensure_future(asyncio.sleep(TIMEOUT))
        asyncio.get_running_loop().call_soon(deciding.cancel)
        await deciding

    async with clients_of(server) as open_client, raw(open_client.url) as client:
        await client.send("40")
        assert (await client.receive("4")).startswith("44")


async def test_a_python_client_takes_a_burst_over_polling() -> None:
    """It drops the connection at a payload of more than 16 packets, which stock seldom sends."""
    server = Server()
    async with clients_of(server, "polling") as connect:
        client = await connect()
        for number in range(40):
            await server.emit("x", number)
        await until(lambda: len(client.received) == 40 or not client.connected, "the events")
        assert client.received == [("/", "x", number) for number in range(40)]


async def test_a_websocket_message_over_the_bound_is_a_transport_error() -> None:
    """Whatever code the client closes with in return, or if it does not."""
    server, reasons = Server(max_message_bytes=100), []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server) as connect, raw(connect.url) as client:
        await client.join()
        await client.send("42" + "x" * 100)
        await until(lambda: reasons, "the disconnect handler")
    assert reasons == ["transport error"]


@pytest.mark.parametrize(
    "option",
    [{"always_connect": True}, {"ping_interval": (25, 5)}, {"namespaces": "/chat"}],
    ids=str,
)
def test_an_option_that_does_not_work_is_refused(option: dict[str, Any]) -> None:
    """The first is ignored, the second fails at each client, the third lets in «/c» and «/»."""
    with pytest.raises((TypeError, ValueError)):
        Server(**option)


@pytest.mark.parametrize(("sent", "read"), [("a%2520b", "a%20b"), ("a%252Bb", "a%2Bb")])
async def test_the_query_is_not_decoded_twice(sent: str, read: str) -> None:
    """``QUERY_STRING`` is the query as it was sent: its reader decodes it."""
    server = Server()
    async with clients_of(server) as connect, aiohttp.ClientSession() as http:
        query = f"EIO=4&transport=websocket&token={sent}"
        url = yarl.URL(f"{connect.url}/socket.io/?{query}", encoded=True)
        async with http.ws_connect(url) as socket:
            await socket.receive(TIMEOUT)
            (environ,) = server.environ.values()
            assert parse_qs(environ["QUERY_STRING"])["token"] == [read]


async def test_who_is_not_there_leaves_no_room_behind() -> None:
    """A handler that outlives its client would leave one for ever."""
    server = Server()
    async with clients_of(server) as connect:
        await connect()
        with pytest.raises(KeyError):
            await server.enter_room("nobody", "oak")
        assert set(server.manager.rooms["/"]) == {None}


@pytest.mark.parametrize("kind", ["packetsIn", "bytesIn", "packetsOut", "bytesOut"])
async def test_the_admin_ui_counts_packets_and_bytes(kind: str, transport: str) -> None:
    """Of both transports."""
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
