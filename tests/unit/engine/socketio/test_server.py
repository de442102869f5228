"""The Socket.IO server: its decision on each packet, and its sessions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError as Refused

from sio_server.engine import AcceptedSession, EngineSession, Server
from sio_server.engine.engineio.door import ANYBODY
from tests.support.engine import RecordingTransport, make_request
from tests.support.sessions import MemorySessions


class Client:
    """An Engine.IO session of a server, and its packets.

    Attributes:
        session: the session.
        packets: the packets that the server has sent.
    """

    def __init__(self, server: Server) -> None:
        eio = server.eio
        self.session: EngineSession = eio.make_session(eio, eio.generate_id(), make_request())
        transport = RecordingTransport()
        self.session.transport = transport
        self.packets = transport.packets
        eio.sockets[self.session.sid] = self.session

    async def send(self, *packets: str | bytes) -> None:
        """Send Socket.IO packets, and wait until their handlers have ended."""
        for packet in packets:
            wait = self.session.message_received(
                packet if isinstance(packet, bytes) else f"4{packet}"
            )
            if wait is not None:
                await wait
        while self.session.handlers._tasks:
            await asyncio.wait(self.session.handlers._tasks)

    async def connect(self, auth: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Connect to the main namespace; return the data of the response."""
        await self.send("0" + (json.dumps(auth) if auth else ""))
        data: dict[str, str] = json.loads(str(self.packets[0])[2:])
        return data


@pytest.fixture
async def server() -> Server:
    """Return a server with a handler for all events, which returns their names."""
    server = Server()
    server.on("*", lambda event, sid, *arguments: event)
    return server


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1, "other": 2}, "unknown options: nonsense, other"),
        ({"namespaces": "/chat"}, "namespaces must be a list"),
        ({"logger": True}, "unknown options: logger"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    """The error names all unknown options."""
    with pytest.raises(TypeError, match=message):
        Server(**options)


async def test_a_connected_client_gets_its_acknowledgement(server: Server) -> None:
    """The main namespace needs no handler."""
    client = Client(server)
    data = await client.connect()
    assert list(data) == ["sid"]
    await client.send('27["hello"]')
    assert client.packets[1:] == ['437["hello"]']


@pytest.mark.parametrize(
    "packets",
    [
        ["0", "0"],
        ['2["x"]'],
        ["0", '2/other,["x"]'],
        ["0", ""],
        ["0", b"stray"],
        ["0", '51-["x",{"_placeholder":true,"num":0}]', "2"],
        ['51-["x",{"_placeholder":true,"num":0}]'],
    ],
    ids=repr,
)
async def test_a_packet_at_the_wrong_time_closes_the_session(
    server: Server, packets: list[str | bytes]
) -> None:
    """It is a second CONNECT, for an unconnected namespace, empty, or no attachment."""
    client = Client(server)
    await client.send(*packets)
    assert client.session.closed
    assert (server.eio.sockets, server.manager.rooms, server._binary_packet) == ({}, {}, {})


async def test_an_event_with_attachments_is_handled_with_its_last_one(server: Server) -> None:
    """Until then it waits."""
    client = Client(server)
    await client.connect()
    event = '52-1["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    await client.send(event, b"one")
    assert len(client.packets) == 1
    await client.send(b"two")
    assert client.packets[1:] == ['431["x"]']
    assert server._binary_packet == {}


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (Refused("not you"), {"message": "not you"}),
        (ConnectionRefusedError("secret"), {"message": "Connection refused by server"}),
        (ValueError("secret"), {"message": "Connection refused by server"}),
    ],
    ids=repr,
)
async def test_a_connect_handler_refuses_by_an_exception(error: Exception, data: Any) -> None:
    """Only python-socketio's own exception reaches the client; the manager keeps nothing."""
    server = Server()

    def connect(sid: str, environ: dict[str, Any]) -> None:
        raise error

    server.on("connect", connect)
    client = Client(server)
    await client.send("0")
    assert [json.loads(str(packet)[2:]) for packet in client.packets] == [data]
    assert server.manager.rooms == {}
    assert not client.session.closed


async def test_missed_events_follow_the_connect_response_and_precede_held_events() -> None:
    """``connected`` is called after them; what it writes is live."""
    sessions, order = MemorySessions(), []
    server = Server(sessions=sessions, connected=lambda sid, namespace: order.append(sid))
    first = Client(server)
    stored = await first.connect()
    first.session.end("transport close")
    await first.send()
    await sessions.emit(server, "missed")

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.emit("held", to=sid)

    server.on("connect", connect)
    second = Client(server)
    assert await second.connect({"pid": stored["pid"], "offset": "0"}) == stored
    assert second.packets[1:] == ['42["missed","1"]', '42["held"]']
    assert order == [stored["sid"]] * 2


async def test_a_recovered_session_supersedes_its_older_connection() -> None:
    """The older connection ends without a DISCONNECT, and leaves its rooms to the newer one."""
    sessions = MemorySessions()
    server = Server(sessions=sessions)
    older, newer = Client(server), Client(server)
    stored = await older.connect()
    await server.enter_room(stored["sid"], "oak")
    assert await newer.connect({"pid": stored["pid"], "offset": "0"}) == stored
    assert older.session.closed
    assert len(older.packets) == 1
    assert set(server.rooms(stored["sid"])) == {stored["sid"], "oak"}


async def test_unavailable_sessions_close_the_transport_without_an_error() -> None:
    """After a CONNECT_ERROR, the client would give up its session."""
    server = Server(sessions=MemorySessions(reachable=False))
    client = Client(server)
    await client.send("0")
    assert (client.packets, client.session.closed) == ([], True)


@pytest.mark.parametrize(
    ("leave", "permanently"), [("client", True), ("server", True), ("transport", False)]
)
async def test_only_a_disconnect_is_permanent(leave: str, permanently: bool) -> None:
    """A client can recover its session after the end of its transport."""
    server = Server(sessions=(sessions := MemorySessions()))
    client = Client(server)
    sid = (await client.connect())["sid"]
    await server.enter_room(sid, "oak")
    if leave == "client":
        await client.send("1")
    elif leave == "server":
        await server.disconnect(sid)
    else:
        client.session.end("transport close")
        await client.send()
    (left,) = sessions.left
    assert (left.sid, left.rooms, left.permanently) == (sid, ["oak"], permanently)
    assert server.manager.rooms == {}


@pytest.mark.parametrize("is_removed", [False, True])
async def test_a_client_that_closes_during_its_connect_handler_leaves(is_removed: bool) -> None:
    """It gets no response, and its session is reported as left, with the guest that it had.

    The session may have been removed before the report. It forgets its guest after it.
    """

    class Sessions(MemorySessions):
        async def open(
            self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
        ) -> AcceptedSession:
            session.end("transport close")
            while is_removed and session.sid in server.eio.sockets:
                await asyncio.sleep(0)
            return await super().open(session, namespace, auth)

    server = Server(sessions=(sessions := Sessions()))
    client = Client(server)
    client.session.guest = guest = type(ANYBODY)()
    await client.send("0")
    (left,) = sessions.left
    assert (left.guest, left.permanently) == (guest, False)
    assert (client.packets, server.manager.rooms) == ([], {})
    assert client.session.guest is ANYBODY


async def test_engine_session_returns_the_session_of_a_client(server: Server) -> None:
    """It returns None for a client that has left."""
    client = Client(server)
    sid = (await client.connect())["sid"]
    assert server.engine_session(sid) is client.session
    await client.send("1")
    assert server.engine_session(sid) is None
