"""Engine.IO 4 and Socket.IO 5 on aiohttp: python-engineio and python-socketio, specialised.

Knows nothing of furniture and imports nothing else of this project. One concern a file:

* ``packets``: the two packet grammars, strict; ``frames``: a packet as bytes, encoded once
* ``session``: one Engine.IO session and its states; ``handlers``: its events at work
* ``polling``, ``websocket``: the two transports that carry a session; ``upgrade``: from one to the
  other
* ``front``, ``request``: HTTP requests, with aiohttp and without; ``body``: a body that comes in
* ``takeover``: a socket without HTTP; ``reader``: WebSocket frames that come in
* ``deadlines``, ``heartbeat``: many timers as one clock
* ``eio_server``: Engine.IO's server; ``server``: Socket.IO's, behind python-socketio's public API;
  ``application``: its handlers; ``admin``: its Admin UI; ``manager``: who is where;
  ``recovery``: the seam for sessions that outlive their connection
* ``seams``: the libraries' private names that all this leans on
"""

from sio_server.engine.application import ack_requested
from sio_server.engine.frames import Frame
from sio_server.engine.front import Front
from sio_server.engine.packets import UNDECODABLE
from sio_server.engine.recovery import NotNow, Opening, Sessions
from sio_server.engine.request import Answer, Request
from sio_server.engine.server import Server
from sio_server.engine.session import Session

__all__ = [
    "UNDECODABLE",
    "Answer",
    "Frame",
    "Front",
    "NotNow",
    "Opening",
    "Request",
    "Server",
    "Session",
    "Sessions",
    "ack_requested",
]
