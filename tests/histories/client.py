"""A client in a history: its transport, its session, and its connection in the model."""

from __future__ import annotations

from typing import Any

from sio_server.engine import EngineSession
from tests.histories.model import EVERYTHING, ModelConnection, Position, Sight, allows
from tests.histories.server import InProcessServer
from tests.histories.strategies import ConnectOptions
from tests.histories.transport import Packet, SimulatedTransport
from tests.support.tokens import token


class Client:
    """A consumer that connects, disconnects and reconnects.

    Attributes:
        transport: the transport of its connection; None: it is not connected.
        engine_session: the server's side of the connection.
        connection: the connection in the model.
        sight: the rooms that it may see.
        token: its token; None: it needs none.
        pid: the ``pid`` of its last session.
        previous_pid: the ``pid`` of the session before that.
        received: the positions of the events that it has read in its last session.
        acks: the acks since the last check.
        slow_waits: how many times in a row it was slow for the whole ``SLOW_SECONDS``.
    """

    def __init__(self) -> None:
        self.transport: SimulatedTransport | None = None
        self.engine_session: EngineSession | None = None
        self.connection: ModelConnection | None = None
        self.sight = EVERYTHING
        self.token: str | None = None
        self.pid: str | None = None
        self.previous_pid: str | None = None
        self.received: list[Position] = []
        self.acks: list[Any] = []
        self.slow_waits = 0
        self._checked_packets = 0
        self._noted_packets = 0

    def bound(self, sight: Sight, name: str) -> None:
        """Give the client a token that bounds what it may see."""
        self.sight = sight
        if sight != EVERYTHING:
            self.token = token(sub=name, rooms=list(sight))

    def allowed(self, rooms: list[str]) -> list[str]:
        """Return those of the rooms that it may be in."""
        return [room for room in rooms if allows(self.sight, room)]

    def connect(
        self, server: InProcessServer, options: ConnectOptions, auth: dict[str, Any]
    ) -> None:
        """Ask for a connection, which opens when the loop runs."""
        self.forget_connection()
        self.transport = SimulatedTransport(options.max_unread)
        self.engine_session = server.connect(self.transport, auth)

    def forget_connection(self) -> None:
        """Be disconnected."""
        self.transport = self.engine_session = self.connection = None
        self.slow_waits = self._checked_packets = self._noted_packets = 0

    def new_packets(self) -> list[Packet]:
        """Return the packets written since the last call; note the positions of read events."""
        assert self.transport is not None
        written = self.transport.written
        new = written[self._checked_packets :]
        self._checked_packets = len(written)
        for packet in written[self._noted_packets : self.transport.read_count]:
            if packet.type == "2" and len(packet.data) == 3:
                self.received.append(Position.parse(packet.data[2]))
        self._noted_packets = self.transport.read_count
        return new
