"""An Engine.IO session: the effect of each packet, and its one end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from sio_server.engine.engineio.environments import Environments
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.session import EngineSession
from sio_server.net.frames import Frame
from sio_server.net.websocket_reader import FramingError
from tests.support.engine import RecordingTransport, make_request


class Owner:
    """A server that records the calls of its session."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.wait: Awaitable[None] | None = None

    def session_pong(self, session: EngineSession) -> bool:
        """Record a pong."""
        self.calls.append("pong")
        return True

    def session_close_packet(self, session: EngineSession) -> None:
        """Record a CLOSE packet."""
        self.calls.append("close packet")

    def session_protocol_error(self, session: EngineSession, error: Exception) -> None:
        """Record a protocol error."""
        self.calls.append("protocol error")

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Record a message; refuse the message «bad»."""
        if data == "bad":
            raise ProtocolError("bad")
        self.calls.append(data)
        return self.wait

    async def session_closed(self, session: EngineSession, reason: str) -> None:
        """Record the end."""
        self.calls.append(reason)


@pytest.fixture
def owner() -> Owner:
    """Return a server."""
    return Owner()


@pytest.fixture
def transport() -> RecordingTransport:
    """Return a WebSocket."""
    return RecordingTransport()


@pytest.fixture
async def session(owner: Owner, transport: RecordingTransport) -> EngineSession:
    """Return an open session."""
    session = EngineSession(owner, "sid", make_request())
    session.transport = transport
    return session


async def ended(session: EngineSession) -> None:
    """Wait until the application was told of the end."""
    while session.handlers._tasks:
        for task in list(session.handlers._tasks):
            await task


@pytest.mark.parametrize(
    ("packet", "call"), [("4text", "text"), ("4", ""), (b"\x01", b"\x01"), ("3", "pong")]
)
async def test_a_packet_reaches_the_server(
    session: EngineSession, owner: Owner, packet: str | bytes, call: Any
) -> None:
    """A binary WebSocket message is a MESSAGE packet."""
    assert session.message_received(packet) is None
    assert owner.calls == [call]


async def test_the_next_packet_waits_for_the_servers_awaitable(
    session: EngineSession, owner: Owner
) -> None:
    """The transport gets it from the session."""

    async def handle() -> None:
        pass

    owner.wait = waiting = handle()
    assert session.message_received("4x") is waiting
    await waiting


@pytest.mark.parametrize("packet", ["6", "5"])
async def test_noop_and_upgrade_packets_have_no_effect(
    session: EngineSession, owner: Owner, packet: str
) -> None:
    """An UPGRADE packet counts only during an upgrade."""
    session.message_received(packet)
    assert (owner.calls, session.closed) == ([], False)


async def test_a_close_packet_ends_the_session(
    session: EngineSession, owner: Owner, transport: RecordingTransport
) -> None:
    """The client gets no CLOSE packet in return."""
    session.message_received("1")
    await ended(session)
    assert owner.calls == ["close packet", "transport close"]
    assert (transport.packets, transport.closed) == ([], True)


@pytest.mark.parametrize("packet", ["0{}", "2", "x", "", "4bad", "b%"])
@pytest.mark.parametrize(("name", "sent"), [("websocket", []), ("polling", ["1"])])
async def test_a_bad_packet_ends_the_session(
    session: EngineSession,
    owner: Owner,
    transport: RecordingTransport,
    packet: str,
    name: str,
    sent: list[str],
) -> None:
    """A polling client gets a CLOSE packet; a WebSocket client sees its WebSocket close."""
    transport.name = name
    session.message_received(packet)
    session.message_received("4later")
    await ended(session)
    assert owner.calls == ["protocol error", "transport error"]
    assert (transport.packets, transport.closed) == (sent, True)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (None, ["transport close"]),
        (FramingError(1002, "bad frame"), ["protocol error", "transport error"]),
    ],
)
async def test_a_closed_websocket_ends_its_session(
    session: EngineSession, owner: Owner, error: FramingError | None, calls: list[str]
) -> None:
    """A framing error is a protocol error."""
    session.connection_closed(error)
    await ended(session)
    assert owner.calls == calls


async def test_a_session_ends_once(session: EngineSession, owner: Owner) -> None:
    """Its guest leaves once, and the first reason counts."""
    session.guest = guest = Guest()
    await session.close(reason="server disconnect")
    session.ping_timeout()
    session.close_with_error(ProtocolError("late"))
    await session.close()
    assert owner.calls == ["server disconnect"]
    assert guest.left == 1
    assert not session.connected


class Guest:
    """A guest that counts its leaving."""

    is_over_rate = False

    def __init__(self) -> None:
        self.left = 0

    def count(self) -> bool:
        """Allow every packet."""
        return True

    def leave(self) -> None:
        """Count."""
        self.left += 1


@pytest.mark.parametrize(
    ("options", "packets"), [({}, ["1"]), ({"abort": True}, []), ({"notify": False}, [])]
)
async def test_close_notifies_the_client_unless_told_otherwise(
    session: EngineSession,
    transport: RecordingTransport,
    options: dict[str, bool],
    packets: list[str],
) -> None:
    """The notification is a CLOSE packet."""
    await session.close(**options)
    assert transport.packets == packets


async def test_a_session_writes_to_its_present_transport(
    session: EngineSession, transport: RecordingTransport
) -> None:
    """The transport changes at an upgrade."""
    polling = RecordingTransport("polling")
    session.transport = polling
    session.write(Frame("4one"))
    assert not session.upgraded
    session.transport = transport
    session.ping()
    session.write_all([Frame("4two"), Frame(b"3")])
    assert (polling.packets, transport.packets) == (["4one"], ["2", "4two", b"3"])
    assert session.upgraded


async def test_an_environment_is_made_once_and_belongs_to_its_session(
    session: EngineSession,
) -> None:
    """python-socketio adds and deletes environments without an effect."""
    environments = Environments({"sid": session})
    assert environments["sid"]["REMOTE_ADDR"] == "127.0.0.1"
    assert environments["sid"] is session.environ
    environments["sid"] = {}
    del environments["sid"]
    assert dict(environments) == {"sid": session.environ}
    assert len(environments) == 1
