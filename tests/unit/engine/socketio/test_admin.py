"""A session that counts its packets and bytes for the Admin UI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any, cast

from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.socketio.admin import CountedEngineSession
from sio_server.net.frames import Frame
from tests.support.engine import RecordingTransport, make_request


class Owner:
    """A server that records messages."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []

    def session_message(self, session: EngineSession, data: str | bytes) -> Awaitable[None] | None:
        """Record a message."""
        self.messages.append(data)
        return None


async def test_packets_and_bytes_are_counted_in_both_directions() -> None:
    """The packets are still sent and handled; a received packet's type counts as one byte."""
    counts: Counter[str] = Counter()

    def count(name: str, number: int = 1) -> None:
        counts[name] += number

    owner, transport = Owner(), RecordingTransport()
    session = CountedEngineSession(count, cast("Any", owner), "sid", make_request())
    session.transport = transport
    assert session.write(Frame("4abc"))
    session.ping()
    session.message_received("4hello")
    session.message_received(b"\x01\x02")
    assert session.write_all([Frame("4d"), Frame("4ef")])
    assert transport.packets == ["4abc", "2", "4d", "4ef"]
    assert owner.messages == ["hello", b"\x01\x02"]
    assert counts == {"packetsOut": 4, "bytesOut": 10 + 4 * 2, "packetsIn": 2, "bytesIn": 9}
