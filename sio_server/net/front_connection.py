"""One TCP connection that speaks HTTP. One request at a time is served.

The states of a connection::

    reading ───▶ answering    a complete head has arrived: the responder or aiohttp answers it
    reading ◀─── answering    the response was written
    reading ───▶ closed       no complete head came in time
    answering ─▶ unread       the client does not read the response; no other request is served
    unread ────▶ reading      the client has read it
    unread ────▶ closed       the client makes no progress
    answering ─▶ detached     a WebSocket or an event stream has the connection
    answering ─▶ closed       the response says "Connection: close"
    (any) ─────▶ closed       the client has disconnected
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from sio_server.net.aiohttp_requests import AiohttpRequests
from sio_server.net.connection import TcpConnection
from sio_server.net.front_context import Entered, FrontContext
from sio_server.net.head import (
    MAX_HEAD_BYTES,
    MAX_HEADER_FIELDS,
    MAX_KEPT_HEAD_BYTES,
    SimpleHead,
    count_fields,
    find_end,
    is_http1,
    may_begin,
)
from sio_server.net.own_requests import OwnRequests
from sio_server.net.response import HttpResponse, encode
from sio_server.net.transports import half_close, unacknowledged_bytes
from sio_server.net.turns import TURN_BYTES, Turn, begin_in_turn


class FrontConnection(asyncio.BufferedProtocol):
    """A connection of the front.

    Args:
        front: the parts that it shares with the others.
        entered: its count.

    Attributes:
        network: the client's network; see ``Entered``.
        received: the bytes that no request has taken yet.
        transport: the TCP connection.
    """

    __slots__ = (
        "_aiohttp",
        "_closing",
        "_eof",
        "_is_counted",
        "_last_head",
        "_leave",
        "_own",
        "_reading",
        "_serving",
        "_turn",
        "_unacknowledged",
        "_unread",
        "_waits_for_turn",
        "front",
        "network",
        "received",
        "transport",
    )

    def __init__(self, front: FrontContext, entered: Entered) -> None:
        self.front = front
        self.network = entered.network
        self.received = bytearray()
        self.transport: asyncio.Transport
        self._own: OwnRequests | None = None  # made when it is needed
        self._aiohttp: AiohttpRequests | None = None  # likewise
        self._serving: OwnRequests | AiohttpRequests | None = None  # the present request
        self._last_head: SimpleHead | None = None
        self._turn = Turn()
        self._waits_for_turn = False
        self._reading = True  # bytes are read from the transport
        self._is_counted = False  # it holds bytes, as ``incoming`` knows
        self._unread = False  # the client has not read the last response
        self._unacknowledged = 0  # bytes, when the client made progress
        self._eof = False  # the client sends nothing more
        self._closing = False  # the last response was written
        self._leave: Callable[[], None] | None = entered.leave  # None: detached or lost

    # Events of the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        assert self._leave is not None
        self.transport = cast("asyncio.Transport", transport)
        self._leave = self.front.add(self.transport, self._leave)
        # Any unread byte stops the next request. With 0, TLS in uvloop would pause for ever.
        self.transport.set_write_buffer_limits(high=int(self._is_encrypted), low=0)
        self.front.reading.add(self)

    @property
    def _is_encrypted(self) -> bool:
        return self.transport.get_extra_info("sslcontext") is not None

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the requests."""
        self._forget()
        own, aiohttp = self._own, self._aiohttp
        self._serving = self._own = self._aiohttp = None  # they refer to each other
        for requests in (own, aiohttp):
            if requests is not None:
                requests.connection_lost(error)
        if own is None or not own.is_waiting:  # its task may read the body yet
            self.received.clear()
        if self._leave is not None:
            self._leave()
            self._leave = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory into which the next bytes are read."""
        return self.front.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes before the next connection reads into the same memory."""
        self.data_received(self.front.read_buffer[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Serve the requests that are complete now."""
        self.received += data
        if self._serving is not None:
            self._serving.data_received()
        if self._serving is None and not self._waits_for_turn:
            self._serve()
        else:
            self.read_or_pause()

    def eof_received(self) -> bool:
        """Note that the client sends nothing more. It still gets the responses that it awaits."""
        self._eof = True
        if self._serving is not None:
            return self._serving.may_outlive_client()
        return self._waits_for_turn or self._unread

    def pause_writing(self) -> None:
        """Serve no further request until the client has read the response."""
        self._unread = True
        self._unacknowledged = unacknowledged_bytes(self.transport)
        self.front.unread.add(self)
        if self._aiohttp is not None:
            self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        """Serve the next request."""
        self._unread = False
        self.front.unread.discard(self)
        if self._aiohttp is not None:
            self._aiohttp.resume_writing()
        self.serve_soon()

    # Deadlines and bounds.

    def abort(self) -> None:
        """Close: no request came in time, or too many bytes."""
        self.transport.abort()

    def check_progress(self) -> None:
        """Close, unless the client has read some of the response."""
        unacknowledged = unacknowledged_bytes(self.transport)
        if unacknowledged < self._unacknowledged:
            self._unacknowledged = unacknowledged
            self.front.unread.add(self)
        else:
            self.transport.abort()

    def read_or_pause(self) -> None:
        """Read from the transport, unless enough bytes have arrived."""
        serving = self._serving
        if self._reading and not (self.received or self._is_counted or serving is self._aiohttp):
            return
        if self._is_over():
            return
        size = len(self.received)
        wanted = 0 if serving is None else serving.wanted_bytes
        held = size if serving is None else serving.held_bytes
        has_room = self.front.incoming.hold(self, held)
        self._is_counted = held > 0
        reading = has_room and size <= wanted + MAX_HEAD_BYTES  # this body and the next head
        if reading != self._reading:
            self._reading = reading
            (self.transport.resume_reading if reading else self.transport.pause_reading)()

    def resume_incoming(self) -> None:
        """Read on: there is room for the bytes of unfinished requests."""
        self.read_or_pause()

    def is_open(self) -> bool:
        """Tell whether the client can still read a response, as far as is known.

        A client that sends nothing more may be gone completely: TCP does not tell the difference.
        """
        return not (self._eof or self.transport.is_closing())

    def _forget(self) -> None:
        for deadlines in (self.front.reading, self.front.idle, self.front.unread):
            deadlines.discard(self)
        self.front.incoming.release(self)

    # One request after another.

    def serve_soon(self) -> None:
        """Serve what has been received, in the next turn."""
        if self._waits_for_turn:
            return
        if self.received:
            if not self._is_over():
                self._waits_for_turn = True
                begin_in_turn(TURN_BYTES, self.network, self._serve_in_turn)
        elif self._serving is None:
            self._wait_for_request()
        else:
            self.read_or_pause()

    def _serve_in_turn(self) -> None:
        self._waits_for_turn = False
        self._serve()

    def _serve(self) -> None:
        """Serve requests until one has to wait, or the turn is over."""
        if self._serving is not None:
            self._serving.data_received()
        self._turn.begin()
        while not (self._serving or self._unread or self._is_over()):
            size = self._serve_next()
            if not size:
                self._wait_for_request()
                return
            if self.received and self._turn.is_over(size):
                self.serve_soon()
                break
        self.read_or_pause()

    def _serve_next(self) -> int:
        """Serve the next request; return the size of its head, or 0 if it is not complete."""
        received = self.received
        if received.startswith(b"\r\n"):  # RFC 9112, 2.2: one empty line is ignored
            del received[:2]
        if not may_begin(received):
            self.transport.abort()
            return 0
        size = find_end(received)
        if not size and len(received) <= MAX_HEAD_BYTES:
            return 0
        head = bytes(received[:size]) if size < len(received) else bytes(received)
        if size and not is_http1(head):
            self.transport.abort()
            return 0
        if not 0 < size <= MAX_HEAD_BYTES or count_fields(head) > MAX_HEADER_FIELDS:
            refusal = self.front.responder.refuse_head()
            refusal.headers["Connection"] = "close"
            self.respond(refusal)
            return 0
        del received[:size]
        self.front.reading.discard(self)
        self.front.idle.discard(self)
        simple = self.front.heads.parse(head, self._last_head)
        self._last_head = simple if size <= MAX_KEPT_HEAD_BYTES else None
        if simple is None:
            self._serving = self._aiohttp = self._aiohttp or AiohttpRequests(self)
            self._aiohttp.serve(head)
        else:
            self._serving = self._own = self._own or OwnRequests(self)
            self._own.serve(simple)
        return size

    def _is_over(self) -> bool:
        """Tell whether no further request is served."""
        return self._closing or self._leave is None or self.transport.is_closing()

    def _wait_for_request(self) -> None:
        """Wait for the rest of a head, or for the next request."""
        if self._is_over():
            return
        if self._eof:
            self.transport.close()
        elif self.received:
            self.front.idle.discard(self)
            if self not in self.front.reading:
                self.front.reading.add(self)
        elif not (self._unread or self in self.front.reading or self in self.front.idle):
            self.front.idle.add(self)
        self.read_or_pause()

    def respond(self, response: HttpResponse) -> None:
        """Write a response. If it says so, close the connection."""
        if response.closes:
            self.transport.write(encode(response, ""))
            self._closing = True
            self.received.clear()
            self._forget()
            half_close(self.transport, self.connection_lost)
        else:
            self.transport.write(encode(response, f"Keep-Alive: {self.front.keep_alive}\r\n"))

    def await_body(self) -> None:
        """Give the client time to send the rest of a body after its response."""
        self.front.reading.add(self)

    def request_ended(self) -> None:
        """Note that the response was written and the whole body was taken."""
        self._serving = None
        self.front.reading.discard(self)

    def detach(self, connection: TcpConnection) -> None:
        """Give the TCP connection to another protocol; HTTP no longer serves it.

        Raises:
            ConnectionError: the client has disconnected.
        """
        if self.transport.is_closing() or self._leave is None:
            raise ConnectionResetError("the client has disconnected")
        self._forget()
        unread, leave = bytes(self.received), self._leave
        self.received.clear()
        if self._aiohttp is not None:
            self._aiohttp.forget_handler()
        self._leave = self._serving = self._own = self._aiohttp = None
        connection.attach(self.transport, unread, leave, self.front.incoming, self.network)
