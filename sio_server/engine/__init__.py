"""Engine.IO 4 and Socket.IO 5 on aiohttp: python-engineio and python-socketio, specialised.

``engineio`` has sessions and the transports that carry them. ``socketio`` has namespaces, rooms,
events and acknowledgements over it, behind python-socketio's public API. Both use ``net`` for
bytes. Neither knows anything of furniture.
"""

from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.socketio.application import ack_requested
from sio_server.engine.socketio.packets import UNDECODABLE
from sio_server.engine.socketio.server import Server
from sio_server.engine.socketio.sessions import (
    AcceptedSession,
    SessionRegistry,
    SessionsUnavailable,
)

__all__ = [
    "UNDECODABLE",
    "AcceptedSession",
    "EngineSession",
    "Server",
    "SessionRegistry",
    "SessionsUnavailable",
    "ack_requested",
]
