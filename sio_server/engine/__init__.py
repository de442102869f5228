"""Engine.IO 4 and Socket.IO 5 on aiohttp: python-engineio and python-socketio, specialised.

Knows nothing of furniture and imports nothing else of this project. One concern a file:

* ``packets``: the two packet grammars, strict; ``frames``: a packet as bytes, encoded once
* ``session``: one Engine.IO session and its states; ``handlers``: its events at work
* ``polling``, ``websocket``: the two transports that carry a session
* ``outgoing``, ``body``: the socket's two directions, within bounds
* ``deadlines``, ``heartbeat``: many timers as one clock
* ``eio_server``: Engine.IO's server; ``server``: Socket.IO's, behind python-socketio's public API;
  ``manager``: who is where
"""

from sio_server.engine.frames import Frame
from sio_server.engine.packets import UNDECODABLE
from sio_server.engine.server import Server, ack_requested
from sio_server.engine.session import Session

__all__ = ["UNDECODABLE", "Frame", "Server", "Session", "ack_requested"]
