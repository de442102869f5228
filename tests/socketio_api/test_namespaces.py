"""Namespaces: class-based, catch-all, and without a handler."""

from __future__ import annotations

from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, until


class Chat(socketio.AsyncNamespace):
    """A class-based namespace with functions and coroutine functions."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.calls: Calls = []

    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        """Accept every client."""
        self.calls.append(("connect", sid))

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Record the call."""
        self.calls.append(("disconnect", sid, reason))

    def on_plain(self, sid: str, *data: Any) -> Any:
        """Return the event's arguments."""
        return data

    async def on_later(self, sid: str, data: Any) -> Any:
        """Return the event's argument."""
        return data

    def on_broken(self, sid: str) -> None:
        """Fail."""
        raise RuntimeError("a handler's own")


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_a_class_handles_connect_disconnect_and_events(
    namespace: str, transport: str
) -> None:
    """Its methods may be functions or coroutine functions."""
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


async def test_an_event_without_a_method_gets_an_empty_acknowledgement(transport: str) -> None:
    """The stock server does the same."""
    server = Server()
    server.register_namespace(Chat())
    async with clients_of(server, transport) as connect:
        assert await (await connect()).call("unknown", timeout=TIMEOUT) is None


async def test_a_function_handler_goes_before_a_class(transport: str) -> None:
    """It applies only to the function's own event."""
    server = Server()
    server.register_namespace(Chat())
    server.on("plain", lambda sid: "function")
    async with clients_of(server, transport) as connect:
        client = await connect()
        assert await client.call("plain", timeout=TIMEOUT) == "function"
        assert await client.call("later", "class", timeout=TIMEOUT) == "class"


async def test_a_class_can_refuse_a_client(transport: str) -> None:
    """It returns False, or raises the exception with its arguments."""

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
        errors = await connect.refused("/shy", "/rude", auth={"a": 1})
    assert sorted(errors) == [
        ("/rude", {"message": "no entry", "data": {"a": 1}}),
        ("/shy", {"message": "Connection rejected by server"}),
    ]


async def test_a_class_may_have_a_disconnect_handler_without_a_reason(transport: str) -> None:
    """The handler gets one argument and runs once."""
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


async def test_a_class_may_override_trigger_event(transport: str) -> None:
    """The method gets connect, events and disconnect."""
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


async def test_a_catch_all_class_gets_the_namespace_as_first_argument(transport: str) -> None:
    """It serves only namespaces without a handler of their own."""
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


async def test_the_methods_of_a_class_apply_to_its_namespace(transport: str) -> None:
    """Each method uses the class's namespace unless another one is given."""
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
    """The class itself and a namespace of the synchronous server are refused."""
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
async def test_a_namespace_needs_a_handler_or_the_option(
    namespaces: Any, accepted: list[str], refused: list[str], transport: str
) -> None:
    """Without the option, the main namespace needs no handler."""
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
    """None of them is the Engine.IO sid, which is a secret."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/a", "/b")
        assert len({*client.namespaces.values(), client.eio.sid}) == 4
        await server.emit("x", to=client.get_sid("/a"), namespace="/b")
        await server.emit("y", to=client.get_sid("/a"), namespace="/a")
        assert await client.before_end(server, "/a") == [("y",)]
        assert await client.before_end(server, "/b") == []
