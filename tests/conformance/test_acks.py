"""Socket.IO: acknowledgements of clients' events and of the server's events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.clients import TIMEOUT, namespace_prefix, socketio

NAMESPACES = ("/", "/custom")


@pytest.mark.parametrize("id", ["0", "1", "12", "456", "9007199254740991"])
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_an_event_with_an_id_is_acknowledged(
    sio_url: str, transport: str, namespace: str, id: str
) -> None:
    """The ACK has the event's id and namespace, and the handler's return value."""
    there = namespace_prefix(namespace)
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
async def test_the_payload_of_an_ack_is_always_an_array(
    sio_url: str, sio: Any, transport: str, returned: Any, payload: str
) -> None:
    """It is an empty array if the handler returns nothing."""

    async def answer(sid: str) -> Any:
        return returned

    sio.on("ask", answer)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('27["ask"]')
        assert await client.receive() == f"37{payload}"


async def test_an_event_without_an_id_is_not_acknowledged(sio_url: str, transport: str) -> None:
    """The server sends no ACK if the client asked for none."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        await client.send('2["message-with-ack",1]')
        await client.send('2/custom,["message-with-ack",1]')
        await client.echo("nothing before this")


async def test_a_client_may_use_an_id_again(sio_url: str, transport: str) -> None:
    """The client chooses the ids: in any order, and the same in two namespaces."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        for id in (5, 3, 5):
            for there in ("", "/custom,"):
                await client.send(f'2{there}{id}["message-with-ack","{there}"]')
                assert await client.receive() == f'3{there}{id}["{there}"]'


async def test_acknowledgements_may_be_out_of_order(sio_url: str, sio: Any, transport: str) -> None:
    """A quick event is acknowledged while the handler of an earlier one runs."""
    answer_now = asyncio.Event()

    async def slow(sid: str) -> str:
        await answer_now.wait()
        return "slow"

    sio.on("slow", slow)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('21["slow"]')
        await client.send('22["message-with-ack","quick"]')
        assert await client.receive() == '32["quick"]'
        answer_now.set()
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
async def test_the_server_gets_the_clients_acknowledgement(
    sio_url: str, sio: Any, transport: str, namespace: str, payload: str, result: Any
) -> None:
    """The server sends an event with an id, and gets the payload of the client's ACK."""
    there = namespace_prefix(namespace)
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        call = sio.call("ask", {"q": 1}, to=sid, namespace=namespace, timeout=TIMEOUT)
        calling = asyncio.ensure_future(call)
        packet = str(await client.receive())
        id = packet.removeprefix(f"2{there}").removesuffix('["ask",{"q":1}]')
        assert id.isdecimal()
        await client.send(f"3{there}{id}{payload}")
        assert await calling == result


async def test_each_event_with_a_callback_has_its_own_id(
    sio_url: str, sio: Any, transport: str
) -> None:
    """The server finds each event's ACK, in any order and in any namespace."""
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


async def test_an_ack_counts_once_and_only_in_its_namespace(
    sio_url: str, sio: Any, transport: str
) -> None:
    """An unknown or repeated ACK, or one of another namespace, is ignored."""
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


async def test_an_ack_of_another_client_is_ignored(sio_url: str, sio: Any, transport: str) -> None:
    """Only the recipient of the event can acknowledge it."""
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


async def test_each_recipient_of_a_broadcast_acknowledges_it(
    sio_url: str, sio: Any, transport: str
) -> None:
    """Each recipient has its own id, and each ACK runs the callback."""
    answers: list[Any] = []

    def record(*given: Any) -> None:
        answers.append(given)

    async with (
        socketio(sio_url, transport) as first,
        socketio(sio_url, transport, "/") as second,
    ):
        await sio.emit("before", to=await first.connect(), callback=print)
        assert str(await first.receive()).endswith('["before"]')
        await sio.emit("ask", callback=record)
        for name, client in (("first", first), ("second", second)):
            id = str(await client.receive()).removeprefix("2").removesuffix('["ask"]')
            await client.send(f'3{id}["{name}"]')
            await client.echo("it is answered")
        assert answers == [("first",), ("second",)]
