"""The front: accepted connections are counted, and opened in the turns of their networks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from sio_server.net.front import OPENS, HttpFront
from sio_server.net.front_context import Entered, FrontLimits
from sio_server.net.handler import FrontHandler
from sio_server.net.listening import Listener, bind
from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse

CROWD, NEWCOMER = "127.0.0.2", "127.0.0.3"
CROWD_SIZE = 40
TIMEOUT = 10
POLL = b"GET /engine/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n"


class PeersResponder:
    """Notes the peers, in the order of their requests."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answer with the peer."""
        self.peers.append(request.peer)
        return HttpResponse(200, request.peer.encode(), TEXT)

    def refuse_head(self) -> HttpResponse:
        """Fail: no head is too large."""
        raise AssertionError


class Count:
    """Counts the connections of each address.

    Args:
        limit: how many connections an address may have.
    """

    def __init__(self, limit: int = 1_000) -> None:
        self.limit = limit
        self.addresses: list[str] = []

    def enter(self, address: str) -> Entered | None:
        """Count a connection."""
        if self.addresses.count(address) >= self.limit:
            return None
        self.addresses.append(address)
        return Entered(address, lambda: self.addresses.remove(address))


@asynccontextmanager
async def listening(
    count: Count, responder: PeersResponder
) -> AsyncIterator[tuple[Callable[[str], socket.socket], HttpFront]]:
    """Serve; yield a function that connects from an address and sends a request, and the front."""

    def no_handler(front: object) -> FrontHandler:
        raise AssertionError

    front = HttpFront(responder, "/engine/", no_handler, FrontLimits(enter=count.enter))
    listener = Listener(await bind(["127.0.0.1"], 0), front.accept)
    clients: list[socket.socket] = []

    def connect(address: str) -> socket.socket:
        server = ("127.0.0.1", listener.port)
        clients.append(socket.create_connection(server, source_address=(address, 0)))
        clients[-1].sendall(POLL)
        clients[-1].setblocking(False)
        return clients[-1]

    with closing(listener):
        yield connect, front
    front.abort()
    for it in clients:
        it.close()


async def received(client: socket.socket) -> bytes:
    """Return what arrives next; nothing at the end, or after a reset."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await asyncio.get_running_loop().sock_recv(client, 1_000)
    except ConnectionResetError:
        return b""


async def test_a_newcomer_does_not_wait_behind_a_crowd() -> None:
    """The networks take turns. The crowd came first, and all its connections were accepted."""
    responder = PeersResponder()
    async with listening(Count(), responder) as (connect, _):
        for _ in range(CROWD_SIZE):
            connect(CROWD)
        newcomer = connect(NEWCOMER)
        assert b"200 OK" in await received(newcomer)
        assert responder.peers.index(NEWCOMER) <= 2 * OPENS
        async with asyncio.timeout(TIMEOUT):
            while len(responder.peers) <= CROWD_SIZE:
                await asyncio.sleep(0)


async def test_a_connection_over_the_limit_is_closed_at_once() -> None:
    """The others count until they end."""
    count = Count(2)
    async with listening(count, PeersResponder()) as (connect, _):
        first, second, third = (connect(CROWD) for _ in range(3))
        assert await received(third) == b""
        assert b"200 OK" in await received(first)
        assert b"200 OK" in await received(second)
        first.close()
        async with asyncio.timeout(TIMEOUT):
            while len(count.addresses) == 2:
                await asyncio.sleep(0)
        assert b"200 OK" in await received(connect(CROWD))


async def test_the_end_closes_the_connections_that_wait() -> None:
    """And those that are open."""
    async with listening(Count(), PeersResponder()) as (connect, front):
        clients = [connect(CROWD) for _ in range(CROWD_SIZE)]
        assert await received(clients[0])
        front.abort()
        for client in clients:
            while await received(client):
                pass
