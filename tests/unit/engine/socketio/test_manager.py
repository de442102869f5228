"""The manager encodes an event once, holds it for waiting clients, and finds acks by their id."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest

from sio_server.engine.socketio.manager import Manager, encode
from sio_server.engine.socketio.packets import Packet
from sio_server.net.frames import Frame


class EngineSession:
    """An Engine.IO session that records its frames."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, frame: Frame) -> bool:
        """Record a frame."""
        self.frames.append(frame)
        return True

    @property
    def packets(self) -> list[str | bytes]:
        """Return the recorded packets."""
        return [frame.packet for frame in self.frames]


class CountedPacket(Packet):
    """A packet class that counts encodings."""

    encoded = 0

    def encode(self) -> Any:
        """Encode and count."""
        type(self).encoded += 1
        return super().encode()


class Server:
    """The parts of a server that a manager uses."""

    def __init__(self) -> None:
        CountedPacket.encoded = 0
        self.packet_class = CountedPacket
        numbers = itertools.count(1)
        self.eio = SimpleNamespace(sockets={}, generate_id=lambda: f"sid-{next(numbers)}")
        self.manager = Manager()
        self.manager.set_server(self)

    def open(self, eio_sid: str) -> EngineSession:
        """Open an Engine.IO session."""
        session = self.eio.sockets[eio_sid] = EngineSession()
        return session

    async def join(self, eio_sid: str) -> tuple[str, EngineSession]:
        """Connect a client and accept it."""
        session = self.open(eio_sid)
        sid = await self.manager.pre_connect(eio_sid, "/")
        assert sid is not None
        await self.manager.connect(sid, "/")
        return sid, session


@pytest.fixture
def server() -> Server:
    """Return a server without clients."""
    return Server()


async def test_an_event_is_encoded_once_for_all_its_recipients(server: Server) -> None:
    """All recipients get the same frame, each once."""
    clients = [await server.join(f"e{number}") for number in range(5)]
    await server.manager.emit("x", {"a": 1}, "/")
    assert CountedPacket.encoded == 1
    for _, session in clients:
        assert session.packets == ['42["x",{"a":1}]']
        assert session.frames[0] is clients[0][1].frames[0]


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        (None, '42["x"]'),
        ("a", '42["x","a"]'),
        ([1, 2], '42["x",[1,2]]'),
        ((1, 2), '42["x",1,2]'),
        ((), '42["x"]'),
    ],
)
async def test_data_are_the_events_arguments(data: Any, packet: str, server: Server) -> None:
    """None is no argument, a tuple is several arguments, and anything else is one."""
    _, session = await server.join("e")
    await server.manager.emit("x", data, "/")
    assert session.packets == [packet]


async def test_an_event_reaches_a_room_several_rooms_or_one_client(server: Server) -> None:
    """A member of several rooms gets it once, and a skipped client does not get it."""
    manager = server.manager
    (a, in_a), (b, in_b), (c, in_c) = [await server.join(name) for name in "abc"]
    await manager.enter_room(a, "/", "oak")
    await manager.enter_room(b, "/", "oak")
    await manager.enter_room(b, "/", "pine")
    await manager.emit("one", None, "/", room="oak")
    await manager.emit("two", None, "/", room=["oak", "pine"])
    await manager.emit("three", None, "/", to=c)
    await manager.emit("four", None, "/", skip_sid=a)
    await manager.emit("five", None, "/", skip_sid=[a, b])
    await manager.emit("six", None, "/", room="nowhere")
    assert in_a.packets == ['42["one"]', '42["two"]']
    assert in_b.packets == ['42["one"]', '42["two"]', '42["four"]']
    assert in_c.packets == ['42["three"]', '42["four"]', '42["five"]']


async def test_binary_data_follow_their_packet_as_attachments(server: Server) -> None:
    """The attachments are in order."""
    _, session = await server.join("e")
    await server.manager.emit("x", {"a": b"\x01", "b": [b"\x02"]}, "/")
    text, *attachments = session.packets
    assert isinstance(text, str)
    assert text.startswith('452-["x",')
    assert attachments == [b"\x01", b"\x02"]


async def test_events_are_held_until_a_client_is_accepted(server: Server) -> None:
    """The held events follow in order."""
    session = server.open("e")
    sid = await server.manager.pre_connect("e", "/")
    assert sid is not None
    await server.manager.emit("to all", None, "/")
    await server.manager.emit("to it", None, "/", room=sid)
    assert session.packets == []
    await server.manager.connect(sid, "/")
    assert session.packets == ['42["to all"]', '42["to it"]']
    await server.manager.emit("later", None, "/")
    assert session.packets[2:] == ['42["later"]']


async def test_held_events_of_a_refused_client_are_dropped(server: Server) -> None:
    """The next client of the same session does not get them either."""
    session = server.open("e")
    sid = await server.manager.pre_connect("e", "/")
    assert sid is not None
    await server.manager.emit("x", None, "/")
    await server.manager.disconnect(sid, "/")
    assert not server.manager._held_frames
    again = await server.manager.pre_connect("e", "/")
    assert again is not None
    await server.manager.connect(again, "/")
    assert session.packets == []


async def test_a_second_connect_to_a_namespace_returns_none(server: Server) -> None:
    """The first client and its held events stay."""
    session = server.open("e")
    sid = await server.manager.pre_connect("e", "/")
    assert sid is not None
    await server.manager.emit("x", None, "/")
    assert await server.manager.pre_connect("e", "/") is None
    await server.manager.connect(sid, "/")
    assert session.packets == ['42["x"]']


async def test_a_client_without_a_session_is_skipped(server: Server) -> None:
    """The other clients get the event."""
    await server.join("a")
    _, session = await server.join("b")
    del server.eio.sockets["a"]
    await server.manager.emit("x", None, "/")
    assert session.packets == ['42["x"]']


async def test_each_recipient_of_an_event_with_a_callback_has_its_own_ack(server: Server) -> None:
    """Each recipient has its own id, and its ack runs the callback once."""
    answers: list[Any] = []
    clients = [await server.join(name) for name in "ab"]
    await server.manager.emit("x", "data", "/", callback=lambda *data: answers.append(data))
    for number, (sid, session) in enumerate(clients):
        (packet,) = session.packets
        assert isinstance(packet, str)
        id = int(packet.removeprefix("42").partition("[")[0])
        assert json.loads(packet[packet.index("[") :]) == ["x", "data"]
        assert id > 0
        for _ in range(2):
            await server.manager.trigger_callback(sid, id, [number])
    assert answers == [(0,), (1,)]


@pytest.mark.parametrize("id", [0, 2, 10**15])
async def test_an_unknown_ack_id_is_ignored(id: int, server: Server) -> None:
    """Id 0 is one of them, and breaks no later call to the client."""
    answers: list[Any] = []
    sid, session = await server.join("e")
    await server.manager.trigger_callback(sid, id, [])
    await server.manager.emit("x", None, "/", callback=lambda *data: answers.append(data))
    await server.manager.trigger_callback(sid, id, ["forged"])
    await server.manager.emit("y", None, "/", callback=lambda *data: answers.append(data))
    assert answers == []
    await server.manager.trigger_callback(sid, 1, ["good"])
    await server.manager.trigger_callback(sid, 2, ["too"])
    assert answers == [("good",), ("too",)]
    assert session.packets == ['421["x"]', '422["y"]']


def test_a_packet_is_encoded_as_its_text_and_its_attachments() -> None:
    """The text has the Engine.IO message type in front."""
    text = encode(Packet(data=["x"], id=5, namespace="/admin"))
    assert [frame.packet for frame in text] == ['42/admin,5["x"]']
    binary = encode(Packet(data=["x", b"\x01"]))
    assert [frame.packet for frame in binary] == [
        '451-["x",{"_placeholder":true,"num":0}]',
        b"\x01",
    ]
