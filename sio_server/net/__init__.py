"""HTTP requests, WebSocket frames and deadlines. Knows no protocol above them.

* ``front``: reads simple HTTP requests itself and gives all other connections to aiohttp
* ``request``: a request and its response; ``body``: reads a request's body
* ``connection``: a TCP connection that has left HTTP, with a bounded write buffer
* ``websocket``: a WebSocket on such a connection; ``websocket_reader`` decodes received frames,
  ``frames`` encodes sent frames
* ``deadlines``: many timers of the same length as one timer; ``heartbeat``: pings on top of them
* ``tasks``: the running handlers of one connection, bounded in number
"""
