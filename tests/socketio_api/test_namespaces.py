"""Namespaces: class-based ones, catch-all ones, and those that need no handler."""

from __future__ import annotations

from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, until


class Chat(socketio.AsyncNamespace):
    """A class-based namespace with functions and coroutines."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.calls: Calls = []

    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        """Accept everybody."""
        self.calls.append(("connect", sid))

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Note it."""
        self.calls.append(("disconnect", sid, reason))

    def on_plain(self, sid: str, *data: Any) -> Any:
        """Answer with what was sent."""
        return data

    async def on_later(self, sid: str, data: Any) -> Any:
        """Answer with what was sent."""
        return data

    def on_broken(self, sid: str) -> None:
        """Fail."""
        raise RuntimeError("a handler's own")


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_a_class_handles_all_of_a_namespace(namespace: str, transport: str) -> None:
    """Connect, disconnect and events, in functions and coroutines."""
    server, chat = Server(), Chat(namespace)
    server.register_namespace(chat)
    async with clients_of(server, transport) as connect:
        client = await connect(namespace)
        sid = client.get_sid(namespace)
        call = client.call
        assert await call("plain", (1, b"2"), namespace, timeout=TIMEOUT) == (1, b"2")
        await client.emit("broken", namespace=namespace)
        assert await call("later", {"a": 1}, namespace, timeout=TIMEOUT) == {"a": 1}
        await chat.disconnect(sid)
        assert chat.calls == [("connect", sid), ("disconnect", sid, "server disconnect")]


async def test_a_class_without_a_method_for_an_event_answers_with_nothing(transport: str) -> None:
    """As stock does: the acknowledgement is empty."""
    server = Server()
    server.register_namespace(Chat())
    async with clients_of(server, transport) as connect:
        assert await (await connect()).call("unknown", timeout=TIMEOUT) is None


async def test_a_function_goes_before_a_class(transport: str) -> None:
    """For its event alone."""
    server = Server()
    server.register_namespace(Chat())
    server.on("plain", lambda sid: "function")
    async with clients_of(server, transport) as connect:
        client = await connect()
        assert await client.call("plain", timeout=TIMEOUT) == "function"
        assert await client.call("later", "class", timeout=TIMEOUT) == "class"


async def test_a_class_refuses(transport: str) -> None:
    """By returning False, or by the exception with its arguments."""

    class Shy(socketio.AsyncNamespace):
        def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> bool:
            return False

    class Rude(socketio.AsyncNamespace):
        async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
            raise Refused("no entry", auth)

    server = Server()
    server.register_namespace(Shy("/shy"))
    server.register_namespace(Rude("/rude"))
    async with clients_of(server, transport) as connect:
        told = await connect.refused("/shy", "/rude", auth={"a": 1})
    assert sorted(told) == [
        ("/rude", {"message": "no entry", "data": {"a": 1}}),
        ("/shy", {"message": "Connection rejected by server"}),
    ]


async def test_a_class_with_the_old_disconnect_handler(transport: str) -> None:
    """One argument is enough; it runs once."""
    calls = []

    class Old(socketio.AsyncNamespace):
        def on_disconnect(self, sid: str) -> None:
            calls.append(sid)

    server = Server()
    server.register_namespace(Old())
    async with clients_of(server, transport) as connect:
        client = await connect()
        sid = client.get_sid()
        await server.disconnect(sid)
    assert calls == [sid]


async def test_a_class_may_dispatch_by_itself(transport: str) -> None:
    """Its ``trigger_event`` gets connect, events and disconnect."""
    calls = []

    class Everything(socketio.AsyncNamespace):
        async def trigger_event(self, event: str, *arguments: Any) -> Any:
            calls.append((event, len(arguments)))
            return event

    server = Server()
    server.register_namespace(Everything("/every"))
    async with clients_of(server, transport) as connect:
        client = await connect("/every")
        assert await client.call("x", (1, 2), "/every", timeout=TIMEOUT) == "x"
        await server.disconnect(client.get_sid("/every"), "/every")
    assert calls == [("connect", 3), ("x", 3), ("disconnect", 2)]


async def test_a_catch_all_class_gets_the_namespace_first(transport: str) -> None:
    """It is asked for the namespaces that have no handler of their own."""
    calls = []

    class CatchAll(socketio.AsyncNamespace):
        async def on_connect(
            self, namespace: str, sid: str, environ: dict[str, Any], auth: Any
        ) -> None:
            calls.append(("connect", namespace, sid))

        def on_x(self, namespace: str, sid: str, data: Any) -> str:
            return namespace + data

        def on_disconnect(self, namespace: str, sid: str, reason: str) -> None:
            calls.append(("disconnect", namespace, sid))

    server = Server(namespaces="*")
    server.register_namespace(CatchAll("*"))
    server.register_namespace(Chat("/chat"))
    async with clients_of(server, transport) as connect:
        client = await connect("/other", "/chat")
        sid = client.get_sid("/other")
        assert await client.call("x", "1", "/other", timeout=TIMEOUT) == "/other1"
        assert await client.call("plain", "1", "/chat", timeout=TIMEOUT) == "1"
        await server.disconnect(sid, "/other")
    assert calls == [("connect", "/other", sid), ("disconnect", "/other", sid)]


async def test_the_methods_of_a_class_are_those_of_its_namespace(transport: str) -> None:
    """Each passes the class's namespace on unless told another."""
    server, chat = Server(namespaces=["/"]), Chat("/chat")
    server.register_namespace(chat)
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/chat")
        sid = client.get_sid("/chat")
        client.answers["asked"] = "answer"
        await chat.enter_room(sid, "room")
        assert set(chat.rooms(sid)) == {sid, "room"}
        await chat.emit("to the room", (1, 2), to="room")
        await chat.send("a message", room="room")
        await chat.leave_room(sid, "room")
        await chat.enter_room(sid, "closed")
        await chat.close_room("closed")
        assert chat.rooms(sid) == [sid]
        assert await chat.call("asked", to=sid, timeout=TIMEOUT) == "answer"
        await chat.save_session(sid, {"a": 1})
        async with chat.session(sid) as session:
            session["b"] = 2
        assert await chat.get_session(sid) == {"a": 1, "b": 2}
        assert await server.get_session(client.get_sid("/")) == {}
        await chat.emit("elsewhere", namespace="/")
        await chat.disconnect(sid)
        await until(lambda: client.left, "the disconnect at the client")
        assert client.received == [
            ("/chat", "to the room", 1, 2),
            ("/chat", "message", "a message"),
            ("/chat", "asked"),
            ("/", "elsewhere"),
        ]


async def test_only_an_instance_for_asyncio_can_be_registered() -> None:
    """Not the class itself, nor a namespace for the synchronous server."""
    server = Server()
    for namespace in (Chat, object(), socketio.Namespace("/chat")):
        with pytest.raises(ValueError, match="Not a"):
            server.register_namespace(namespace)


@pytest.mark.parametrize(
    ("namespaces", "accepted", "refused"),
    [
        (None, ["/", "/function", "/class"], ["/other"]),
        (["/listed"], ["/listed", "/function", "/class"], ["/", "/other"]),
        ("*", ["/", "/other", "/function"], []),
    ],
)
async def test_which_namespaces_can_be_connected_to(
    namespaces: Any, accepted: list[str], refused: list[str], transport: str
) -> None:
    """Those with a handler, and those that the option names; the main one if it names none."""
    server = Server(namespaces=namespaces)
    server.on("x", lambda sid: None, namespace="/function")
    server.register_namespace(Chat("/class"))
    async with clients_of(server, transport) as connect:
        client = await connect(*accepted)
        assert set(client.namespaces) == set(accepted)
        if refused:
            errors = await connect.refused(*refused)
            assert sorted(error[0] for error in errors) == refused


async def test_a_client_has_a_sid_in_each_namespace(transport: str) -> None:
    """None of them is the session's, which is a secret of the transport."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/a", "/b")
        assert len({*client.namespaces.values(), client.eio.sid}) == 4
        await server.emit("x", to=client.get_sid("/a"), namespace="/b")
        await server.emit("y", to=client.get_sid("/a"), namespace="/a")
        assert await client.before_end(server, "/a") == [("y",)]
        assert await client.before_end(server, "/b") == []
