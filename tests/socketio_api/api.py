"""Servers in the test's process, and clients that record all received events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import socketio

from sio_server.engine import Server
from tests.support.engine import serving
from tests.support.raw import Closed, RawSocketIO

TIMEOUT = 10
"""Seconds after which a test that waits for something fails."""

Calls = list[tuple[Any, ...]]
"""What handlers were called with."""


async def until(condition: Callable[[], Any], description: str) -> Any:
    """Return the condition's first true value; fail after the timeout with this description."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while not (value := condition()):
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {TIMEOUT} s: {description}") from None
    return value


class Client(socketio.AsyncClient):
    """python-socketio's client, which records the events of every namespace.

    Attributes:
        received: the events, each with its namespace, its name and its arguments.
        errors: the data of refused connects, each with its namespace.
        left: the namespaces that were disconnected, each with the reason.
        answers: the acknowledgement of each event, by the event's name.
    """

    def __init__(self) -> None:
        super().__init__(reconnection=False)
        self.received: list[tuple[Any, ...]] = []
        self.errors: list[tuple[Any, ...]] = []
        self.left: list[tuple[str, str]] = []
        self.answers: dict[str, Any] = {}
        self.on("*", self._note, namespace="*")
        self.on("connect_error", lambda *error: self.errors.append(error), namespace="*")
        self.on("disconnect", lambda *reason: self.left.append(reason), namespace="*")

    def _note(self, event: str, namespace: str, *arguments: Any) -> Any:
        self.received.append((namespace, event, *arguments))
        return self.answers.get(event)

    async def get(self, event: str, namespace: str = "/") -> tuple[Any, ...]:
        """Wait for the first event of this name; return its arguments."""

        def find() -> list[Any]:
            return [got for got in self.received if got[:2] == (namespace, event)]

        found = await until(find, f"{event} in {namespace}")
        return tuple(found[0][2:])

    async def before_end(self, server: Server, namespace: str = "/") -> list[tuple[Any, ...]]:
        """Return the events that the server has sent in a namespace until now."""
        self.received = [got for got in self.received if got[:2] != (namespace, "end")]
        await server.emit("end", to=self.get_sid(namespace), namespace=namespace)
        await self.get("end", namespace)
        return [got[1:] for got in self.received if got[0] == namespace and got[1] != "end"]


class Clients:
    """Open clients of one server, and close them.

    Args:
        url: the server's URL.
        transport: the transport of a client that is opened without one.
    """

    def __init__(self, url: str, transport: str) -> None:
        self.url = url
        self._transport = transport
        self._open: list[Client] = []

    async def __call__(
        self, *namespaces: str, transport: str | None = None, wait: bool = True, **options: Any
    ) -> Client:
        """Connect a client to namespaces, to the main one if none is named.

        Raises:
            socketio.exceptions.ConnectionError: one of them was refused.
        """
        client = Client()
        self._open.append(client)
        await client.connect(
            self.url,
            transports=[transport or self._transport],
            namespaces=list(namespaces) or ["/"],
            wait=wait,
            wait_timeout=TIMEOUT,
            **options,
        )
        return client

    async def refused(self, *namespaces: str, **options: Any) -> list[tuple[Any, ...]]:
        """Try to connect; return each refused namespace with the data of its CONNECT_ERROR."""
        try:
            await self(*namespaces, **options)
        except socketio.exceptions.ConnectionError:
            return self._open[-1].errors
        raise AssertionError("the client was accepted")

    async def close(self) -> None:
        """Disconnect all clients, and cancel the tasks of already disconnected ones.

        python-engineio's client loses the CLOSE packet if it disconnects during a POST. Then its
        last GET waits for the next ping.
        """
        for client in self._open:
            if client.eio.state == "connected" and client.eio.write_loop_task is not None:
                await client.eio.queue.join()
            await client.disconnect()
            for task in (client.eio.read_loop_task, client.eio.write_loop_task):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait([task])
            if client.eio.http is not None:
                await client.eio.http.close()


@asynccontextmanager
async def clients_of(server: Any, transport: str = "websocket") -> AsyncIterator[Clients]:
    """Serve a server; yield a function that opens its clients."""
    async with serving(server) as url:
        clients = Clients(url, transport)
        try:
            yield clients
        finally:
            await clients.close()


class Raw(RawSocketIO):
    """A session that sends and receives raw packets.

    Attributes:
        handshake: the data of the OPEN packet.
    """

    handshake: dict[str, Any]

    async def join(self, namespace: str = "/") -> str:
        """Join a namespace; return the sid in it."""
        prefix = "40" if namespace == "/" else f"40{namespace},"
        await self.send(prefix)
        sid: str = json.loads((await self.receive(prefix)).removeprefix(prefix))["sid"]
        return sid

    async def try_to_send(self, packet: str) -> None:
        """Send a packet to a server that may close the connection before or during the send."""
        with suppress(Closed, ConnectionError):
            await self.send(packet)


@asynccontextmanager
async def raw(url: str, transport: str = "websocket") -> AsyncIterator[Raw]:
    """Open an Engine.IO session that has joined no namespace."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        client = Raw(http, url)
        try:
            client.handshake = await client.open(transport)
            yield client
        finally:
            await client.close()
