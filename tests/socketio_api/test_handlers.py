"""Event handlers: how they are registered, called and run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Calls, clients_of, until


def recorder(calls: Calls, name: str) -> Any:
    """Return a handler that records its name and its arguments."""

    def handler(*arguments: Any) -> None:
        calls.append((name, *arguments))

    return handler


async def test_handlers_can_be_registered_in_every_documented_way(transport: str) -> None:
    """``on`` and ``event`` work as decorators and as a call, with and without a namespace."""
    server, calls = Server(), []

    @server.on("one")
    def first(sid: str, data: Any) -> None:
        calls.append(("one", data))

    @server.event
    def two(sid: str, data: Any) -> None:
        calls.append(("two", data))

    @server.event(namespace="/chat")
    async def three(sid: str, data: Any) -> None:
        calls.append(("three", data))

    @server.on("four", namespace="/chat")
    async def fourth(sid: str, data: Any) -> None:
        calls.append(("four", data))

    server.on("five", lambda sid, data: calls.append(("five", data)))
    server.on("six", recorder(calls, "six"), namespace="/chat")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/chat")
        for event, namespace in zip(
            ("one", "two", "three", "four", "five"), ("/", "/", "/chat", "/chat", "/"), strict=True
        ):
            await client.call(event, event.upper(), namespace=namespace, timeout=TIMEOUT)
        await client.call("six", "SIX", namespace="/chat", timeout=TIMEOUT)
        sid = client.get_sid("/chat")
    assert calls == [
        *[(event, event.upper()) for event in ("one", "two", "three", "four", "five")],
        ("six", sid, "SIX"),
    ]


async def test_the_decorators_return_the_function() -> None:
    """The function can still be called, and registered again."""
    server = Server()

    def handler(sid: str) -> str:
        return sid

    assert server.on("a")(handler) is handler
    assert server.event(handler) is handler
    assert server.event(namespace="/b")(handler) is handler
    assert server.handlers == {"/": {"a": handler, "handler": handler}, "/b": {"handler": handler}}


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, ()),
        ("text", ("text",)),
        ([1, 2], ([1, 2],)),
        ({"a": [None, True, 1.5]}, ({"a": [None, True, 1.5]},)),
        ((1, "b", {"c": 3}), (1, "b", {"c": 3})),
        (b"\x00\xff", (b"\x00\xff",)),
        ({"a": b"1", "b": [b"2"]}, ({"a": b"1", "b": [b"2"]},)),
        ((b"1", "é✓", b""), (b"1", "é✓", b"")),
    ],
    ids=repr,
)
async def test_a_handler_gets_the_sid_and_the_arguments(
    data: Any, arguments: tuple[Any, ...], transport: str
) -> None:
    """None is no argument, a tuple is several arguments, and anything else is one."""
    server, calls = Server(), []
    server.on("x", recorder(calls, "x"))
    async with clients_of(server, transport) as connect:
        client = await connect()
        await client.call("x", data, timeout=TIMEOUT)
        assert calls == [("x", client.get_sid(), *arguments)]


async def test_the_clients_send_is_the_event_message(transport: str) -> None:
    """``message`` is an event like any other."""
    server, calls = Server(), []
    server.on("message", recorder(calls, "message"))
    async with clients_of(server, transport) as connect:
        client = await connect()
        await client.send(["a", "b"])
        await until(lambda: calls, "the message")
        assert calls == [("message", client.get_sid(), ["a", "b"])]


async def test_an_exact_handler_goes_before_a_catch_all_handler(transport: str) -> None:
    """A catch-all handler may be for all events, for all namespaces, or for both."""
    server, calls = Server(namespaces="*"), []
    server.on("a", recorder(calls, "/ a"))
    server.on("*", recorder(calls, "/ *"))
    server.on("b", recorder(calls, "* b"), namespace="*")
    server.on("*", recorder(calls, "* *"), namespace="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/other")
        for namespace in ("/", "/other"):
            for event in ("a", "b"):
                await client.call(event, namespace + event, namespace=namespace, timeout=TIMEOUT)
        sid, other = client.get_sid(), client.get_sid("/other")
    assert calls == [
        ("/ a", sid, "/a"),
        ("/ *", "b", sid, "/b"),
        ("* *", "a", "/other", other, "/othera"),
        ("* b", "/other", other, "/otherb"),
    ]


async def test_catch_all_event_handlers_never_get_connect_and_disconnect(transport: str) -> None:
    """These events are reserved, and only their own handlers get them."""
    server, calls = Server(namespaces="*"), []
    server.on("*", recorder(calls, "/ *"))
    server.on("*", recorder(calls, "* *"), namespace="*")
    server.on("disconnect", recorder(calls, "* disconnect"), namespace="*")
    server.on("connect", lambda *arguments: calls.append(("* connect", len(arguments))), "*")
    async with clients_of(server, transport) as connect:
        client = await connect("/other")
        sid = client.get_sid("/other")
        await server.disconnect(sid, namespace="/other")
    assert calls == [
        ("* connect", 4),
        ("* disconnect", "/other", sid, "server disconnect"),
    ]


async def test_an_event_without_a_handler_is_ignored(transport: str) -> None:
    """It is not acknowledged, and the connection stays open."""
    server, answers = Server(), []
    server.on("known", lambda sid: "answer")
    async with clients_of(server, transport) as connect:
        client = await connect()
        await client.emit("unknown", callback=lambda *data: answers.append(data))
        await client.emit("known", callback=lambda *data: answers.append(data))
        await until(lambda: answers, "the answer")
    assert answers == [("answer",)]


@pytest.mark.parametrize("async_handlers", [True, False])
async def test_an_exception_in_a_handler_closes_no_connection(
    async_handlers: bool, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, its event is not acknowledged, and the next event is."""
    server, answers = Server(async_handlers=async_handlers), []

    @server.event
    async def broken(sid: str) -> None:
        raise RuntimeError("a handler's own")

    @server.event
    def mistyped(sid: str) -> None:
        raise TypeError("a handler's own")

    server.on("missing_argument", lambda sid, data: data)
    server.on("fine", lambda sid: "fine")
    async with clients_of(server, transport) as connect:
        client = await connect()
        for event in ("broken", "mistyped", "missing_argument", "fine"):
            await client.emit(event, callback=lambda *data: answers.append(data))
        await until(lambda: answers, "the answer")
        assert answers == [("fine",)]
        assert (await connect()).connected
    assert "a handler's own" in caplog.text
    ours = [line for line in caplog.records if line.name.startswith("sio_server")]
    assert len([line for line in ours if line.exc_info]) == 3


async def test_handlers_of_one_client_run_concurrently() -> None:
    """A waiting handler delays no other; handlers start in the order of their events."""
    server, started, go = Server(), [], asyncio.Event()

    @server.event
    async def slow(sid: str, number: int) -> int:
        started.append(number)
        await go.wait()
        return number

    server.on("quick", lambda sid: go.set())
    async with clients_of(server) as connect:
        client, answers = await connect(), []
        for number in range(5):
            await client.emit("slow", number, callback=answers.append)
        await client.call("quick", timeout=TIMEOUT)
        await until(lambda: len(answers) == 5, "all answers")
    assert started == answers == [0, 1, 2, 3, 4]


async def test_without_async_handlers_events_are_handled_one_after_the_other(
    transport: str,
) -> None:
    """The next handler of a client starts once the previous acknowledgement was sent."""
    server, steps = Server(async_handlers=False), []

    @server.event
    async def step(sid: str, number: int) -> int:
        steps.append(("start", number))
        for _ in range(5 - number):
            await asyncio.sleep(0)
        steps.append(("end", number))
        return number

    async with clients_of(server, transport) as connect:
        client, answers = await connect(), []
        for number in range(5):
            await client.emit("step", number, callback=answers.append)
        await until(lambda: len(answers) == 5, "all answers")
    assert steps == [(step, number) for number in range(5) for step in ("start", "end")]
    assert answers == [0, 1, 2, 3, 4]


async def test_a_later_handler_replaces_the_earlier_one(transport: str) -> None:
    """It also applies to clients that are already connected."""
    server = Server()
    server.on("x", lambda sid: "first")
    async with clients_of(server, transport) as connect:
        client = await connect()
        assert await client.call("x", timeout=TIMEOUT) == "first"
        server.on("x", lambda sid: "second")
        assert await client.call("x", timeout=TIMEOUT) == "second"
