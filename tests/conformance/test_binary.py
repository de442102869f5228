"""Socket.IO: bytes among an event's arguments, sent as attachments behind it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.clients import (
    TIMEOUT,
    SocketIO,
    address,
    polling,
    second_socket,
    socketio,
    upgrade,
)

NAMESPACES = ("/", "/custom")


def hole(number: int) -> dict[str, Any]:
    """Return what stands for an attachment."""
    return {"_placeholder": True, "num": number}


def text(data: Any) -> str:
    """Encode as the server does."""
    return json.dumps(data, separators=(",", ":"))


ONE, TWO, THREE = b"\x01\x02\x03\x04", b"", bytes(range(256))

EVENTS: list[tuple[list[Any], list[bytes]]] = [
    ([hole(0)], [ONE]),
    ([hole(0), hole(1)], [ONE, TWO]),
    (["x", hole(0), {"y": 1}, hole(1), None, hole(2)], [ONE, TWO, THREE]),
    ([{"a": hole(0), "b": [hole(1), {"c": hole(2)}]}], [ONE, TWO, THREE]),
    ([[[[hole(0)]]]], [THREE]),
    ([hole(0), hole(1)], [ONE, ONE]),
    ([hole(n) for n in range(10)], [bytes([n]) for n in range(10)]),
    ([{"_placeholder": False, "num": 0}, hole(0)], [ONE]),
    ([hole(0)], [b"4"]),
    ([hole(0)], [b'2["message"]']),
    ([hole(0)], [b"\x00" * 200_000]),
]


@pytest.mark.parametrize(("arguments", "attachments"), EVENTS, ids=range(len(EVENTS)))
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_bytes_arrive_where_they_were_sent(
    sio_url: str, transport: str, namespace: str, arguments: list[Any], attachments: list[bytes]
) -> None:
    """Put each attachment in its place; send bytes as attachments in the order of theirs."""
    there, count = address(namespace), len(attachments)
    async with socketio(sio_url, transport, namespace) as client:
        await client.send(f"5{count}-{there}{text(['message', *arguments])}", *attachments)
        answer = f"5{count}-{there}{text(['message-back', *arguments])}"
        assert await client.receive() == answer
        assert [await client.receive() for _ in attachments] == attachments
        await client.echo("nothing else", namespace)


@pytest.mark.parametrize(("arguments", "attachments"), EVENTS, ids=range(len(EVENTS)))
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_bytes_are_acknowledged_with_bytes(
    sio_url: str, transport: str, namespace: str, arguments: list[Any], attachments: list[bytes]
) -> None:
    """Answer a binary event with a binary acknowledgement of its id."""
    there, count = address(namespace), len(attachments)
    async with socketio(sio_url, transport, namespace) as client:
        event = text(["message-with-ack", *arguments])
        await client.send(f"5{count}-{there}789{event}", *attachments)
        assert await client.receive() == f"6{count}-{there}789{text(arguments)}"
        assert [await client.receive() for _ in attachments] == attachments


async def test_the_application_has_bytes(sio_url: str, sio: Any, transport: str) -> None:
    """Hand bytes on as bytes, in the places that their numbers name."""
    heard: list[Any] = []

    async def note(sid: str, *arguments: Any) -> str:
        heard.extend(arguments)
        return "no bytes"

    sio.on("note", note)
    async with socketio(sio_url, transport, "/") as client:
        packet = text(["note", {"second": hole(1)}, hole(0), "text"])
        await client.send(f"52-12{packet}", b"\x00", b"\xff")
        assert await client.receive() == '312["no bytes"]'
        assert heard == [{"second": b"\xff"}, b"\x00", "text"]


async def test_a_binary_answer_to_a_text_event(sio_url: str, sio: Any, transport: str) -> None:
    """Acknowledge with bytes where the handler returns some."""

    async def download(sid: str) -> Any:
        return "file", {"parts": [b"\x01", b"\x02"]}

    sio.on("download", download)
    async with socketio(sio_url, transport, "/") as client:
        await client.send('21["download"]')
        assert await client.receive() == f"62-1{text(['file', {'parts': [hole(0), hole(1)]}])}"
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_server_is_answered_with_bytes(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """Ask with bytes, and take a binary acknowledgement."""
    there = address(namespace)
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        call = sio.call("ask", {"key": b"\x07"}, to=sid, namespace=namespace, timeout=TIMEOUT)
        calling = asyncio.ensure_future(call)
        packet = str(await client.receive())
        assert await client.receive() == b"\x07"
        id = packet.removeprefix(f"51-{there}").removesuffix(text(["ask", {"key": hole(0)}]))
        assert id.isdecimal()
        await client.send(f"61-{there}{id}{text([[hole(0), 'x']])}", b"\x08")
        assert await calling == [b"\x08", "x"]


async def test_bytes_for_all_come_to_each_transport(sio_url: str, sio: Any) -> None:
    """Bring a broadcast's bytes as base64 to whoever polls, as they are to the others."""
    async with (
        socketio(sio_url, "polling", "/") as first,
        socketio(sio_url, "websocket", "/") as second,
        socketio(sio_url, "upgraded", "/") as third,
    ):
        await sio.emit("news", (b"\xff\x00", "x", b""))
        for client in (first, second, third):
            assert await client.receive() == f"52-{text(['news', hole(0), 'x', hole(1)])}"
            assert await client.receive() == b"\xff\x00"
            assert await client.receive() == b""
            await client.echo("and nothing else")


async def test_attachments_may_come_one_by_one(sio_url: str, transport: str) -> None:
    """Wait for attachments; pongs and NOOPs between them are of another layer."""
    async with socketio(sio_url, transport, "/") as client:
        await client.carrier.send(f"452-{text(['message', hole(0), hole(1)])}")
        await client.carrier.send("3", b"\x01", "6")
        await client.carrier.send(b"\x02")
        assert await client.receive() == f"52-{text(['message-back', hole(0), hole(1)])}"
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


async def test_clients_do_not_get_each_others_attachments(sio_url: str, transport: str) -> None:
    """Keep two half-sent events of two sessions apart."""
    packet = f"452-{text(['message', hole(0), hole(1)])}"
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
    """Take an event's text by polling and its attachments on the WebSocket; the same back."""
    async with polling(sio_url) as first, second_socket(first) as second:
        client = SocketIO(first)
        await client.connect()
        await client.send(f"52-{text(['message', hole(0), hole(1)])}", b"\x01")
        await upgrade(second)
        await second.send(b"\x02")
        client = SocketIO(second)
        assert await client.receive() == f"52-{text(['message-back', hole(0), hole(1)])}"
        assert [await client.receive() for _ in range(2)] == [b"\x01", b"\x02"]


async def test_a_binary_event_nobody_handles_takes_its_attachments_along(
    sio_url: str, transport: str
) -> None:
    """Do not mistake what is left of it for something else."""
    async with socketio(sio_url, transport, "/") as client:
        await client.send(f"51-{text(['nobody', hole(0)])}", b"\x01")
        await client.echo("still here")
