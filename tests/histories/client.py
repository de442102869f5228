"""A consumer: its line, what it knows of its session, and what the model says that it is owed."""

from __future__ import annotations

from typing import Any

from sio_server.engine import EngineSession
from tests.histories.drawn import How
from tests.histories.line import Line, Message
from tests.histories.model import Connection, Position
from tests.histories.node import Node


class Client:
    """A consumer that connects, goes, and comes back.

    Attributes:
        line: what carries its connection; None: it has none.
        connection: what it is owed over that.
        pid: of its last session.
        former: that of the session before.
        got: the positions of the events that it has read in that.
        answers: what it was answered to its last command.
        patience: how often in a row it was waited for, as a slow consumer.
    """

    def __init__(self) -> None:
        self.line: Line | None = None
        self.engine: EngineSession | None = None
        self.connection: Connection | None = None
        self.pid: str | None = None
        self.former: str | None = None
        self.got: list[Position] = []
        self.answers: list[Any] = []
        self.patience = 0
        self._heard = 0
        self._noted = 0

    def call(self, node: Node, how: How, auth: dict[str, Any]) -> None:
        """Ask for a connection, once the loop runs."""
        self.forget()
        self.line = Line(how.bound)
        self.engine = node.connect(self.line, auth)

    def forget(self) -> None:
        """Have no connection any more."""
        self.line = self.engine = self.connection = None
        self.patience = self._heard = self._noted = 0

    def hear(self) -> list[Message]:
        """Return what was written since the last time; note what was read."""
        assert self.line is not None
        new = self.line.written[self._heard :]
        self._heard = len(self.line.written)
        for message in self.line.written[self._noted : self.line.taken]:
            if message.kind == "2" and len(message.data) == 3:
                self.got.append(Position.parse(message.data[2]))
        self._noted = self.line.taken
        return new
