"""A WebSocket that takes over a session from polling (Engine.IO protocol, "Upgrade")."""

from __future__ import annotations

from collections.abc import Callable

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.polling import Polling
from sio_server.engine.engineio.session import EngineSession
from sio_server.net.frames import Frame
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_reader import FramingError

_PROBE, _PROBE_ANSWER = packets.PING + "probe", Frame(packets.PONG + "probe")


class Upgrade:
    """Receives what the WebSocket brings until it carries the session, or has failed to.

    Args:
        session: which polling carries; it goes on if the WebSocket fails.
        polling: its transport.
        socket: open, without a receiver.
        ended: called when the upgrade is over, either way.
    """

    def __init__(
        self,
        session: EngineSession,
        polling: Polling,
        socket: WebSocket,
        ended: Callable[[Upgrade], object],
    ) -> None:
        self._session = session
        self._polling = polling
        self._socket = socket
        self._ended = ended
        self._probed = False
        session.upgrading = True

    def message_received(self, message: str | bytes) -> None:
        """Take the probe, then the word to upgrade; see ``Receiver``."""
        if not self._probed and message == _PROBE:
            self._probed = True
            self._socket.write(_PROBE_ANSWER)
            self._polling.interrupt(True)
        elif self._probed and message == packets.UPGRADE and not self._session.closed:
            self._complete()
        else:
            self.fail()

    def connection_closed(self, error: FramingError | None) -> None:
        """Note that the WebSocket is gone; see ``Receiver``."""
        self._end()

    def fail(self) -> None:
        """Close the WebSocket."""
        self._end()
        self._socket.close()

    def _complete(self) -> None:
        self._end()
        self._session.transport = self._socket
        for frame in self._polling.take():
            self._socket.write(frame)
        self._polling.close()
        self._socket.set_receiver(self._session)

    def _end(self) -> None:
        if self._session.upgrading:
            self._session.upgrading = False
            self._polling.interrupt(False)
            self._ended(self)
