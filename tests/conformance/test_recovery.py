"""Connection state recovery on the wire, with sessions and events in memory.

It is the behaviour of the Node.js server with one difference: the CONNECT response comes before the
missed events. A client that loses the connection in between then shows no event twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sio_server.engine import AcceptedSession, EngineSession, Server
from tests.support.engine import serving
from tests.support.raw import Closed, RawSocketIO
from tests.support.sessions import MemorySessions

pytestmark = pytest.mark.parametrize("transport", ["websocket", "polling"])


class Scene:
    """A server with sessions, and clients that connect to it again."""

    def __init__(self, http: aiohttp.ClientSession, url: str, server: Server) -> None:
        self._http = http
        self._url = url
        self.server = server
        self.sessions: MemorySessions = server._sessions
        self.sids: list[str] = []
        self.gone: asyncio.Queue[str] = asyncio.Queue()
        server.on("connect", self._connect)
        server.on("disconnect", self._disconnect)

    async def _connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.sids.append(sid)

    async def _disconnect(self, sid: str, reason: str) -> None:
        self.gone.put_nowait(reason)

    async def open(self, transport: str) -> RawSocketIO:
        """Open an Engine.IO session."""
        client = RawSocketIO(self._http, self._url)
        await client.open(transport)
        return client

    async def connect(
        self, transport: str, auth: dict[str, Any] | None = None
    ) -> tuple[RawSocketIO, dict[str, str]]:
        """Connect a client; return it with the data of the CONNECT response."""
        client = await self.open(transport)
        await client.send("40" + ("" if auth is None else json.dumps(auth)))
        return client, json.loads((await client.receive("40"))[2:])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Return a scene."""
    async with serve(Server(sessions=MemorySessions())) as scene:
        yield scene


@asynccontextmanager
async def serve(server: Server) -> AsyncIterator[Scene]:
    """Return a scene of this server."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        serving(server) as url,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        yield Scene(http, url, server)


async def cut(scene: Scene, client: RawSocketIO) -> None:
    """End a client's transport by an Engine.IO CLOSE packet; wait until the server has noticed."""
    await client.send("1")
    assert await scene.gone.get() == "transport close"
    await client.close()


async def test_missed_events_follow_the_connect_response(transport: str, scene: Scene) -> None:
    """Events to all, to a room and to the client come in order, and before live events."""
    client, first = await scene.connect(transport)
    await scene.server.enter_room(first["sid"], "room1")
    await scene.sessions.emit(scene.server, "hello")
    assert await client.receive("42") == '42["hello","1"]'
    await cut(scene, client)
    await scene.sessions.emit(scene.server, "hello1")
    await scene.sessions.emit(scene.server, "hello2", to="room1")
    await scene.sessions.emit(scene.server, "other", to="room2")
    await scene.sessions.emit(scene.server, "hello3", to=first["sid"])
    client, second = await scene.connect(transport, {"pid": first["pid"], "offset": "1"})
    assert second == first
    await scene.sessions.emit(scene.server, "live", to="room1")
    received = [await client.receive("42") for _ in range(4)]
    assert received == [
        '42["hello1","2"]',
        '42["hello2","3"]',
        '42["hello3","5"]',
        '42["live","6"]',
    ]
    await client.close()


async def test_live_events_follow_the_missed_events(transport: str, scene: Scene) -> None:
    """This also holds for events that are emitted before the CONNECT response."""
    client, first = await scene.connect(transport)
    await cut(scene, client)
    await scene.sessions.emit(scene.server, "missed")

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await scene.server.emit("live", to=sid)

    scene.server.on("connect", connect)
    client, _ = await scene.connect(transport, {"pid": first["pid"], "offset": "0"})
    assert await client.receive("42") == '42["missed","1"]'
    assert await client.receive("42") == '42["live"]'
    await client.close()


async def test_a_recovered_session_has_its_rooms(transport: str, scene: Scene) -> None:
    """It has all rooms that the client was in when its transport ended."""
    client, first = await scene.connect(transport)
    for room in ("room1", "room2"):
        await scene.server.enter_room(first["sid"], room)
    await cut(scene, client)
    client, second = await scene.connect(transport, {"pid": first["pid"], "offset": "0"})
    assert set(scene.server.rooms(second["sid"])) == {second["sid"], "room1", "room2"}
    await client.close()


async def test_an_unknown_pid_opens_a_new_session(transport: str, scene: Scene) -> None:
    """The client gets a new sid and a new pid."""
    client, answer = await scene.connect(transport, {"pid": "foo", "offset": "bar"})
    assert answer["pid"] != "foo"
    assert scene.sids == [answer["sid"]]
    await client.close()


async def test_a_session_ends_if_its_client_disconnects(transport: str, scene: Scene) -> None:
    """The client can't recover it after its DISCONNECT."""
    client, first = await scene.connect(transport)
    await client.send("41")
    assert await scene.gone.get() == "client disconnect"
    await client.close()
    client, second = await scene.connect(transport, {"pid": first["pid"], "offset": "0"})
    assert second["sid"] != first["sid"]
    await client.close()


async def test_a_session_ends_if_the_server_disconnects_its_client(
    transport: str, scene: Scene
) -> None:
    """The client can't recover it after the server's DISCONNECT."""
    client, first = await scene.connect(transport)
    await scene.server.disconnect(first["sid"])
    assert await client.receive("41") == "41"
    assert first["pid"] not in scene.sessions.by_pid
    await client.close()


async def test_the_newest_connection_supersedes_the_older(transport: str, scene: Scene) -> None:
    """The server closes the older connection without a DISCONNECT."""
    older, first = await scene.connect(transport)
    await scene.server.enter_room(first["sid"], "room1")
    newer, second = await scene.connect(transport, {"pid": first["pid"], "offset": "0"})
    assert second == first
    with pytest.raises(Closed):
        raise AssertionError(await older.receive("41", "42"))
    await scene.sessions.emit(scene.server, "hello", to="room1")
    assert await newer.receive("42") == '42["hello","1"]'
    assert len(scene.server.eio.sockets) == 1
    await newer.close()


async def test_one_of_many_simultaneous_recoveries_stays(transport: str, scene: Scene) -> None:
    """The order of their connect handlers does not matter."""
    client, first = await scene.connect(transport)
    await cut(scene, client)

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    scene.server.on("connect", connect)
    auth = {"pid": first["pid"], "offset": "0"}
    clients = [await scene.open(transport) for _ in range(5)]
    for client in clients:
        await client.send("40" + json.dumps(auth))

    async def is_closed(client: RawSocketIO) -> bool:
        try:
            await client.receive('42["last"')
        except Closed:
            return True
        return False

    waiting = [asyncio.ensure_future(is_closed(client)) for client in clients]
    async with asyncio.timeout(10):
        while len(scene.server.eio.sockets) > 1:
            await asyncio.sleep(0.01)
    await scene.server.emit("last")
    async with asyncio.timeout(10):
        closed = await asyncio.gather(*waiting)
    assert sorted(closed) == [False, True, True, True, True]
    for client in clients:
        await client.close()


async def test_an_unavailable_store_closes_the_transport(transport: str, scene: Scene) -> None:
    """A CONNECT_ERROR would make the client give up its session."""
    client, first = await scene.connect(transport)
    await cut(scene, client)
    scene.sessions.reachable = False
    client = await scene.open(transport)
    with pytest.raises(Closed):
        await client.send("40" + json.dumps({"pid": first["pid"], "offset": "0"}))
        raise AssertionError(await client.receive("4"))
    await client.close()
    scene.sessions.reachable = True
    client, second = await scene.connect(transport, {"pid": first["pid"], "offset": "0"})
    assert second == first
    await client.close()


async def test_without_sessions_there_is_no_pid(transport: str) -> None:
    """The Node.js server does the same without recovery."""
    server = Server(namespaces=["/"])
    async with (
        serving(server) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
    ):
        client = RawSocketIO(http, url)
        await client.open(transport)
        await client.send('40{"pid":"foo","offset":"bar"}')
        assert set(json.loads((await client.receive("40"))[2:])) == {"sid"}
        await client.close()


class SlowSessions(MemorySessions):
    """A store that answers late.

    Attributes:
        asked: set once the store is asked.
        answers: the store answers once this is set.
        ended: the sids that have left, each with ``permanently``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.ended: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Answer once ``answers`` is set."""
        opening = await super().open(session, namespace, auth)
        self.asked.set()
        await self.answers.wait()
        return opening

    async def disconnected(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Record the call."""
        self.ended.put_nowait((sid, permanently))


async def test_a_session_leaves_if_its_client_is_gone_before_the_connect_response(
    transport: str,
) -> None:
    """Otherwise the store would count it as connected permanently."""
    sessions = SlowSessions()
    async with serve(Server(sessions=sessions)) as scene:
        client = await scene.open(transport)
        sending = asyncio.ensure_future(client.send("40"))
        await sessions.asked.wait()
        (session,) = scene.server.eio.sockets.values()
        session.end("ping timeout")
        async with asyncio.timeout(5):
            while scene.server.eio.sockets:
                await asyncio.sleep(0)
            sessions.answers.set()
            (stored,) = sessions.by_pid.values()
            assert await sessions.ended.get() == (stored.sid, False)
        await asyncio.gather(sending, return_exceptions=True)
        await client.close()
