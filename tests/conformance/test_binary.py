"""Socket.IO: bytes in an event's arguments, which are sent as attachments after it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.clients import (
    TIMEOUT,
    SocketIO,
    namespace_prefix,
    polling,
    second_socket,
    socketio,
    upgrade,
)

NAMESPACES = ("/", "/custom")


def placeholder(number: int) -> dict[str, Any]:
    """Return the placeholder of an attachment."""
    return {"_placeholder": True, "num": number}


def encode(data: Any) -> str:
    """Encode JSON as the server does."""
    return json.dumps(data, separators=(",", ":"))


ONE, TWO, THREE = b"\x01\x02\x03\x04", b"", bytes(range(256))

EVENTS: list[tuple[list[Any], list[bytes]]] = [
    ([placeholder(0)], [ONE]),
    ([placeholder(0), placeholder(1)], [ONE, TWO]),
    (["x", placeholder(0), {"y": 1}, placeholder(1), None, placeholder(2)], [ONE, TWO, THREE]),
    ([{"a": placeholder(0), "b": [placeholder(1), {"c": placeholder(2)}]}], [ONE, TWO, THREE]),
    ([[[[placeholder(0)]]]], [THREE]),
    ([placeholder(0), placeholder(1)], [ONE, ONE]),
    ([placeholder(n) for n in range(10)], [bytes([n]) for n in range(10)]),
    ([{"_placeholder": False, "num": 0}, placeholder(0)], [ONE]),
    ([placeholder(0)], [b"4"]),
    ([placeholder(0)], [b'2["message"]']),
    ([placeholder(0)], [b"\x00" * 200_000]),
]


@pytest.mark.parametrize(("arguments", "attachments"), EVENTS, ids=range(len(EVENTS)))
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_bytes_keep_their_place_in_the_arguments(
    sio_url: str, transport: str, namespace: str, arguments: list[Any], attachments: list[bytes]
) -> None:
    """The server puts each attachment in its place, and sends attachments in that order."""
    there, count = namespace_prefix(namespace), len(attachments)
    async with socketio(sio_url, transport, namespace) as client:
        await client.send(f"5{count}-{there}{encode(['message', *arguments])}", *attachments)
        answer = f"5{count}-{there}{encode(['message-back', *arguments])}"
        assert await client.receive() == answer
        assert [await client.receive() for _ in attachments] == attachments
        await client.echo("nothing else", namespace)


@pytest.mark.parametrize(("arguments", "attachments"), EVENTS, ids=range(len(EVENTS)))
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_a_binary_event_gets_a_binary_acknowledgement(
    sio_url: str, transport: str, namespace: str, arguments: list[Any], attachments: list[bytes]
) -> None:
    """The acknowledgement has the event's id."""
    there, count = namespace_prefix(namespace), len(attachments)
    async with socketio(sio_url, transport, namespace) as client:
        event = encode(["message-with-ack", *arguments])
        await client.send(f"5{count}-{there}789{event}", *attachments)
        assert await client.receive() == f"6{count}-{there}789{encode(arguments)}"
        assert [await client.receive() for _ in attachments] == attachments


async def test_a_handler_gets_bytes(sio_url: str, sio: Any, transport: str) -> None:
    """Each attachment is at the place of its number, also if the places are not in order."""
    handled: list[Any] = []

    async def record(sid: str, *arguments: Any) -> str:
        handled.extend(arguments)
        return "no bytes"

    sio.on("note", record)
    async with socketio(sio_url, transport, "/") as client:
        packet = encode(["note", {"second": placeholder(1)}, placeholder(0), "text"])
        await client.send(f"52-12{packet}", b"\x00", b"\xff")
        assert await client.receive() == '312["no bytes"]'
        assert handled == [{"second": b"\xff"}, b"\x00", "text"]


async def test_a_text_event_may_get_a_binary_acknowledgement(
    sio_url: str, sio: Any, transport: str
) -> None:
    """The handler of the event returns bytes."""

    async def download(sid: str) -> Any:
        return "file", {"parts": [b"\x01", b"\x02"]}

    sio.on("download", download)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('21["download"]')
        assert (
            await client.receive()
            == f"62-1{encode(['file', {'parts': [placeholder(0), placeholder(1)]}])}"
        )
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_server_gets_a_binary_acknowledgement(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """The server sends an event with bytes, and the client acknowledges it with bytes."""
    there = namespace_prefix(namespace)
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        call = sio.call("ask", {"key": b"\x07"}, to=sid, namespace=namespace, timeout=TIMEOUT)
        calling = asyncio.ensure_future(call)
        packet = str(await client.receive())
        assert await client.receive() == b"\x07"
        id = packet.removeprefix(f"51-{there}").removesuffix(
            encode(["ask", {"key": placeholder(0)}])
        )
        assert id.isdecimal()
        await client.send(f"61-{there}{id}{encode([[placeholder(0), 'x']])}", b"\x08")
        assert await calling == [b"\x08", "x"]


async def test_a_binary_broadcast_reaches_every_transport(sio_url: str, sio: Any) -> None:
    """A polling client gets base64, the others get binary messages."""
    async with (
        socketio(sio_url, "polling", "/") as first,
        socketio(sio_url, "websocket", "/") as second,
        socketio(sio_url, "upgraded", "/") as third,
    ):
        await sio.emit("news", (b"\xff\x00", "x", b""))
        for client in (first, second, third):
            assert (
                await client.receive()
                == f"52-{encode(['news', placeholder(0), 'x', placeholder(1)])}"
            )
            assert await client.receive() == b"\xff\x00"
            assert await client.receive() == b""
            await client.echo("and nothing else")


async def test_attachments_may_arrive_separately(sio_url: str, transport: str) -> None:
    """Engine.IO packets between them, such as a pong, do not disturb."""
    async with socketio(sio_url, transport, "/") as client:
        await client.carrier.send(f"452-{encode(['message', placeholder(0), placeholder(1)])}")
        await client.carrier.send("3", b"\x01", "6")
        await client.carrier.send(b"\x02")
        assert (
            await client.receive()
            == f"52-{encode(['message-back', placeholder(0), placeholder(1)])}"
        )
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


async def test_attachments_of_two_sessions_are_not_mixed(sio_url: str, transport: str) -> None:
    """Both sessions send a binary event at the same time."""
    packet = f"452-{encode(['message', placeholder(0), placeholder(1)])}"
    async with (
        socketio(sio_url, transport, "/") as first,
        socketio(sio_url, transport, "/") as second,
    ):
        for part in (packet, b"\x01", b"\x02"):
            for number, client in enumerate((first, second)):
                await client.carrier.send(part if isinstance(part, str) else part * (number + 1))
        for number, client in enumerate((first, second), start=1):
            assert str(await client.receive()).startswith('52-["message-back"')
            assert await client.receive() == b"\x01" * number
            assert await client.receive() == b"\x02" * number


async def test_an_event_keeps_its_attachments_through_the_upgrade(sio_url: str) -> None:
    """The text arrives by polling and an attachment on the WebSocket."""
    async with polling(sio_url) as first, second_socket(first) as second:
        client = SocketIO(first)
        await client.connect()
        await client.send(f"52-{encode(['message', placeholder(0), placeholder(1)])}", b"\x01")
        await upgrade(second)
        await second.send(b"\x02")
        client = SocketIO(second)
        assert (
            await client.receive()
            == f"52-{encode(['message-back', placeholder(0), placeholder(1)])}"
        )
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


async def test_attachments_of_an_event_without_a_handler_are_dropped(
    sio_url: str, transport: str
) -> None:
    """The server does not take them for other packets."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send(f"51-{encode(['nobody', placeholder(0)])}", b"\x01")
        await client.echo("still here")
