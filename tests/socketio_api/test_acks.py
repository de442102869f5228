"""Acknowledgements in both directions: return values of handlers, callbacks, and ``call``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from sio_server.engine import Server, ack_requested
from tests.socketio_api.api import TIMEOUT, clients_of, raw, until

FORMS = [
    (None, ()),
    ("one", ("one",)),
    (0, (0,)),
    (False, (False,)),
    ([1, 2], ([1, 2],)),
    ({"a": 1}, ({"a": 1},)),
    ((1, "b"), (1, "b")),
    ((), ()),
    (b"\x00\xff", (b"\x00\xff",)),
    ((b"1", {"a": b"2"}), (b"1", {"a": b"2"})),
]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(("returned", "answer"), FORMS, ids=repr)
async def test_a_handlers_return_value_is_the_acknowledgement(
    returned: Any, answer: tuple[Any, ...], asynchronous: bool, transport: str
) -> None:
    """None is no value, a tuple is several values, and anything else is one value."""
    server, answers = Server(), []

    async def later(sid: str) -> Any:
        return returned

    server.on("x", later if asynchronous else lambda sid: returned)
    async with clients_of(server, transport) as connect:
        client = await connect()
        await client.emit("x", callback=lambda *values: answers.append(values))
        await until(lambda: answers, "the answer")
    assert answers == [answer]


async def test_only_an_event_with_an_id_is_acknowledged(transport: str) -> None:
    """``ack_requested`` tells the handler whether the client asked for an acknowledgement."""
    server, asked = Server(), []

    @server.event
    def x(sid: str) -> str:
        asked.append(ack_requested())
        return "answer"

    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        await client.join()
        await client.send('42["x"]')
        await client.send('421["x"]')
        assert await client.receive("4") == '431["answer"]'
    assert asked == [False, True]


@pytest.mark.parametrize(("returned", "answer"), FORMS, ids=repr)
async def test_a_callback_gets_the_values_of_the_clients_acknowledgement(
    returned: Any, answer: tuple[Any, ...], transport: str
) -> None:
    """The callback may be a function or a coroutine function."""
    server, answers = Server(), []

    async def later(*values: Any) -> None:
        answers.append(values)

    async with clients_of(server, transport) as connect:
        client = await connect()
        client.answers["x"] = returned
        await server.emit("x", to=client.get_sid(), callback=lambda *v: answers.append(v))
        await server.emit("x", to=client.get_sid(), callback=later)
        await until(lambda: len(answers) == 2, "both answers")
    assert answers == [answer] * 2


async def test_each_acknowledgement_runs_the_callback_of_its_own_emit(transport: str) -> None:
    """Acknowledgements in another order and in two namespaces find their callback."""
    server, answers = Server(namespaces=["/", "/other"]), {}
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid, other = await client.join(), await client.join("/other")
        for name in ("a", "b"):
            await server.emit(name, to=sid, callback=lambda v, n=name: answers.update({n: v}))
        await server.emit("c", to=other, namespace="/other", callback=lambda v: answers.update(c=v))
        assert [await client.receive("42") for _ in range(3)] == [
            '421["a"]',
            '422["b"]',
            '42/other,1["c"]',
        ]
        for packet in ('432["B"]', '43/other,1["C"]', '431["A"]', '431["again"]', '439["none"]'):
            await client.send(packet)
        await until(lambda: len(answers) == 3, "all answers")
    assert answers == {"a": "A", "b": "B", "c": "C"}


async def test_an_exception_in_a_callback_does_not_close_the_connection(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception is logged, and the next callback runs."""
    server, answers = Server(), []

    def fail(value: Any) -> None:
        raise RuntimeError("a callback's own")

    async with clients_of(server, transport) as connect:
        client = await connect()
        client.answers["x"] = "answer"
        await server.emit("x", to=client.get_sid(), callback=fail)
        await server.emit("x", to=client.get_sid(), callback=answers.append)
        await until(lambda: answers, "the answer")
    assert "a callback's own" in caplog.text


@pytest.mark.parametrize("argument", ["to", "sid"])
@pytest.mark.parametrize(
    ("returned", "result"),
    [(None, None), ("one", "one"), ([1, 2], [1, 2]), ((1, 2), (1, 2)), ((1,), 1), (b"b", b"b")],
    ids=repr,
)
async def test_call_returns_the_clients_acknowledgement(
    returned: Any, result: Any, argument: str, transport: str
) -> None:
    """It returns None for no value, the value for one, and a tuple for several."""
    server = Server()
    async with clients_of(server, transport) as connect:
        client = await connect()
        client.answers["x"] = returned
        to = {argument: client.get_sid()}
        assert await server.call("x", ("a", b"b"), timeout=TIMEOUT, **to) == result
        assert client.received == [("/", "x", "a", b"b")]


async def test_a_handler_can_call_its_own_client(transport: str) -> None:
    """The server reads the client's acknowledgement while the handler waits for it."""
    server = Server(namespaces=["/", "/other"])

    async def ask(sid: str) -> Any:
        return await server.call("question", to=sid, namespace="/other", timeout=TIMEOUT)

    server.on("ask", ask, namespace="/other")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/other")
        client.answers["question"] = 42
        assert await client.call("ask", namespace="/other", timeout=TIMEOUT) == 42


async def test_call_raises_the_librarys_timeout_error(transport: str) -> None:
    """A late acknowledgement is ignored, and a later call gets its own."""
    server = Server()
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        sid = await client.join()
        with pytest.raises(socketio.exceptions.TimeoutError):
            await server.call("x", to=sid, timeout=0.01)
        assert await client.receive("42") == '421["x"]'
        await client.send('431["late"]')
        calling = asyncio.create_task(server.call("y", to=sid, timeout=TIMEOUT))
        assert await client.receive("42") == '422["y"]'
        await client.send('432["good"]')
        assert await calling == "good"
        with pytest.raises(socketio.exceptions.TimeoutError):
            await server.call("x", to="nobody", timeout=0.01)


async def test_call_refuses_a_broadcast_and_a_server_without_async_handlers() -> None:
    """Without ``async_handlers`` a handler that calls would wait for itself."""
    with pytest.raises(ValueError, match="broadcast"):
        await Server().call("x")
    with pytest.raises(RuntimeError, match="async_handlers"):
        await Server(async_handlers=False).call("x", to="sid")
