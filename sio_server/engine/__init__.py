"""Engine.IO 4 and Socket.IO 5 on aiohttp: python-engineio and python-socketio, specialised.

Knows nothing of furniture and imports nothing else of this project. One concern a file:

* ``packets``: the two packet grammars, strict; ``frames``: a packet as bytes, encoded once
* ``session``: one Engine.IO session and its states; ``handlers``: its events at work
* ``polling``, ``websocket``: the two transports that carry a session; ``upgrade``: from one to the
  other
* ``takeover``: a socket without aiohttp; ``reader``: WebSocket frames that come in; ``body``: an
  HTTP body that comes in
* ``deadlines``, ``heartbeat``: many timers as one clock
* ``eio_server``: Engine.IO's server; ``server``: Socket.IO's, behind python-socketio's public API;
  ``manager``: who is where; ``recovery``: the seam for sessions that outlive their connection
"""

from sio_server.engine.frames import Frame
from sio_server.engine.packets import UNDECODABLE
from sio_server.engine.recovery import NotNow, Opening, Sessions
from sio_server.engine.server import Server, ack_requested
from sio_server.engine.session import Session

__all__ = [
    "UNDECODABLE",
    "Frame",
    "NotNow",
    "Opening",
    "Server",
    "Session",
    "Sessions",
    "ack_requested",
]
