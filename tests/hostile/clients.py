"""Clients that break the protocol, and functions that observe the server's reaction."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.hostile.stacks import TIMEOUT, WATCH_SECONDS, Stack, both, ours, until
from tests.support.raw import Closed, RawSocketIO

BOTH_TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "polling"])

MAX_LOG_LINE = 300


class Client(RawSocketIO):
    """A client that sends exactly the given packets."""

    @property
    def sid(self) -> str:
        """Return the Engine.IO session id."""
        return self.eio_sid

    @property
    def query(self) -> dict[str, str]:
        """Return the query parameters of a request to its polling session."""
        return {"EIO": "4", "transport": "polling", "sid": self.eio_sid}

    @property
    def websocket(self) -> aiohttp.ClientWebSocketResponse:
        """Return its open WebSocket."""
        assert self._socket is not None
        return self._socket

    async def join(self) -> None:
        """Connect to the main namespace, and wait for the response."""
        await self.send("40")
        await self.receive("40")

    async def send(self, packet: str | bytes) -> None:
        """Send one packet; bytes are an attachment."""
        if isinstance(packet, str):
            await super().send(packet)
        elif self._socket is not None:
            await self._socket.send_bytes(packet)
        else:
            await super().send("b" + base64.b64encode(packet).decode())

    async def post(self, body: bytes, **options: Any) -> tuple[int, str]:
        """Post a body; return the status and the body of the response."""
        post = self._http.post(self._url, params=self.query, data=io.BytesIO(body), **options)
        async with post as response:
            return response.status, await response.text()

    async def poll(self) -> tuple[int, list[str]]:
        """Poll once; return the status and the packets of the response."""
        async with asyncio.timeout(TIMEOUT), self._http.get(self._url, params=self.query) as answer:
            return answer.status, (await answer.text()).split("\x1e")

    async def next(self) -> str | bytes:
        """Return the next packet of any type.

        Raises:
            Closed: the server has closed the connection.
        """
        while not self._packets:
            if self._socket is None:
                status, packets = await self.poll()
                if status != 200:
                    raise Closed(status)
                self._packets += packets
            else:
                message = await self._socket.receive(TIMEOUT)
                if message.type is aiohttp.WSMsgType.BINARY:
                    return bytes(message.data)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise Closed(self._socket.close_code)
                self._packets.append(str(message.data))
        packet = self._packets.pop(0)
        return base64.b64decode(packet[1:]) if packet.startswith("b") else packet

    async def read_to_the_end(self) -> None:
        """Read, and answer pings, until the server has closed the connection."""
        with contextlib.suppress(Closed, aiohttp.ClientError, ConnectionError):
            await self.receive("never")

    async def is_ended(self, seconds: float = WATCH_SECONDS) -> bool:
        """Return whether the server closes the connection within this time."""
        reading = asyncio.ensure_future(self.read_to_the_end())
        await asyncio.wait([reading], timeout=seconds)
        reading.cancel()
        return reading.done()


@asynccontextmanager
async def client(
    stack: Stack, transport: str, *, join: bool = True, address: str = "127.0.0.1"
) -> AsyncIterator[Client]:
    """Open a client that has connected to the main namespace, unless ``join`` is False."""
    connector = aiohttp.TCPConnector(force_close=True, local_addr=(address, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        opened = Client(http, stack.url)
        try:
            await opened.open(transport)
            if join:
                await opened.join()
            yield opened
        finally:
            await opened.close()


FENCE = ["fence"]


async def outcome(stack: Stack, hostile: Client, *packets: str | bytes) -> str:
    """Send packets; return the client's state after them.

    Returns:
        ``open``: its next event is handled.
        ``closed``: its session has ended, and so has its connection.
        ``zombie``: its connection has ended, but not its session.
        ``untold``: its session has ended, but not its connection.
    """
    stack.events[:] = [event for event in stack.events if event != FENCE]
    with contextlib.suppress(Closed, aiohttp.ClientError, ConnectionError, TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            for packet in (*packets, f"42{json.dumps(FENCE)}"):
                await hostile.send(packet)
    reading = asyncio.ensure_future(hostile.read_to_the_end())
    try:
        await until(
            lambda: FENCE in stack.events or hostile.sid not in stack.sockets or reading.done(),
            "the packets have an effect",
        )
        if FENCE in stack.events:
            return "open"
        await asyncio.wait([reading], timeout=TIMEOUT)
        if not reading.done():
            return "untold"
        with contextlib.suppress(AssertionError):
            await until(lambda: hostile.sid not in stack.sockets, seconds=WATCH_SECONDS)
        return "zombie" if hostile.sid in stack.sockets else "closed"
    finally:
        reading.cancel()


async def outcomes(transport: str, *packets: str | bytes) -> tuple[str, str]:
    """Return the client's state after these packets on the stock server and on ours."""

    async def observe(stack: Stack) -> str:
        async with client(stack, transport) as hostile:
            return await outcome(stack, hostile, *packets)

    return await both(observe)


def logged_problems(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the log records that an operator sees: warnings and errors."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def is_bounded(record: logging.LogRecord) -> bool:
    """Return whether a record is one printable line of bounded length."""
    message = record.getMessage()
    return record.exc_info is None and message.isprintable() and len(message) <= MAX_LOG_LINE


async def assert_closed_with_one_log_line(
    caplog: pytest.LogCaptureFixture, transport: str, *packets: str | bytes
) -> None:
    """Check that our server closes the client at once, logs one line, and keeps nothing."""
    async with ours() as stack:
        caplog.clear()
        for _ in range(2):
            async with client(stack, transport) as hostile:
                assert await outcome(stack, hostile, *packets) == "closed"
        assert stack.events == []
        assert stack.sockets == {}
    (record,) = logged_problems(caplog)
    assert record.name == "sio_server.engine"
    assert "reason=" in record.getMessage()
    assert is_bounded(record), record.getMessage()
