"""Socket.IO: a client connects to namespaces and leaves them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import socketio as library

from tests.conformance import socketio as conformance
from tests.conformance.clients import (
    TIMEOUT,
    SessionEnded,
    SocketIO,
    connected,
    namespace_prefix,
    polling,
    read_to_end,
    second_socket,
    socketio,
    upgrade,
)
from tests.conformance.serve import served

NAMESPACES = ("/", "/custom")


@pytest.mark.parametrize("auth", [None, {}, {"token": "123"}, {"é": [1, {"deep": None}]}], ids=str)
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_connect_response_has_a_sid(
    sio_url: str, transport: str, namespace: str, auth: dict[str, Any] | None
) -> None:
    """It has nothing else, and the connect handler gets the client's auth."""
    async with connected(sio_url, transport) as carrier:
        client, there = SocketIO(carrier), namespace_prefix(namespace)
        await client.send(f"0{there}{'' if auth is None else json.dumps(auth)}")
        answer = str(await client.receive())
        assert answer[: len(there) + 1] == f"0{there}"
        data = json.loads(answer[len(there) + 1 :])
        assert set(data) == {"sid"}
        assert isinstance(data["sid"], str)
        assert data["sid"] != carrier.handshake["sid"]
        event = str(await client.receive())
        assert event[: len(there) + 1] == f"2{there}"
        assert json.loads(event[len(there) + 1 :]) == ["auth", auth or {}]


async def test_a_packet_may_end_with_its_namespace(sio_url: str, transport: str) -> None:
    """The comma after the namespace is missing."""
    async with socketio(sio_url, transport) as client:
        await client.send("0/custom")
        assert str(await client.receive()).startswith('0/custom,{"sid":')
        assert await client.receive() == '2/custom,["auth",{}]'
        await client.send("1/custom")
        await client.connect("/custom")


async def test_a_session_starts_without_a_namespace(sio_url: str, sio: Any, transport: str) -> None:
    """A session gets no events before it connects."""
    async with socketio(sio_url, transport) as client, socketio(sio_url, transport, "/") as other:
        await sio.emit("news", "for all")
        assert await other.receive() == '2["news","for all"]'
        await client.connect("/custom")
        await sio.emit("news", "for all")
        assert await other.receive() == '2["news","for all"]'
        await client.echo("only this", "/custom")


async def test_each_connection_to_a_namespace_has_its_own_sid(sio_url: str, transport: str) -> None:
    """A client that connects again gets a new sid."""
    async with socketio(sio_url, transport) as first, socketio(sio_url, transport) as second:
        ids = [await client.connect(name) for client in (first, second) for name in NAMESPACES]
        await first.send("1")
        ids.append(await first.connect())
        assert len(set(ids)) == 5


@pytest.mark.parametrize("name", ["/random", "/Custom", "/custom/", "/customs", "/é", "/a/b", "/*"])
async def test_an_unknown_namespace_is_refused(sio_url: str, transport: str, name: str) -> None:
    """The CONNECT_ERROR has an object with a message, and the session stays open."""
    async with socketio(sio_url, transport) as client:
        for payload in ("", '{"token":"123"}'):
            await client.send(f"0{name},{payload}")
            assert await client.receive() == f'4{name},{{"message":"Invalid namespace"}}'
        await client.connect()
        await client.send(f"0{name}")
        assert await client.receive() == f'4{name},{{"message":"Invalid namespace"}}'
        await client.echo("still here")


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize(
    ("refusal", "data"),
    [
        (ValueError("secret"), None),
        (library.exceptions.ConnectionRefusedError("not you"), {"message": "not you"}),
        (
            library.exceptions.ConnectionRefusedError("not you", {"code": 7}),
            {"message": "not you", "data": {"code": 7}},
        ),
        (False, None),
    ],
    ids=["error", "refused", "refused with data", "false"],
)
async def test_the_application_may_refuse_a_client(
    sio_url: str, sio: Any, transport: str, namespace: str, refusal: Any, data: Any
) -> None:
    """The CONNECT_ERROR has an object, and the client may try again."""
    answers = [refusal, refusal, None]

    async def connect(sid: str, environ: Any, auth: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sio.on("connect", connect, namespace=namespace)
    async with socketio(sio_url, transport) as client:
        there = namespace_prefix(namespace)
        for _ in range(2):
            await client.send(f"0{there}")
            answer = str(await client.receive())
            assert answer[: len(there) + 1] == f"4{there}"
            error = json.loads(answer[len(there) + 1 :])
            assert error == data or (data is None and isinstance(error["message"], str))
            assert "secret" not in answer
        await client.send(f"0{there}")
        assert str(await client.receive()).startswith(f"0{there}{{")
        await client.echo("hello", namespace)


async def test_no_event_is_sent_before_the_connect_response(
    sio_url: str, sio: Any, transport: str
) -> None:
    """Events of the connect handler are held until then."""

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit("early", to=sid)
        await sio.emit("early for all")
        await sio.emit("early with bytes", b"\x01", to=sid)

    sio.on("connect", connect)
    async with socketio(sio_url, transport) as client:
        await client.send("0")
        assert str(await client.receive()).startswith('0{"sid":')
        assert await client.receive() == '2["early"]'
        assert await client.receive() == '2["early for all"]'
        assert str(await client.receive()).startswith('51-["early with bytes"')
        assert await client.receive() == b"\x01"


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_a_disconnect_packet_gets_no_answer(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """The disconnect handler runs once, and the session stays open."""
    left: list[str] = []

    async def disconnect(sid: str, reason: str) -> None:
        left.append(sid)

    sio.on("disconnect", disconnect, namespace=namespace)
    async with socketio(sio_url, transport) as client:
        sid = await client.connect(namespace)
        await client.send(f"1{namespace_prefix(namespace)}")
        await client.connect(namespace)
        await client.echo("again", namespace)
        assert left == [sid]


async def test_leaving_one_namespace_keeps_the_other(sio_url: str, transport: str) -> None:
    """The client can join the namespace again."""
    for leaves, stays in (NAMESPACES, NAMESPACES[::-1]):
        async with socketio(sio_url, transport, *NAMESPACES) as client:
            await client.send(f"1{namespace_prefix(leaves)}")
            await client.echo("still here", stays)
            await client.connect(leaves)
            await client.echo("back", leaves)


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_server_may_disconnect_a_client(
    sio_url: str, sio: Any, transport: str, namespace: str
) -> None:
    """The session and its other namespaces stay."""
    other = NAMESPACES[1 - NAMESPACES.index(namespace)]
    async with socketio(sio_url, transport, other) as client:
        sid = await client.connect(namespace)
        await sio.disconnect(sid, namespace)
        assert await client.receive() == f"1{namespace_prefix(namespace)}"
        await client.echo("still here", other)
        await client.connect(namespace)


async def test_the_end_of_a_session_calls_each_namespaces_disconnect_handler(
    sio_url: str, sio: Any, transport: str
) -> None:
    """Each handler runs once."""
    left: list[str] = []
    all_left = asyncio.Event()

    async def disconnect(sid: str, reason: str) -> None:
        left.append(sid)
        if len(left) == 2:
            all_left.set()

    for namespace in NAMESPACES:
        sio.on("disconnect", disconnect, namespace=namespace)
    async with socketio(sio_url, transport) as client:
        ids = [await client.connect(namespace) for namespace in NAMESPACES]
    await asyncio.wait_for(all_left.wait(), TIMEOUT)
    assert sorted(left) == sorted(ids)


async def test_a_session_without_a_namespace_is_closed_after_a_time(transport: str) -> None:
    """It has sent no CONNECT, or its CONNECT was refused."""
    server = conformance.make_server(ping_interval=25, ping_timeout=20, connect_timeout=0.2)
    async with served(server, conformance.PATH) as url:
        async with connected(url, transport) as carrier:
            assert await read_to_end(carrier) in ([], ["6"])
        async with socketio(url, transport) as client:
            await client.send("0/random")
            assert str(await client.receive()).startswith("4/random,")
            assert await read_to_end(client.carrier) in ([], ["6"])
        async with socketio(url, transport, "/custom") as client:
            session = server.eio.sockets[client.carrier.handshake["sid"]]
            async with connected(url, transport) as carrier:
                await read_to_end(carrier)  # which closes after the same time
            assert not session.closed
            await client.echo("still here", "/custom")


async def test_an_upgrade_keeps_the_namespaces(sio_url: str) -> None:
    """The client can join another namespace after it."""
    async with polling(sio_url) as first, second_socket(first) as second:
        client = SocketIO(first)
        await client.connect()
        await client.send('2["message","on the way"]')
        await upgrade(second)
        client = SocketIO(second)
        assert await client.receive() == '2["message-back","on the way"]'
        await client.connect("/custom")
        for namespace in NAMESPACES:
            await client.echo("after", namespace)


async def test_an_engine_io_close_packet_ends_all_namespaces(sio_url: str, transport: str) -> None:
    """The whole connection ends."""
    async with socketio(sio_url, transport, *NAMESPACES) as client:
        await client.carrier.send("1")
        with pytest.raises(SessionEnded):
            while await client.carrier.receive() == "6":
                pass
