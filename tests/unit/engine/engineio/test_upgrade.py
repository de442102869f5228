"""An upgrade from polling to WebSocket: its steps, and each way to fail."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.engine.engineio.upgrade import Upgrade
from sio_server.net.frames import Frame
from tests.support.engine import RecordingTransport


class Session:
    """The parts of a session that an upgrade uses."""

    def __init__(self, transport: RecordingTransport) -> None:
        self.transport = transport
        self.upgrading = False
        self.closed = False


class Polling(RecordingTransport):
    """A polling transport with two queued packets."""

    upgrading = False

    def set_upgrading(self, upgrading: bool) -> None:
        """Record the flag."""
        self.upgrading = upgrading

    def take_queued(self) -> list[Frame]:
        """Return the queue."""
        return [Frame("4one"), Frame(b"2")]


class Socket(RecordingTransport):
    """A WebSocket that records its receiver."""

    receiver: Any = None

    def set_receiver(self, receiver: Any) -> None:
        """Record the receiver."""
        self.receiver = receiver


class Scene:
    """An upgrade in its first step.

    Attributes:
        ended: how often the upgrade has reported its end.
    """

    def __init__(self) -> None:
        self.polling, self.socket = Polling("polling"), Socket()
        self.session = Session(self.polling)
        self.ended = 0
        self.upgrade = Upgrade(self.session, self.polling, self.socket, self._note_end)  # type: ignore[arg-type]

    def _note_end(self, upgrade: Upgrade) -> None:
        self.ended += 1


@pytest.fixture
def scene() -> Scene:
    """Return an upgrade."""
    return Scene()


def test_an_upgrade_moves_the_session_and_its_queue_to_the_websocket(scene: Scene) -> None:
    """Engine.IO protocol, "Upgrade": probe, answer, UPGRADE."""
    assert scene.session.upgrading
    scene.upgrade.message_received("2probe")
    assert scene.socket.packets == ["3probe"]
    assert scene.polling.upgrading
    scene.upgrade.message_received("5")
    assert scene.session.transport is scene.socket
    assert scene.socket.receiver is scene.session
    assert scene.socket.packets == ["3probe", "4one", b"2"]
    assert scene.polling.closed
    assert (scene.ended, scene.session.upgrading, scene.socket.closed) == (1, False, False)


@pytest.mark.parametrize(
    "messages",
    [["5"], ["2"], ["4x"], [b"2probe"], ["2probe", "2probe"], ["2probe", "4x"], ["2probe", b"5"]],
    ids=repr,
)
def test_any_other_message_ends_the_upgrade(scene: Scene, messages: list[str | bytes]) -> None:
    """The WebSocket is closed, and the session continues on polling."""
    for message in messages:
        scene.upgrade.message_received(message)
    assert scene.socket.closed
    assert scene.session.transport is scene.polling
    assert (scene.ended, scene.session.upgrading, scene.polling.upgrading) == (1, False, False)
    assert not scene.polling.closed


def test_a_closed_session_is_not_upgraded(scene: Scene) -> None:
    """It may end between the probe and the UPGRADE packet."""
    scene.upgrade.message_received("2probe")
    scene.session.closed = True
    scene.upgrade.message_received("5")
    assert scene.socket.closed
    assert scene.session.transport is scene.polling


def test_an_upgrade_ends_once(scene: Scene) -> None:
    """A timeout closes the WebSocket, which reports its own end."""
    scene.upgrade.fail()
    scene.upgrade.connection_closed(None)
    assert scene.ended == 1
