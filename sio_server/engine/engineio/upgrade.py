"""The upgrade of a session from polling to a WebSocket (Engine.IO protocol, "Upgrade")."""

from __future__ import annotations

from collections.abc import Callable

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.polling import Polling
from sio_server.engine.engineio.session import EngineSession
from sio_server.net.frames import Frame
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_reader import FramingError

_PROBE, _PROBE_RESPONSE = packets.PING + "probe", Frame(packets.PONG + "probe")


class Upgrade:
    """The receiver of a WebSocket until the WebSocket carries the session, or the upgrade fails.

    Args:
        session: the session; it continues on polling if the upgrade fails.
        polling: the session's transport until then.
        socket: an open WebSocket without a receiver.
        ended: called when the upgrade has completed or failed.
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
        """Answer the probe; complete the upgrade at the UPGRADE packet; see ``Receiver``."""
        if not self._probed and message == _PROBE:
            self._probed = True
            self._socket.write(_PROBE_RESPONSE)
            self._polling.set_upgrading(True)
        elif self._probed and message == packets.UPGRADE and not self._session.closed:
            self._complete()
        else:
            self.fail()

    def control_received(self) -> bool:
        """Count a frame that brings no message; see ``Receiver``."""
        return self._session.control_received()

    def connection_closed(self, error: FramingError | None) -> None:
        """Fail: the WebSocket is closed; see ``Receiver``."""
        self._end()

    def fail(self) -> None:
        """Close the WebSocket; the session continues on polling."""
        self._end()
        self._socket.close()

    def _complete(self) -> None:
        self._end()
        self._session.transport = self._socket
        for frame in self._polling.take_queued():
            self._socket.write(frame)
        self._polling.close()
        self._socket.set_receiver(self._session)

    def _end(self) -> None:
        if self._session.upgrading:
            self._session.upgrading = False
            self._polling.set_upgrading(False)
            self._ended(self)
