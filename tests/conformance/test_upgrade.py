"""Engine.IO: an upgrade from polling to WebSocket loses no packet and keeps the order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance import engineio
from tests.conformance.clients import (
    TIMEOUT,
    UPGRADED,
    WEBSOCKET,
    Packet,
    Polling,
    SessionEnded,
    WebSocket,
    connected,
    polling,
    probe,
    read_to_end,
    second_socket,
    upgrade,
    wait_until_handled,
)
from tests.conformance.serve import served

MIXED: list[Packet] = ["4one", b"\x02", "4é", b""]


async def assert_works(client: Polling | WebSocket, word: str = "still here") -> None:
    """Check that a session is open."""
    await client.send(f"4{word}")
    assert await client.receive() == f"4{word}"


async def assert_refused(client: Polling, **changes: str) -> None:
    """Check that a second WebSocket of a session is closed without a packet."""
    with pytest.raises(SessionEnded):
        async with second_socket(client, **changes) as socket:
            await socket.receive()


async def test_a_websocket_takes_over_the_session(eio_url: str, eio: Any) -> None:
    """The sid stays the same after probe, answer and UPGRADE."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await upgrade(socket)
        await assert_works(socket)
        assert list(eio.sockets) == [client.query["sid"]]
        assert eio.transport(client.query["sid"]) == "websocket"


async def test_the_probe_ends_the_waiting_poll_with_a_noop(eio_url: str) -> None:
    """No later packet takes the old way."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        await probe(socket)
        assert await poll == (200, "6")
        await socket.send("5")
        await assert_works(socket)


async def test_a_poll_during_the_upgrade_gets_a_noop_at_once(eio_url: str) -> None:
    """The client had sent the poll before it paused polling."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await probe(socket)
        for _ in range(3):
            assert await client.get() == (200, "6")
        await socket.send("5")
        await assert_works(socket)


async def test_queued_packets_go_to_the_websocket(eio_url: str) -> None:
    """They come in order, and before new packets."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await client.send(*MIXED)
        await probe(socket)
        await client.send("4during")
        await socket.send("5", "4after", b"\x05")
        expected = [*MIXED, "4during", "4after", b"\x05"]
        assert [await socket.receive() for _ in expected] == expected


async def test_packets_of_a_poll_during_the_upgrade_are_not_sent_again(eio_url: str) -> None:
    """The WebSocket gets only later packets."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await client.send(*MIXED)
        await probe(socket)
        assert [await client.receive() for _ in MIXED] == MIXED
        await client.send("4during")
        await socket.send("5", "4after")
        assert [await socket.receive() for _ in range(2)] == ["4during", "4after"]


async def test_an_upgrade_loses_no_packet(eio_url: str, eio: Any) -> None:
    """The server sends all the time, and every message arrives once and in order."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        sid, numbers = client.query["sid"], iter(range(1000))

        async def emit(count: int) -> None:
            for _ in range(count):
                await eio.send(sid, str(next(numbers)))

        await emit(12)
        received = [await client.receive() for _ in range(6)]
        poll = asyncio.ensure_future(client.get())
        await emit(20)
        sending = asyncio.ensure_future(emit(60))
        await probe(socket)
        await sending
        await emit(20)
        received += [await client.receive() for _ in range(6)]
        received += [packet for packet in (await poll)[1].split("\x1e") if packet != "6"]
        await emit(20)
        await socket.send("5")
        await emit(20)
        received += [await socket.receive() for _ in range(152 - len(received))]
        assert received == [f"4{number}" for number in range(152)]


async def test_a_client_need_not_wait_for_the_answer_to_its_probe(eio_url: str) -> None:
    """Probe, UPGRADE and messages may arrive together."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await client.send("4before")
        await socket.send("2probe", "5", "4after")
        assert [await socket.receive() for _ in range(3)] == ["3probe", "4before", "4after"]


async def test_polling_is_refused_after_the_upgrade(eio_url: str) -> None:
    """A poll and a POST get 400, and the session stays open."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await upgrade(socket)
        await assert_works(socket)
        assert (await client.get())[0] == 400
        assert (await client.post("4hello"))[0] == 400
        assert (await client.post("1"))[0] == 400
        await assert_works(socket)


@pytest.mark.parametrize("transport", [WEBSOCKET, UPGRADED])
async def test_a_second_websocket_of_a_session_is_closed(eio_url: str, transport: str) -> None:
    """The first one continues."""
    async with connected(eio_url, transport) as client, polling(eio_url) as stranger:
        await assert_works(client)
        for _ in range(2):
            await assert_refused(stranger, sid=client.handshake["sid"])
        await assert_works(client)
        await assert_works(stranger)


async def test_a_second_websocket_during_an_upgrade_is_closed(eio_url: str) -> None:
    """The first one may still take over."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await probe(socket)
        await assert_refused(client)
        await socket.send("5")
        await assert_works(socket)


@pytest.mark.parametrize(
    "first",
    ["2", "2Probe", "2probe2", "3probe", "5", "4hello", "1", "abc", "", b"2probe"],
    ids=repr,
)
async def test_an_upgrade_must_start_with_a_probe(eio_url: str, first: Packet) -> None:
    """Otherwise the WebSocket is closed, and polling continues."""
    async with polling(eio_url) as client:
        async with second_socket(client) as socket:
            await socket.send(first)
            assert await read_to_end(socket) == []
        await assert_works(client)
        async with second_socket(client) as socket:  # the client may try again
            await upgrade(socket)
            await assert_works(socket)


@pytest.mark.parametrize("second", ["4hello", "2probe", "3", "1", "5x", "abc", b"5"], ids=repr)
async def test_only_an_upgrade_packet_may_follow_the_probe(eio_url: str, second: Packet) -> None:
    """Otherwise the WebSocket is closed, and polls wait again."""
    async with polling(eio_url) as client:
        async with second_socket(client) as socket:
            await probe(socket)
            await socket.send(second)
            assert await read_to_end(socket) == []
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        assert not poll.done()
        await client.send("4hello")
        assert await poll == (200, "4hello")


@pytest.mark.parametrize("steps", [[], ["2probe"]], ids=["silent", "probing"])
async def test_polling_continues_if_the_websocket_disconnects(
    eio_url: str, steps: list[str]
) -> None:
    """It may disconnect before or after its probe."""
    async with polling(eio_url) as client:
        async with second_socket(client) as socket:
            await socket.send(*steps)
            assert steps == [] or await socket.receive() == "3probe"
        await client.send("4hello")
        assert await client.receive() == "4hello"
        async with asyncio.timeout(TIMEOUT):  # the server must first notice the disconnect
            while not await has_upgraded(client):
                pass


async def has_upgraded(client: Polling) -> bool:
    """Try to upgrade; return whether it succeeded."""
    async with second_socket(client) as socket:
        try:
            await upgrade(socket)
            await assert_works(socket)
        except (SessionEnded, ConnectionError):
            return False
        return True


@pytest.mark.parametrize("steps", [[], ["2probe"]], ids=["silent", "probing"])
async def test_an_upgrade_that_takes_too_long_is_closed(steps: list[str]) -> None:
    """Polling continues."""
    server = engineio.make_server(ping_interval=25, ping_timeout=20, connect_timeout=0.2)
    async with (
        served(server, engineio.PATH) as url,
        polling(url) as client,
    ):
        await assert_works(client)
        async with second_socket(client) as socket:
            await socket.send(*steps)
            assert await read_to_end(socket) == ["3probe"] * len(steps)
        await assert_works(client)


async def test_a_session_may_end_during_the_upgrade(eio_url: str, eio: Any) -> None:
    """A CLOSE packet by polling ends the session and the WebSocket."""
    async with polling(eio_url) as client, second_socket(client) as socket:
        await probe(socket)
        assert await client.post("1") == (200, "ok")
        await socket.send("5", "4hello")
        assert await read_to_end(socket) == []
    assert not eio.sockets
