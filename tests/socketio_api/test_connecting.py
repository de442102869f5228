"""The connect handler: its arguments, its result, and the packets to its client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, raw, until

REJECTED = {"message": "Connection rejected by server"}
REFUSED = {"message": "Connection refused by server"}


async def test_a_handler_with_three_parameters_gets_the_clients_auth(transport: str) -> None:
    """``auth`` is None if the client sent none."""
    server, calls = Server(), []

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        calls.append((sid, environ["REQUEST_METHOD"], environ.get("HTTP_X_NAME"), auth))

    async with clients_of(server, transport) as open_client:
        client = await open_client(auth={"token": "t"}, headers={"X-Name": "n"})
        async with raw(open_client.url, transport) as without:
            sid = await without.join()
        assert calls == [
            (client.get_sid(), "GET", "n", {"token": "t"}),
            (sid, "GET", None, None),
        ]


@pytest.mark.parametrize("auth", [None, {"token": "t"}])
async def test_a_handler_with_two_parameters_gets_no_auth(auth: Any, transport: str) -> None:
    """It runs also if the client sent an auth; the stock server fails then."""
    server, calls = Server(), []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        calls.append((sid, environ["REMOTE_ADDR"]))

    async with clients_of(server, transport) as open_client:
        client = await open_client(auth=auth)
        assert calls == [(client.get_sid(), "127.0.0.1")]


async def test_an_optional_auth_parameter_gets_the_auth() -> None:
    """The parameter may have a default, or be part of ``*args``."""
    server, calls, auth = Server(namespaces=["/"]), [], {"token": "t"}

    def optional(sid: str, environ: dict[str, Any], auth: Any = "default") -> None:
        calls.append(auth)

    server.on("connect", optional)
    server.on("connect", lambda *arguments: calls.append(arguments[2]), namespace="/any")
    async with clients_of(server) as connect:
        await connect("/", "/any", auth=auth)
    assert calls == [auth, auth]


async def test_the_main_namespace_accepts_every_client_without_a_handler(transport: str) -> None:
    """The client gets a sid that differs from its Engine.IO sid."""
    async with clients_of(Server(), transport) as connect:
        client = await connect()
        assert client.connected
        assert client.get_sid() != client.eio.sid


@pytest.mark.parametrize("answer", [None, True, "anything", 0])
async def test_only_the_return_value_false_refuses_a_client(answer: Any, transport: str) -> None:
    """Any other return value accepts the client."""
    server = Server()
    server.on("connect", lambda sid, environ: answer)
    async with clients_of(server, transport) as connect:
        assert (await connect()).connected


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (False, REJECTED),
        (Refused(), REJECTED),
        (Refused("no entry"), {"message": "no entry"}),
        (Refused("no entry", {"a": 1}), {"message": "no entry", "data": {"a": 1}}),
        (Refused("no entry", 1, 2), {"message": "no entry", "data": [1, 2]}),
        (ConnectionRefusedError("secret"), REFUSED),
    ],
    ids=repr,
)
async def test_a_refused_client_gets_the_exceptions_arguments(
    outcome: Any, told: dict[str, Any], asynchronous: bool, transport: str
) -> None:
    """The server keeps nothing of the client."""
    server = Server()

    def connect(sid: str, environ: dict[str, Any], auth: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def connect_later(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return connect(*arguments)

    server.on("connect", connect_later if asynchronous else connect)
    async with clients_of(server, transport) as open_client:
        assert await open_client.refused() == [("/", told)]
    assert (server.manager.rooms, server.manager._held_frames) == ({}, {})


async def test_any_other_exception_refuses_the_client_and_is_only_logged(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock server sends no answer then, and its client waits in vain."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        raise LookupError("the password is p")

    async with clients_of(server, transport) as open_client:
        assert await open_client.refused() == [("/", REFUSED)]
    assert server.manager.rooms == {}
    assert "the password is p" in caplog.text


@pytest.mark.parametrize("auth", [None, {"token": "t"}])
@pytest.mark.parametrize("class_based", [False, True])
async def test_a_type_error_in_a_handler_does_not_run_it_again(
    class_based: bool, auth: Any
) -> None:
    """The stock server takes it for a wrong signature and calls the handler with two arguments."""
    server, calls = Server(), []

    def fail(sid: str, environ: dict[str, Any], auth: Any = "default") -> None:
        calls.append(auth)
        raise TypeError("a handler's own")

    class Namespace(socketio.AsyncNamespace):
        async def on_connect(self, *arguments: Any) -> None:
            fail(*arguments)

    if class_based:
        server.register_namespace(Namespace("/"))
    else:
        server.on("connect", fail)
    async with clients_of(server) as connect:
        assert await connect.refused(auth=auth) == [("/", REFUSED)]
    assert len(calls) == 1


async def test_a_handler_with_one_parameter_refuses_every_client() -> None:
    """Its signature is wrong, so no client is accepted by mistake."""
    server, calls = Server(), []
    server.on("connect", calls.append)
    async with clients_of(server) as connect:
        assert await connect.refused() == [("/", REFUSED)]
    assert calls == []


async def test_a_refusal_applies_to_one_namespace(transport: str) -> None:
    """The client's other namespaces stay connected, and it may try the refused one again."""
    server, allowed = Server(namespaces=["/", "/fine"]), []
    server.on("connect", lambda sid, environ: bool(allowed), namespace="/shy")
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        for packet, prefix in (
            ("40/fine,", "40/fine,"),
            ("40/shy,", "44/shy,"),
            ("40", "40{"),
            ("40/shy,", "44/shy,"),
        ):
            await client.send(packet)
            await client.receive(prefix)
        allowed.append(True)
        await client.send("40/shy,")
        await client.receive("40/shy,")
        assert {len(server.manager.rooms[name][None]) for name in ("/", "/fine", "/shy")} == {1}


async def test_an_unknown_namespace_is_refused(transport: str) -> None:
    """The error is the JavaScript server's; the stock error is the text «Unable to connect»."""
    async with clients_of(Server(), transport) as connect:
        assert await connect.refused("/nowhere") == [("/nowhere", {"message": "Invalid namespace"})]


async def test_events_of_the_connect_handler_follow_the_connect_response(transport: str) -> None:
    """The stock server sends them first, and a client that is not connected yet drops them."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        await server.enter_room(sid, "room")
        await server.emit("to the client", 1, to=sid)
        await asyncio.sleep(0)
        await server.emit("to the room", 2, to="room")
        await server.emit("to all", b"3")

    async with clients_of(server) as open_client, raw(open_client.url, transport) as client:
        await client.send("40")
        assert (await client.receive("4")).startswith("40{")
        assert await client.receive("4") == '42["to the client",1]'
        assert await client.receive("4") == '42["to the room",2]'
        if transport == "polling":
            assert await client.receive("4") == '451-["to all",{"_placeholder":true,"num":0}]'
            assert await client.receive("b") == "bMw=="


async def test_a_refused_client_gets_no_events(transport: str) -> None:
    """Events that were held for it are dropped, and do not reach its next attempt."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool:
        await server.emit("to the client", 1, to=sid)
        await server.emit("to all", 2)
        return bool(auth)

    async with clients_of(server) as open_client, raw(open_client.url, transport) as client:
        await client.send("40")
        assert (await client.receive("4")).startswith("44{")
        await client.send('40{"let me":"in"}')
        assert (await client.receive("4")).startswith("40{")
        assert await client.receive("4") == '42["to the client",1]'


async def test_a_client_that_closes_during_its_connect_handler_is_disconnected() -> None:
    """The disconnect handler runs once after the connect handler."""
    server, go, calls = Server(), asyncio.Event(), Calls()

    @server.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        calls.append(("connect", sid))
        await go.wait()

    server.on("disconnect", lambda sid, reason: calls.append(("disconnect", sid, reason)))
    async with clients_of(server) as open_client:
        async with raw(open_client.url) as client:
            await client.send("40")
            await until(lambda: calls, "the connect handler")
            (session,) = server.eio.sockets.values()
            await session.close(reason="transport close")
        go.set()
        await until(lambda: len(calls) == 2, "the disconnect handler")
    sid = calls[0][1]
    assert calls == [("connect", sid), ("disconnect", sid, "transport close")]
    assert server.manager.rooms == {}
    assert server.environ == {}


async def test_an_empty_auth_is_none(transport: str) -> None:
    """Python's client sends an empty object for no auth; the handler gets None, as in stock."""
    server, seen = Server(), []
    server.on("connect", lambda sid, environ, auth: seen.append(auth))
    async with clients_of(server, transport) as connect:
        await connect()
    assert seen == [None]


async def test_a_cancelled_connect_handler_refuses_the_client() -> None:
    """The handler made no decision; the stock server would accept the client."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        deciding = asyncio.ensure_future(asyncio.sleep(TIMEOUT))
        asyncio.get_running_loop().call_soon(deciding.cancel)
        await deciding

    async with clients_of(server) as open_client, raw(open_client.url) as client:
        await client.send("40")
        assert (await client.receive("4")).startswith("44")
