"""The namespace of the official Socket.IO Admin UI, for one administrator. It changes nothing.

The UI sees the numbers of this server and its Socket.IO clients. It never sees the headers or the
query of a handshake, because they may have credentials, nor an Engine.IO sid, which is a secret.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

from aiohttp import web

from sio_server.access.administrators import Administrator
from sio_server.contract import strictjson
from sio_server.contract.errors import RateLimited
from sio_server.contract.events import format_timestamp, now_timestamp
from sio_server.endpoints.gate import Gate
from sio_server.endpoints.socketio_client import SocketIOClient
from sio_server.endpoints.socketio_door import SocketIODoor
from sio_server.engine import AcceptedSession, CountedEngineSession, EngineSession, Refused, Server
from sio_server.hub import Hub
from sio_server.logs import get_logger
from sio_server.settings import Settings

log = get_logger("sio_server")

NAMESPACE = "/admin"

FEATURES = ["AGGREGATED_EVENTS", "ALL_EVENTS"]
"""The UI's names for the numbers, and for the lists of clients and rooms."""

STATS_SECONDS = 2.0
"""The time between two reports. The UI takes a server without any for 10 seconds as unhealthy."""

MAX_LISTED_BYTES = 131_072
"""How much JSON the listed clients may have, so that a report fits into a client's buffer."""

MAX_LISTED_ROOMS = 10
"""How many rooms of a client are listed."""

Listed = dict[str, dict[str, Any]]
"""By sid: a client, as the UI expects it."""


class AdminUi:
    """Reports the state of a Socket.IO server to its administrator.

    Args:
        administrator: checks the name and the password.
        watched: the Socket.IO server with the consumers.
        hub: knows whether the server drains.
        gate: checks origins, and counts connections and refusals.
    """

    def __init__(self, administrator: Administrator, watched: Server, hub: Hub, gate: Gate) -> None:
        self._administrator = administrator
        self._watched = watched
        self._door = SocketIODoor(hub, gate)
        self._server: Server
        self._id = f"{socket.gethostname()}#{os.getpid()}"
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()  # since the last report
        self._sessions = 0  # open at the last report
        self._listed: Listed = {}
        self._administrators: set[str] = set()  # sids
        self._reports: asyncio.Task[None] | None = None
        watched.count_traffic(self._count)

    def serve_on(self, server: Server) -> None:
        """Serve the namespace on a Socket.IO server."""
        self._server = server
        server.on("connect", self._connect, namespace=NAMESPACE)
        server.on("disconnect", self._disconnect, namespace=NAMESPACE)

    def add_routes(self, app: web.Application, settings: Settings) -> None:
        """Serve the namespace on a Socket.IO server of its own, which has no other one."""
        server = Server(
            sessions=self,
            namespaces=[NAMESPACE],
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_message_bytes=settings.max_message_bytes,
            max_payload_bytes=settings.max_batch_bytes,
            max_buffer_bytes=settings.max_buffer_bytes,
            connect_timeout=settings.connect_timeout,
            binary=False,
            door=self._door,
        )
        server.attach(app)
        self.serve_on(server)

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Let the administrator connect; see ``SessionRegistry``."""
        client = cast("SocketIOClient", session.guest)
        try:
            self._door.count_connect(client)
        except RateLimited as error:
            raise Refused(error.message, error.as_dict()) from None
        if not await self._administrator.check(auth, client.source):
            raise Refused("invalid credentials")
        log.info("admin_connected", address=client.source.address)
        return AcceptedSession()

    async def disconnected(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Store nothing; see ``SessionRegistry``."""

    async def _connect(self, sid: str, environ: Any, auth: Any) -> None:
        if self._reports is None:
            self._counts.clear()
            self._sessions = len(self._watched.eio.sockets)
            self._listed = list_clients(self._watched)
            self._reports = asyncio.create_task(self._report())
        self._administrators.add(sid)
        await self._emit("config", {"supportedFeatures": FEATURES}, to=sid)
        await self._emit("all_sockets", list(self._listed.values()), to=sid)
        await self._emit("server_stats", self._stats(), to=sid)

    async def _disconnect(self, sid: str, reason: str) -> None:
        self._administrators.discard(sid)
        if not self._administrators and self._reports is not None:
            self._reports.cancel()
            self._reports = None

    async def _emit(self, event: str, *arguments: Any, to: str | None = None) -> None:
        await self._server.emit(event, arguments, to=to, namespace=NAMESPACE)

    def _count(self, kind: str, number: int = 1) -> None:
        if self._reports is not None:
            self._counts[kind] += number

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(STATS_SECONDS)
            before, self._listed = self._listed, list_clients(self._watched)
            for event, arguments in changes(before, self._listed, now_timestamp()):
                await self._emit(event, *arguments)
            sessions = len(self._watched.eio.sockets)
            closed = self._sessions + self._counts["rawConnection"] - sessions
            if closed:
                self._counts["rawDisconnection"] = closed
            self._sessions = sessions
            await self._emit("server_stats", self._stats())
            self._counts.clear()

    def _stats(self) -> dict[str, Any]:
        now = int(time.time()) * 1000
        sessions = self._watched.eio.sockets.values()
        return {
            "serverId": self._id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._started,
            "clientsCount": len(sessions),
            "pollingClientsCount": sum(not session.upgraded for session in sessions),
            "aggregatedEvents": [
                {"timestamp": now, "type": kind, "count": count}
                for kind, count in self._counts.items()
            ],
            "namespaces": [
                {"name": "/", "socketsCount": sum(1 for _ in self._watched.clients("/"))},
                {"name": NAMESPACE, "socketsCount": len(self._administrators)},
            ],
        }


def list_clients(server: Server) -> Listed:
    """Return the clients of a Socket.IO server, the oldest first, up to ``MAX_LISTED_BYTES``."""
    listed: Listed = {}
    size = 0
    for sid, session in server.clients("/"):
        client = session.guest
        if not isinstance(client, SocketIOClient) or client.connection is None:
            continue
        it = describe(sid, session, client)
        size += len(strictjson.dumps(it))
        if size > MAX_LISTED_BYTES:
            break
        listed[sid] = it
    return listed


def describe(sid: str, session: EngineSession, client: SocketIOClient) -> dict[str, Any]:
    """Return one client as the UI expects it."""
    assert client.connection is not None
    assert isinstance(session, CountedEngineSession)
    return {
        "id": sid,
        "clientId": sid,
        "transport": session.transport.name,
        "nsp": "/",
        "data": {"identity": str(client.connection.principal.identity)},
        "handshake": {
            "address": client.source.address,
            "issued": session.opened_at,
            "time": format_timestamp(session.opened_at),
            "secure": client.source.base.startswith("https:"),
            "headers": {},
            "query": {},
        },
        "rooms": sorted(islice(client.connection.cursor.rooms, MAX_LISTED_ROOMS)),
    }


def changes(before: Listed, after: Listed, timestamp: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return the events, with their arguments, that tell a UI of the difference of two lists."""
    for sid in before.keys() - after.keys():
        yield "socket_disconnected", ("/", sid, "left", timestamp)
    for sid, now in after.items():
        if sid not in before:
            yield "socket_connected", (now, timestamp)
            continue
        then = before[sid]
        for room in sorted(set(then["rooms"]) - set(now["rooms"])):
            yield "room_left", ("/", room, sid, timestamp)
        for room in sorted(set(now["rooms"]) - set(then["rooms"])):
            yield "room_joined", ("/", room, sid, timestamp)
        if then["transport"] != now["transport"]:
            yield "socket_updated", ({"id": sid, "nsp": "/", "transport": now["transport"]},)
