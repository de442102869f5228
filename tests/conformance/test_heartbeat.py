"""Engine.IO: the server pings, the client answers or is taken for gone."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance import engineio
from tests.conformance.clients import (
    TIMEOUT,
    connected,
    polling,
    probe,
    rest,
    second_socket,
)
from tests.conformance.serve import served

EARLY = 0.01
"""Seconds by which a clock may be early."""


def now() -> float:
    """Return the time, in seconds."""
    return asyncio.get_running_loop().time()


class Ends:
    """How a server's sessions ended."""

    def __init__(self, server: Any) -> None:
        self.reasons: list[str] = []
        self._more = asyncio.Event()
        server.on("disconnect", self._note)

    async def _note(self, sid: str, reason: str) -> None:
        self.reasons.append(reason)
        self._more.set()

    async def first(self) -> str:
        """Return the first end's reason."""
        await asyncio.wait_for(self._more.wait(), TIMEOUT)
        return self.reasons[0]


async def test_pings_come_as_long_as_they_are_answered(transport: str) -> None:
    """Ping after each interval, never before it; a client that answers stays."""
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


async def test_whoever_does_not_answer_is_gone(transport: str) -> None:
    """Close after the timeout, never before it; ping once only."""
    server = engineio.make_server(ping_interval=0.1, ping_timeout=0.2)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url:
        before = now()
        async with connected(url, transport) as client:
            packets = await rest(client)
            assert now() - before > 0.3 - EARLY
            assert [packet for packet in packets if packet not in {"1", "6"}] == ["2"]
            assert await ends.first() == "ping timeout"
            assert not server.sockets
    assert ends.reasons == ["ping timeout"]


async def test_a_client_that_never_polls_is_gone() -> None:
    """Time out a session that was begun and left alone; its id is unknown then."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=0.05)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url, polling(url) as client:
        assert await ends.first() == "ping timeout"
        assert (await client.get())[0] == 400
        assert (await client.post("3"))[0] == 400


async def test_messages_are_no_answer(transport: str) -> None:
    """Wait for the pong: other packets do not stand for it."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=0.3)
    ends = Ends(server)
    async with served(server, engineio.PATH) as url, connected(url, transport) as client:
        packet = ""
        while packet != "2":
            packet = await client.receive()
        await client.send("4hello", "6", b"bytes")
        packets = await rest(client)
        assert "4hello" in packets
        assert "2" not in packets  # the first ping is still open
        assert await ends.first() == "ping timeout"


async def test_an_answer_to_no_ping_does_no_harm(eio_url: str, transport: str) -> None:
    """Ignore a pong out of turn."""
    async with connected(eio_url, transport) as client:
        await client.send("3", "3", "4hello")
        assert await client.receive() == "4hello"


async def test_messages_and_pings_go_together() -> None:
    """Bring a waiting poll the ping, then go on with messages and the next ping."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=TIMEOUT)
    async with served(server, engineio.PATH) as url, polling(url) as client:
        for number in range(3):
            assert await client.get() == (200, "2")
            await client.send(f"4{number}", "3")
            assert await client.receive() == f"4{number}"


async def test_an_upgrade_takes_the_heartbeat_along() -> None:
    """Ping on the new transport; a ping that polling did not take is not lost."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=TIMEOUT)
    async with (
        served(server, engineio.PATH) as url,
        polling(url) as client,
        second_socket(client) as socket,
    ):
        session = server.sockets[client.query["sid"]]
        async with asyncio.timeout(TIMEOUT):
            while not session.unacknowledged_bytes():  # the ping is due and waits
                await asyncio.sleep(0.01)
        await probe(socket)
        await socket.send("5")
        for _ in range(3):
            assert await socket.receive() == "2"
            await socket.send("3")


async def test_a_silent_upgrade_does_not_stop_the_clock() -> None:
    """Time a session out also while a WebSocket has probed and not taken over."""
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
