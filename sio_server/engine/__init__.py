"""Engine.IO 4 and Socket.IO 5 on aiohttp, as subclasses of python-engineio and python-socketio.

``engineio`` has sessions and their transports. ``socketio`` has namespaces, rooms, events and
acknowledgements on top of it, behind python-socketio's public API. Both use ``net`` to read and
write bytes. Neither knows anything about furniture.
"""

from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.session import EngineSession
from sio_server.engine.socketio.admin import CountedEngineSession
from sio_server.engine.socketio.application import ack_requested
from sio_server.engine.socketio.packets import BINARY, UNDECODABLE
from sio_server.engine.socketio.server import Server
from sio_server.engine.socketio.sessions import (
    AcceptedSession,
    Refused,
    SessionRegistry,
    SessionsUnavailable,
)

__all__ = [
    "BINARY",
    "UNDECODABLE",
    "AcceptedSession",
    "CountedEngineSession",
    "EngineSession",
    "ProtocolError",
    "Refused",
    "Server",
    "SessionRegistry",
    "SessionsUnavailable",
    "ack_requested",
]
