"""Engine.IO: the server pings, and closes a client that does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance import engineio
from tests.conformance.clients import (
    TIMEOUT,
    connected,
    polling,
    probe,
    read_to_end,
    second_socket,
)
from tests.conformance.serve import served

EARLY = 0.01
"""Seconds by which a timer may be early."""


def now() -> float:
    """Return the time, in seconds."""
    return asyncio.get_running_loop().time()


class Ends:
    """The reasons of a server's ended sessions."""

    def __init__(self, server: Any) -> None:
        self.reasons: list[str] = []
        self._ended = asyncio.Event()
        server.on("disconnect", self._note)

    async def _note(self, sid: str, reason: str) -> None:
        self.reasons.append(reason)
        self._ended.set()

    async def first(self) -> str:
        """Wait for the end of a session; return its reason."""
        await asyncio.wait_for(self._ended.wait(), TIMEOUT)
        return self.reasons[0]


async def test_a_client_that_answers_is_pinged_again(transport: str) -> None:
    """No ping comes before its interval is over."""
    server = engineio.make_server(ping_interval=0.1, ping_timeout=TIMEOUT)
    async with served(server, engineio.PATH) as url:
        before = now()
        async with connected(url, transport) as client:
            for _ in range(4):
                assert await client.receive() == "2"
                assert now() - before > 0.1 - EARLY
                before = now()
                await client.send("3")
            await client.send("4still here")
            while (packet := await client.receive()) == "2":
                await client.send("3")
            assert packet == "4still here"


async def test_a_client_that_does_not_answer_is_closed(transport: str) -> None:
    """It is pinged once, and not closed before the timeout."""
    server = engineio.make_server(ping_interval=0.1, ping_timeout=0.2)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url:
        before = now()
        async with connected(url, transport) as client:
            packets = await read_to_end(client)
            assert now() - before > 0.3 - EARLY
            assert [packet for packet in packets if packet not in {"1", "6"}] == ["2"]
            assert await ends.first() == "ping timeout"
            assert not server.sockets
    assert ends.reasons == ["ping timeout"]


async def test_a_client_that_never_polls_is_closed() -> None:
    """Its sid is unknown afterwards."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=0.05)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url, polling(url) as client:
        assert await ends.first() == "ping timeout"
        assert (await client.get())[0] == 400
        assert (await client.post("3"))[0] == 400


async def test_only_a_pong_answers_a_ping(transport: str) -> None:
    """Other packets do not count."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=0.3)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url, connected(url, transport) as client:
        packet = ""
        while packet != "2":
            packet = await client.receive()
        await client.send("4hello", "6", b"bytes")
        packets = await read_to_end(client)
        assert "4hello" in packets
        assert "2" not in packets  # the first ping has no answer yet
        assert await ends.first() == "ping timeout"


async def test_a_pong_without_a_ping_is_ignored(eio_url: str, transport: str) -> None:
    """The session stays open."""
    async with connected(eio_url, transport) as client:
        await client.send("3", "3", "4hello")
        assert await client.receive() == "4hello"


async def test_a_poll_can_return_a_ping_and_then_messages() -> None:
    """The pong and messages can be in one body."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=TIMEOUT)
    async with served(server, engineio.PATH) as url, polling(url) as client:
        for number in range(3):
            assert await client.get() == (200, "2")
            await client.send(f"4{number}", "3")
            assert await client.receive() == f"4{number}"


async def test_an_upgrade_keeps_the_heartbeat() -> None:
    """A ping that no poll has taken is sent on the WebSocket."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=TIMEOUT)
    async with (
        served(server, engineio.PATH) as url,
        polling(url) as client,
        second_socket(client) as socket,
    ):
        session = server.sockets[client.query["sid"]]
        async with asyncio.timeout(TIMEOUT):
            while not session.unacknowledged_bytes():  # the ping is queued
                await asyncio.sleep(0.01)
        await probe(socket)
        await socket.send("5")
        for _ in range(3):
            assert await socket.receive() == "2"
            await socket.send("3")


async def test_an_incomplete_upgrade_does_not_stop_the_heartbeat() -> None:
    """The session times out although a WebSocket has probed."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=0.1)
    ends = Ends(server)
    async with (
        served(server, engineio.PATH) as url,
        polling(url) as client,
        second_socket(client) as socket,
    ):
        await probe(socket)
        assert await ends.first() == "ping timeout"
        assert (await client.get())[0] == 400
