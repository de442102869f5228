"""The Socket.IO endpoint: which ended connections count as dead."""

from __future__ import annotations

from typing import Any, cast

from sio_server.access.rates import RateLimit
from sio_server.access.sources import Source
from sio_server.endpoints import socketio
from sio_server.endpoints.socketio_client import SocketIOClient, SocketIOOutlet

SOURCE = Source("127.0.0.1", "http://localhost", is_local=True)


class Session:
    """An Engine.IO session that records the reason of its end."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def write(self, frame: object) -> bool:
        """Take the frame."""
        return True

    def end(self, reason: str) -> None:
        """Record the reason."""
        self.reasons.append(reason)


def is_dead(session: Session) -> bool:
    """Tell whether the log calls the connection dead."""
    (reason,) = session.reasons
    return reason in socketio._DEAD_REASONS


def test_a_connection_that_the_server_closes_is_not_dead() -> None:
    """In a drain, or because a later connection supersedes it, the client was alive."""
    session = Session()
    client = SocketIOClient(SOURCE, None, RateLimit(1), lambda: None)
    client.session = cast("Any", session)
    client.close()
    assert not is_dead(session)


def test_a_consumer_without_progress_is_dead() -> None:
    """It has stopped reading, and nobody closed it."""
    session = Session()
    SocketIOOutlet(cast("Any", session)).drop()
    assert is_dead(session)
