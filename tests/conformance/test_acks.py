"""Socket.IO: acknowledgements, of clients' events and of the server's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.clients import TIMEOUT, address, socketio

NAMESPACES = ("/", "/custom")


@pytest.mark.parametrize("id", ["0", "1", "12", "456", "9007199254740991"])
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_an_event_with_an_id_is_acknowledged(
    sio_url: str, transport: str, namespace: str, id: str
) -> None:
    """Answer ACK with the event's id, in its namespace, with what the handler returns."""
    there = address(namespace)
    async with socketio(sio_url, transport, namespace) as client:
        await client.send(f'2{there}{id}["message-with-ack",1,"2",{{"3":[false]}}]')
        assert await client.receive() == f'3{there}{id}[1,"2",{{"3":[false]}}]'


@pytest.mark.parametrize(
    ("returned", "payload"),
    [
        (None, "[]"),
        ((), "[]"),
        ("x", '["x"]'),
        (0, "[0]"),
        (False, "[false]"),
        ((1, None), "[1,null]"),
        ([1, 2], "[[1,2]]"),
        ({"ok": True}, '[{"ok":true}]'),
    ],
)
async def test_the_payload_is_always_an_array(
    sio_url: str, sio: Any, transport: str, returned: Any, payload: str
) -> None:
    """Put what a handler returns into an array, an empty one where it is nothing."""

    async def answer(sid: str) -> Any:
        return returned

    sio.on("ask", answer)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('27["ask"]')
        assert await client.receive() == f"37{payload}"


async def test_an_event_without_an_id_is_not_acknowledged(sio_url: str, transport: str) -> None:
    """Send no ACK that nobody has asked for."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        await client.send('2["message-with-ack",1]')
        await client.send('2/custom,["message-with-ack",1]')
        await client.echo("nothing before this")


async def test_an_id_may_come_again(sio_url: str, transport: str) -> None:
    """Leave the choice of ids to the client, in any order, and the same in two namespaces."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        for id in (5, 3, 5):
            for there in ("", "/custom,"):
                await client.send(f'2{there}{id}["message-with-ack","{there}"]')
                assert await client.receive() == f'3{there}{id}["{there}"]'


async def test_acknowledgements_need_no_order(sio_url: str, sio: Any, transport: str) -> None:
    """Acknowledge a quick event while a slow one is at work."""
    go_on = asyncio.Event()

    async def slow(sid: str) -> str:
        await go_on.wait()
        return "slow"

    sio.on("slow", slow)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('21["slow"]')
        await client.send('22["message-with-ack","quick"]')
        assert await client.receive() == '32["quick"]'
        go_on.set()
        assert await client.receive() == '31["slow"]'


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        ("[]", None),
        ('["x"]', "x"),
        ("[null]", None),
        ("[[1,2]]", [1, 2]),
        ('[{"a":1}]', {"a": 1}),
        ("[1,2]", (1, 2)),
    ],
)
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_server_is_answered(
    sio_url: str, sio: Any, transport: str, namespace: str, payload: str, result: Any
) -> None:
    """Send an event with an id; take what the client acknowledges it with."""
    there = address(namespace)
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        call = sio.call("ask", {"q": 1}, to=sid, namespace=namespace, timeout=TIMEOUT)
        calling = asyncio.ensure_future(call)
        packet = str(await client.receive())
        id = packet.removeprefix(f"2{there}").removesuffix('["ask",{"q":1}]')
        assert id.isdecimal()
        await client.send(f"3{there}{id}{payload}")
        assert await calling == result


async def test_each_question_has_an_id_of_its_own(sio_url: str, sio: Any, transport: str) -> None:
    """Tell the answers apart, whatever their order and their namespace."""
    async with socketio(sio_url, transport) as client:
        calls, packets = [], []
        for namespace in NAMESPACES:
            sid = await client.connect(namespace)
            for number in range(3):
                call = sio.call("ask", number, to=sid, namespace=namespace, timeout=TIMEOUT)
                calls.append(asyncio.ensure_future(call))
                packets.append(str(await client.receive()))
        assert len(set(packets)) == 6
        for packet in reversed(packets):
            head, _, tail = packet[1:].partition("[")
            await client.send(f"3{head}[{json.dumps([head, json.loads('[' + tail)[1]])}]")
        answers = await asyncio.gather(*calls)
        heads = [packet[1:].partition("[")[0] for packet in packets]
        assert answers == [[head, n] for head, n in zip(heads, [0, 1, 2] * 2, strict=True)]


async def test_an_answer_counts_once_and_where_it_was_asked(
    sio_url: str, sio: Any, transport: str
) -> None:
    """Ignore an ACK that answers nothing: unknown, repeated, or of another namespace."""
    answers: list[Any] = []
    async with socketio(sio_url, transport) as client:
        sid = await client.connect()
        await client.connect("/custom")
        await sio.emit("ask", to=sid, callback=lambda *given: answers.append(given))
        packet = str(await client.receive())
        id = packet.removeprefix("2").removesuffix('["ask"]')
        await client.send(f'3/custom,{id}["elsewhere"]')
        await client.send('3999["unknown"]')
        await client.send(f'3{int(id) + 1}["unknown"]')
        await client.send('30["unknown"]')
        await client.echo("still here")
        assert answers == []
        await client.send(f'3{id}["first"]')
        await client.send(f'3{id}["second"]')
        await client.echo("still here", "/custom")
        assert answers == [("first",)]
        await sio.emit("ask", to=sid, callback=lambda *given: answers.append(given))
        id = str(await client.receive()).removeprefix("2").removesuffix('["ask"]')
        await client.send(f"3{id}[]")
        await client.echo("still here")
        assert answers == [("first",), ()]


async def test_another_client_cannot_answer(sio_url: str, sio: Any, transport: str) -> None:
    """Take an answer only from whom was asked."""
    answers: list[Any] = []
    async with (
        socketio(sio_url, transport) as asked,
        socketio(sio_url, transport, "/") as other,
    ):
        sid = await asked.connect()
        await sio.emit("ask", to=sid, callback=lambda *given: answers.append(given))
        id = str(await asked.receive()).removeprefix("2").removesuffix('["ask"]')
        await other.send(f'3{id}["other"]')
        await other.echo("still here")
        assert answers == []
        await asked.send(f'3{id}["asked"]')
        await asked.echo("still here")
        assert answers == [("asked",)]


async def test_each_client_answers_for_itself(sio_url: str, sio: Any, transport: str) -> None:
    """Ask all at once: each has an id of its own count, and each answer is heard."""
    answers: list[Any] = []

    def note(*given: Any) -> None:
        answers.append(given)

    async with (
        socketio(sio_url, transport) as first,
        socketio(sio_url, transport, "/") as second,
    ):
        await sio.emit("before", to=await first.connect(), callback=print)
        assert str(await first.receive()).endswith('["before"]')
        await sio.emit("ask", callback=note)
        for name, client in (("first", first), ("second", second)):
            id = str(await client.receive()).removeprefix("2").removesuffix('["ask"]')
            await client.send(f'3{id}["{name}"]')
            await client.echo("it is answered")
        assert answers == [("first",), ("second",)]
