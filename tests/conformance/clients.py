"""Clients that send exactly the given packets, and return all received packets.

An Engine.IO client is one of three kinds: ``polling``, ``websocket``, or ``upgraded``, which starts
with polling. ``SocketIO`` works over each of them.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

TIMEOUT = 20
"""Seconds after which a test that waits for something fails."""

SEPARATOR = "\x1e"
POLLING, WEBSOCKET, UPGRADED = TRANSPORTS = ("polling", "websocket", "upgraded")

Packet = str | bytes


class SessionEnded(Exception):
    """The server has ended the session, or refused the connection."""


class Polling:
    """A client that polls.

    Args:
        http: sends the requests.
        url: the URL of the server's Engine.IO path.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.query = {"EIO": "4", "transport": "polling"}
        self.handshake: dict[str, Any] = {}
        self._received: deque[Packet] = deque()

    async def open(self) -> None:
        """Open a session."""
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        self.handshake = json.loads(packet[1:])
        self.query["sid"] = self.handshake["sid"]

    async def request(self, method: str, **options: Any) -> tuple[int, str]:
        """Send any request within the session; return the status and the body of the response."""
        async with (
            asyncio.timeout(TIMEOUT),
            self.http.request(method, self.url, params=self.query, **options) as response,
        ):
            return response.status, await response.text()

    async def get(self) -> tuple[int, str]:
        """Poll once; return the status and the body of the response."""
        return await self.request("GET")

    async def post(self, body: str | bytes) -> tuple[int, str]:
        """Post a body unchanged; return the status and the body of the response."""
        return await self.request("POST", data=body)

    async def send(self, *packets: Packet) -> None:
        """Send packets in one body."""
        status, answer = await self.post(SEPARATOR.join(_for_polling(packet) for packet in packets))
        if status != 200:
            raise SessionEnded(status)
        assert answer == "ok"

    async def receive(self) -> Packet:
        """Return the next packet; poll if none has been received."""
        while not self._received:
            status, body = await self.get()
            if status != 200:
                raise SessionEnded(status)
            self._received.extend(_from_polling(packet) for packet in body.split(SEPARATOR))
        return self._received.popleft()

    async def leave(self) -> None:
        """End the session, unless it has ended already."""
        await self.post("1")


class WebSocket:
    """A client on a WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.handshake: dict[str, Any] = {}

    async def open(self) -> None:
        """Receive the OPEN packet of a new session."""
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        self.handshake = json.loads(packet[1:])

    async def send(self, *packets: Packet) -> None:
        """Send each packet as one message."""
        for packet in packets:
            if isinstance(packet, str):
                await self.socket.send_str(packet)
            else:
                await self.socket.send_bytes(packet)

    async def receive(self) -> Packet:
        """Return the next packet."""
        message = await self.socket.receive(TIMEOUT)
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise SessionEnded(self.socket.close_code)
        packet: Packet = message.data
        return packet

    async def leave(self) -> None:
        """Close the WebSocket, which ends the session."""
        await self.socket.close()


Client = Polling | WebSocket


def _for_polling(packet: Packet) -> str:
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()


def _from_polling(packet: str) -> Packet:
    return base64.b64decode(packet[1:], validate=True) if packet[:1] == "b" else packet


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client that uses a new connection for each request."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http


@asynccontextmanager
async def polling(url: str) -> AsyncIterator[Polling]:
    """Open a session by polling; end it afterwards."""
    async with http_client() as http:
        client = Polling(http, url)
        await client.open()
        try:
            yield client
        finally:
            await client.leave()


@asynccontextmanager
async def websocket(url: str) -> AsyncIterator[WebSocket]:
    """Open a session on a WebSocket."""
    query = {"EIO": "4", "transport": "websocket"}
    async with http_client() as http, http.ws_connect(url, params=query) as socket:
        client = WebSocket(socket)
        await client.open()
        yield client


@asynccontextmanager
async def second_socket(client: Polling, **changes: str) -> AsyncIterator[WebSocket]:
    """Open a WebSocket within a polling session: the first step of an upgrade.

    Args:
        client: the polling client.
        changes: query parameters that differ from a correct client's.
    """
    query = {**client.query, "transport": "websocket", **changes}
    try:
        socket = await client.http.ws_connect(client.url, params=query)
    except aiohttp.WSServerHandshakeError as error:
        raise SessionEnded(error.status) from None
    async with socket:
        yield WebSocket(socket)


async def probe(socket: WebSocket) -> None:
    """Send the probe and receive its answer: the second step of an upgrade."""
    await socket.send("2probe")
    assert await socket.receive() == "3probe"


async def upgrade(socket: WebSocket) -> None:
    """Do all steps of an upgrade after the first."""
    await probe(socket)
    await socket.send("5")


@asynccontextmanager
async def upgraded(url: str) -> AsyncIterator[WebSocket]:
    """Open a session by polling, and upgrade it to a WebSocket."""
    async with polling(url) as first, second_socket(first) as client:
        client.handshake = first.handshake
        await upgrade(client)
        yield client


def connected(url: str, transport: str) -> Any:
    """Open a session by one of ``TRANSPORTS``; return an asynchronous context of its client."""
    return {POLLING: polling, WEBSOCKET: websocket, UPGRADED: upgraded}[transport](url)


async def read_to_end(client: Client) -> list[Packet]:
    """Return all packets until the server ends the session."""
    packets = []
    try:
        async with asyncio.timeout(TIMEOUT):
            while True:
                packets.append(await client.receive())
    except SessionEnded:
        return packets


async def wait_until_handled(url: str) -> None:
    """Wait until the server has handled all earlier packets, by two requests of another session."""
    async with polling(url) as client:
        await client.send("3")


class SocketIO:
    """A Socket.IO client. Its packets have no Engine.IO packet type in front."""

    def __init__(self, carrier: Client) -> None:
        self.carrier = carrier

    async def send(self, packet: str, *attachments: bytes) -> None:
        """Send a packet and its attachments."""
        await self.carrier.send("4" + packet, *attachments)

    async def receive(self) -> Packet:
        """Return the next packet, or the next attachment."""
        packet = await self.carrier.receive()
        if isinstance(packet, bytes):
            return packet
        assert packet[:1] == "4", packet
        return packet[1:]

    async def connect(self, namespace: str = "/", auth: dict[str, Any] | None = None) -> str:
        """Connect to a namespace of the conformance server; return the client's sid."""
        there = namespace_prefix(namespace)
        await self.send(f"0{there}{'' if auth is None else json.dumps(auth)}")
        answer = await self.receive()
        assert isinstance(answer, str)
        assert answer.startswith(f"0{there}{{")
        auth_event = json.dumps(["auth", auth or {}], separators=(",", ":"))
        assert await self.receive() == f"2{there}{auth_event}"
        sid: str = json.loads(answer.removeprefix(f"0{there}"))["sid"]
        return sid

    async def echo(self, word: str, namespace: str = "/") -> None:
        """Send a message and receive its echo, so that all earlier packets have been answered."""
        await self.send(f'2{namespace_prefix(namespace)}["message","{word}"]')
        assert await self.receive() == f'2{namespace_prefix(namespace)}["message-back","{word}"]'


def namespace_prefix(namespace: str) -> str:
    """Return a namespace as it stands in a packet."""
    return "" if namespace == "/" else f"{namespace},"


@asynccontextmanager
async def socketio(url: str, transport: str, *namespaces: str) -> AsyncIterator[SocketIO]:
    """Open a client that is connected to these namespaces."""
    async with connected(url, transport) as carrier:
        client = SocketIO(carrier)
        for namespace in namespaces:
            await client.connect(namespace)
        yield client
