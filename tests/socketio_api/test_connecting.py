"""The connect handler: what it gets, and what its client gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine import Server
from tests.socketio_api.api import Calls, clients_of, raw, until

REJECTED = {"message": "Connection rejected by server"}
REFUSED = {"message": "Connection refused by server"}


async def test_a_handler_with_three_arguments_gets_what_the_client_sent(transport: str) -> None:
    """The sid, the environment, and the client's auth, which is None where it sent none."""
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
async def test_a_handler_with_two_arguments_gets_no_auth(auth: Any, transport: str) -> None:
    """Also where the client sent some, which stock can't do: it fails there."""
    server, calls = Server(), []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        calls.append((sid, environ["REMOTE_ADDR"]))

    async with clients_of(server, transport) as open_client:
        client = await open_client(auth=auth)
        assert calls == [(client.get_sid(), "127.0.0.1")]


async def test_an_optional_auth_is_passed() -> None:
    """A default, or ``*args``: the handler gets all there is."""
    server, calls, auth = Server(namespaces=["/"]), [], {"token": "t"}

    def optional(sid: str, environ: dict[str, Any], auth: Any = "default") -> None:
        calls.append(auth)

    server.on("connect", optional)
    server.on("connect", lambda *arguments: calls.append(arguments[2]), namespace="/any")
    async with clients_of(server) as connect:
        await connect("/", "/any", auth=auth)
    assert calls == [auth, auth]


async def test_without_a_handler_everybody_is_accepted(transport: str) -> None:
    """In the main namespace, which needs none."""
    async with clients_of(Server(), transport) as connect:
        client = await connect()
        assert client.connected
        assert client.get_sid() != client.eio.sid


@pytest.mark.parametrize("answer", [None, True, "anything", 0])
async def test_only_false_refuses(answer: Any, transport: str) -> None:
    """Any other return value accepts."""
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
async def test_what_a_refused_client_is_told(
    outcome: Any, told: dict[str, Any], asynchronous: bool, transport: str
) -> None:
    """The exception's arguments; the server keeps nothing of the client."""
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


async def test_any_other_exception_refuses_and_stays_here(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Stock answers nothing then: its client waits in vain. The exception is logged."""
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
async def test_a_type_error_inside_does_not_run_the_handler_again(
    class_based: bool, auth: Any
) -> None:
    """Stock takes it for a handler with two arguments and tries it with those."""
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


async def test_a_handler_with_one_argument_refuses_everybody() -> None:
    """It has a wrong signature: nobody is let in by mistake."""
    server, calls = Server(), []
    server.on("connect", calls.append)
    async with clients_of(server) as connect:
        assert await connect.refused() == [("/", REFUSED)]
    assert calls == []


async def test_a_refusal_is_one_namespaces_only(transport: str) -> None:
    """The others of the same connection stay, and the refused one may be tried again."""
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


async def test_a_namespace_that_is_not_there_is_refused(transport: str) -> None:
    """In the words of the JavaScript server; stock's are the text «Unable to connect»."""
    async with clients_of(Server(), transport) as connect:
        assert await connect.refused("/nowhere") == [("/nowhere", {"message": "Invalid namespace"})]


async def test_what_the_handler_emits_comes_after_the_answer(transport: str) -> None:
    """Stock sends it first, to a client that is not connected yet and drops it."""
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


async def test_what_was_emitted_to_a_client_that_is_refused_goes_with_it(transport: str) -> None:
    """It gets the refusal and nothing else."""
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


async def test_a_client_that_goes_while_it_is_decided_on_is_told_of_as_gone() -> None:
    """Whoever has seen the connect handler sees the disconnect handler, once."""
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
