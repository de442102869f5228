"""Bytes: HTTP requests, WebSocket frames, deadlines. Knows no protocol above them.

* ``front``: reads simple HTTP requests itself and gives all others to aiohttp
* ``request``: a request and its response; ``body``: reads a request's body
* ``connection``: a TCP connection after HTTP, with a bounded write buffer
* ``websocket``: a WebSocket on such a connection; ``websocket_reader`` parses what comes in,
  ``frames`` encodes what goes out
* ``deadlines``: many equal timers as one; ``heartbeat``: pings on top of them
* ``tasks``: the running handlers of one connection, bounded
"""
