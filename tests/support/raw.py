"""Clients that send exactly the given bytes, also bytes that well-behaved clients never send."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support import secrets

TIMEOUT = 20


class Closed(Exception):
    """The server has closed the connection."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Plain:
    """A client of the plain WebSocket endpoint."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, message: str | bytes | dict[str, Any]) -> None:
        """Send text unchanged, bytes as a binary frame, and a dict as JSON."""
        if isinstance(message, bytes):
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def receive_text(self) -> str:
        """Return the next text message.

        Raises:
            Closed: the server has closed the connection.
        """
        message = await self.socket.receive(TIMEOUT)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(self.socket.close_code)
        secrets.check(str(message.data), "a message")
        return str(message.data)

    async def receive(self) -> dict[str, Any]:
        """Return the next message as JSON."""
        decoded: dict[str, Any] = json.loads(await self.receive_text())
        return decoded

    async def receive_type(self, *types: str) -> dict[str, Any]:
        """Return the next message of one of these types; ignore others."""
        while (message := await self.receive())["type"] not in types:
            pass
        return message


@asynccontextmanager
async def plain(url: str, **options: Any) -> AsyncIterator[Plain]:
    """Open a plain WebSocket."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url, **options) as socket:
        yield Plain(socket)


class RawSocketIO:
    """A Socket.IO client over WebSocket or polling that sends packets unchanged."""

    def __init__(self, http: aiohttp.ClientSession, url: str, path: str = "/socket.io/") -> None:
        self._http = http
        self._url = url + path
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.eio_sid = ""
        self._packets: list[str] = []
        self.connected: dict[str, Any] = {}
        self.ready: dict[str, Any] = {}

    async def open(self, transport: str) -> dict[str, Any]:
        """Do the Engine.IO handshake; return the data of the OPEN packet."""
        query = {"EIO": "4", "transport": transport}
        if transport == "websocket":
            self._socket = await self._http.ws_connect(self._url, params=query)
        else:
            await self._poll(query)
        packet = await self.receive("0")
        handshake: dict[str, Any] = json.loads(packet[1:])
        self.eio_sid = handshake["sid"]
        return handshake

    async def connect(self, auth: dict[str, Any] | None = None) -> None:
        """Connect to the main namespace, and wait for the event ``ready``."""
        await self.send("40" + ("" if auth is None else json.dumps(auth)))
        packet = await self.receive("40", "44")
        if packet.startswith("44"):
            raise ConnectionRefusedError(json.loads(packet[2:]))
        self.connected = json.loads(packet[2:])
        secrets.note(self.connected.get("pid", ""))
        self.ready = json.loads((await self.receive('42["ready"'))[2:])[1]

    async def send(self, packet: str) -> None:
        """Send one packet."""
        if self._socket is not None:
            await self._socket.send_str(packet)
            return
        query = {"EIO": "4", "transport": "polling", "sid": self.eio_sid}
        async with self._http.post(
            self._url, params=query, data=io.BytesIO(packet.encode())
        ) as response:
            if response.status != 200:
                raise Closed(response.status)

    async def receive(self, *prefixes: str) -> str:
        """Return the next packet with one of these prefixes; answer pings, ignore other packets.

        Raises:
            Closed: the server has closed the connection.
        """
        while True:
            while self._packets:
                packet = self._packets.pop(0)
                if packet == "2":
                    await self.send("3")
                elif packet == "1":
                    raise Closed(None)
                elif packet.startswith(prefixes):
                    if not packet.startswith("40"):  # the answer with the ``pid``
                        secrets.check(packet, "a packet")
                    return packet
            if self._socket is not None:
                message = await self._socket.receive(TIMEOUT)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise Closed(self._socket.close_code)
                self._packets.append(str(message.data))
            else:
                await self._poll({"EIO": "4", "transport": "polling", "sid": self.eio_sid})

    async def _poll(self, query: dict[str, str]) -> None:
        async with asyncio.timeout(TIMEOUT), self._http.get(self._url, params=query) as response:
            if response.status != 200:
                raise Closed(response.status)
            self._packets += (await response.text()).split("\x1e")

    async def call(self, event: str, argument: str, ack_id: int = 7) -> dict[str, Any]:
        """Emit an event with an argument in JSON; return the acknowledgement."""
        await self.send(f"42{ack_id}[{json.dumps(event)},{argument}]")
        packet = await self.receive(f"43{ack_id}[")
        (answer,) = json.loads(packet.removeprefix(f"43{ack_id}"))
        decoded: dict[str, Any] = answer
        return decoded

    async def close(self) -> None:
        """Close the WebSocket, if there is one."""
        if self._socket is not None:
            await self._socket.close()


@asynccontextmanager
async def raw_socketio(
    url: str,
    transport: str,
    auth: dict[str, Any] | None = None,
    *,
    address: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
    path: str = "/socket.io/",
) -> AsyncIterator[RawSocketIO]:
    """Open a connected raw Socket.IO client, from this address of the loopback interface."""
    # A connection for each request: one that idles may be closed just when it is used again.
    connector = aiohttp.TCPConnector(force_close=True, local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        client = RawSocketIO(http, url, path)
        try:
            await client.open(transport)
            await client.connect(auth)
            yield client
        finally:
            await client.close()
