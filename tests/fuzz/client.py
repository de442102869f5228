"""Clients that send given bytes over one TCP connection, in given segments.

They are cheap: they use no client library and no task.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Sequence
from typing import ClassVar

from tests.fuzz.wire import (
    BINARY,
    CLOSE,
    HOST,
    PATH,
    TEXT,
    UPGRADE,
    Packet,
    frame,
    payload,
    request,
)


class Gone(Exception):
    """The server has closed the connection, or does not know the session any more."""


class Connection(asyncio.Protocol):
    """A TCP connection."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.lost = False
        self._wake: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, HOST, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Buffer received data."""
        self.buffer += data
        self._notify()

    def connection_lost(self, exc: Exception | None) -> None:
        """Store that the connection is lost."""
        self.lost = True
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def send(self, data: bytes, cuts: Sequence[int] = ()) -> None:
        """Send data in segments. The server reads each segment before the next is sent.

        Args:
            data: the bytes to send.
            cuts: the places between two segments.

        Raises:
            Gone: the server has closed the connection, and no data is left to read.
        """
        places = sorted({cut % (len(data) + 1) for cut in cuts})
        for start, end in itertools.pairwise([0, *places, len(data)]):
            if self.lost and not self.buffer:
                raise Gone
            self._transport.write(data[start:end])
            if end < len(data):
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def wait_for_data(self) -> None:
        """Wait for more data.

        Raises:
            Gone: the connection is lost.
        """
        if self.lost:
            raise Gone
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
        self._wake = None

    async def read(self, count: int) -> bytes:
        """Read exactly ``count`` bytes."""
        while len(self.buffer) < count:
            await self.wait_for_data()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def response(self, *, bodiless: bool = False) -> tuple[int, bytes, bytes]:
        """Read an HTTP response; return its status, its head and its body."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            await self.wait_for_data()
        head = await self.read(end + 4)
        status = int(head[9:12])
        length = head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        return status, head, b"" if bodiless else await self.read(int(length or 0))

    async def frame(self) -> tuple[int, bytes]:
        """Read a server's WebSocket frame; return its opcode and its payload."""
        first, second = await self.read(2)
        assert first & 0x70 == 0, "reserved bits"
        assert second & 0x80 == 0, "a server's frames are not masked"
        assert first & 0x80, "the engine does not fragment"
        length = second
        if second == 126:
            length = int.from_bytes(await self.read(2), "big")
        elif second == 127:
            length = int.from_bytes(await self.read(8), "big")
        return first & 0x0F, await self.read(length)

    async def wait_lost(self) -> None:
        """Read until the server has closed the connection."""
        while not self.lost:
            self.buffer.clear()
            await self.wait_for_data()

    def close(self) -> None:
        """Close."""
        self._transport.close()


class WebSocketClient:
    """A Socket.IO client over WebSocket, connected to the main namespace."""

    name: ClassVar[str] = "websocket"

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, port: int) -> WebSocketClient:
        """Connect."""
        connection = await Connection.open(port)
        client = cls(connection)
        await connection.send(request(f"{PATH}?EIO=4&transport=websocket", headers=UPGRADE))
        status, _, _ = await connection.response()
        assert status == 101, status
        opened = await connection.frame()
        assert opened[1].startswith(b"0{"), opened
        await client.send(["40"])
        (packet,) = await client.receive()
        assert str(packet).startswith('0{"sid"'), packet
        return client

    async def send(self, packets: Sequence[Packet], cuts: Sequence[int] = ()) -> None:
        """Send Engine.IO packets, each in a frame of its own."""
        data = b"".join(
            frame(0x81, packet.encode()) if isinstance(packet, str) else frame(0x82, packet)
            for packet in packets
        )
        await self.connection.send(data, cuts)

    async def receive(self) -> list[Packet]:
        """Return the next message: a Socket.IO packet's text, or an attachment.

        Raises:
            Gone: the server has closed the connection.
        """
        while True:
            opcode, payload = await self.connection.frame()
            if opcode == BINARY:
                return [payload]
            if opcode == CLOSE:
                await self.connection.wait_lost()
                raise Gone
            assert opcode == TEXT, opcode
            if payload[:1] == b"4":
                return [payload[1:].decode()]
            assert payload == b"2", payload

    async def leave(self) -> None:
        """Close the connection without a close frame, as a client that is killed."""
        self.connection.close()


class PollingClient:
    """A Socket.IO client over polling, connected to the main namespace."""

    name: ClassVar[str] = "polling"

    def __init__(self, connection: Connection, port: int, sid: str) -> None:
        self.connection = connection
        self.port = port
        self.target = f"{PATH}?EIO=4&transport=polling&sid={sid}"

    @classmethod
    async def open(cls, port: int) -> PollingClient:
        """Connect."""
        connection = await Connection.open(port)
        await connection.send(request(f"{PATH}?EIO=4&transport=polling"))
        status, _, body = await connection.response()
        assert status == 200, body
        client = cls(connection, port, body.decode().split('"')[3])
        await client.send(["40"])
        (packet,) = await client.receive()
        assert str(packet).startswith('0{"sid"'), packet
        return client

    async def send(self, packets: Sequence[Packet], cuts: Sequence[int] = ()) -> None:
        """Send Engine.IO packets in one body."""
        await self.post(payload(packets), cuts)

    async def post(self, body: bytes, cuts: Sequence[int] = (), headers: str = "") -> None:
        """Send one body.

        Raises:
            Gone: the session has been closed.
        """
        await self.connection.send(request(self.target, "POST", headers, body), cuts)
        await self.read_answer()

    async def read_answer(self) -> None:
        """Read the answer to a body.

        Raises:
            Gone: the session has been closed.
        """
        status, head, text = await self.connection.response()
        if status in (400, 413):
            raise Gone
        assert (status, text) == (200, b"ok"), (status, text)
        if b"\r\nconnection: close\r\n" in head.lower():  # the session continues
            self.connection = await Connection.open(self.port)

    async def receive(self) -> list[Packet]:
        """Poll; return the texts of Socket.IO packets, and attachments.

        Raises:
            Gone: the session has been closed.
        """
        while True:
            await self.connection.send(request(self.target))
            status, _, body = await self.connection.response()
            if status == 400:
                raise Gone
            assert status == 200, (status, body)
            packets: list[Packet] = []
            for packet in body.decode().split("\x1e"):
                if packet == "1":
                    raise Gone
                if packet.startswith("b"):
                    packets.append(base64.b64decode(packet[1:]))
                elif packet.startswith("4"):
                    packets.append(packet[1:])
                else:
                    assert packet in ("2", "6"), packet
            if packets:
                return packets

    async def leave(self) -> None:
        """End the session, if it has not ended, as a client that is closed."""
        end = request(self.target, "POST", body=b"1")
        try:
            await self.connection.send(end)
            status, _, _ = await self.connection.response()
        except Gone:  # the connection is closed, but the session may still exist
            self.connection = await Connection.open(self.port)
            await self.connection.send(end)
            status, _, _ = await self.connection.response()
        assert status in (200, 400), status
        self.connection.close()


TRANSPORTS: tuple[type[WebSocketClient | PollingClient], ...] = (WebSocketClient, PollingClient)
